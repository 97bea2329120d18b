"""What identifies an operator: its class, its version, its fields and the bytes of its arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gridstride.workers import saving
from gridstride.workers.families.separable import Separable
from gridstride.workers.operators import registry
from gridstride.workers.operators.base import Grid

GRID = Grid.of((8, 9), "float32")


def operator(**fields: Any) -> Any:
    return registry.find("gaussian")(**{"sigma": 1.0, **fields}).bind(GRID)


def test_another_version_is_another_operator(monkeypatch: Any) -> None:
    before = saving.digest(operator())
    assert saving.digest(operator()) == before
    monkeypatch.setattr(Separable, "version", Separable.version + 1)
    assert saving.digest(operator()) != before


def test_the_last_bit_of_a_weight_is_another_operator() -> None:
    op = operator()
    first = op.passes[0]
    weights = first.weights.copy()
    weights[0] = np.nextafter(weights[0], 1)
    changed = op.but(passes=(replace(first, weights=weights), *op.passes[1:]))
    assert saving.digest(changed) != saving.digest(op)
