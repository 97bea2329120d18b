"""Pipelines: several operators as one job, from a YAML file or from Python. docs/pipelines.md has the format."""
