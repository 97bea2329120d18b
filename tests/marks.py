"""Which of a test's many parameters `make quick` takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quick(count: int, values: Iterable[Any]) -> list[Any]:
    """The values, those after the first `count` marked slow."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*row, marks=pytest.mark.slow if i >= count else ()) for i, row in enumerate(rows)]
