"""The models: equations that are advanced in time, a folder each. `base` says what a model is."""
