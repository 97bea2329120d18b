"""Benchmarks: `python -m benchmarks NAME`. Every figure is a ratio to a peer or a limit measured in the same run."""
