"""The operators: what a sweep applies to each block. One file for each family; `base` says what an operator is."""

from __future__ import annotations

from gridstride.workers.saving import load, save

__all__ = ["load", "save"]
