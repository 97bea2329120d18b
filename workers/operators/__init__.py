"""The operators: what a sweep applies to each block. One file for each family; `base` says what an operator is."""

from __future__ import annotations

from typing import Any

from gridstride.workers import saving


def save(operator: Any, folder: Any) -> None:
    saving.save(operator, folder, "operator")


def load(folder: Any) -> Any:
    return saving.load(folder, "operator")
