"""Pictures of arrays and simulations."""
