"""The models: equations that are advanced in time."""
