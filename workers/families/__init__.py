"""The families: what operators are made of. One file a family, with its CPU and CUDA twins beside it."""
