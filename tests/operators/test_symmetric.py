"""Eigenvalues of symmetric matrices (families/symmetric.py): to the rounding of float64, double roots included."""

from __future__ import annotations

import numpy as np
import pytest

from gridstride.workers.families.symmetric import Symmetric
from gridstride.workers.operators.base import Grid, Region, Window
from gridstride.workers.operators.registry import find
from tests.blockwise import apply, grid_of, on_cpu


def eigenvalues(matrices: np.ndarray) -> np.ndarray:
    """By `Symmetric`, (size, count), of (count, size, size)."""
    size = matrices.shape[-1]
    arrays = [np.ascontiguousarray(matrices[:, i, j]) for i in range(size) for j in range(i, size)]
    shape = arrays[0].shape
    grid = Grid(shape, arrays[0].dtype, Grid.of(shape, "f8").axes, (arrays[0].dtype,) * (len(arrays) - 1))
    operator = Symmetric("eigenvalues")
    want = Region.whole(operator.out_grid(grid).shape)
    return on_cpu(operator, Window(arrays[0], operator.needed(want, grid), want, grid, tuple(arrays[1:])))


def turned(roots: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Matrices with these eigenvalues."""
    turns = np.linalg.qr(rng.normal(size=(len(roots), roots.shape[1], roots.shape[1])))[0]
    found = np.einsum("nij,nj,nkj->nik", turns, roots, turns)
    return (found + found.transpose(0, 2, 1)) / 2


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 1e-140, 1e140])
def test_eigenvalues_are_those_of_lapack_whatever_is_equal(size: int, scale: float) -> None:
    rng = np.random.default_rng(size)
    roots = rng.normal(size=(300, size))
    roots[:60, -1] = roots[:60, 0]  # double roots
    roots[60:90] = roots[60:90, :1]  # all equal
    roots[90:120, -1] = roots[90:120, 0] * (1 + 1e-9)
    roots[120:150, 0] = 0
    matrices = turned(roots, rng) * scale
    matrices[150:160] *= np.eye(size)  # diagonal
    matrices[160] = 0
    wanted = np.linalg.eigvalsh(matrices / scale)[:, ::-1].T
    np.testing.assert_allclose(eigenvalues(matrices) / scale, wanted, rtol=0, atol=1e-14 * np.abs(roots).max())


def test_what_is_not_finite_has_no_eigenvalues() -> None:
    matrices = np.zeros((2, 3, 3))
    matrices[0, 1, 1], matrices[1, 0, 0] = np.nan, np.inf
    assert np.isnan(eigenvalues(matrices)).all()


def test_no_order_of_sigmas_changes_a_result_and_none_may_be_given_twice() -> None:
    array = np.random.default_rng(0).integers(0, 99, (9, 8)).astype(np.uint8)
    for name in ("sato", "frangi"):
        one, other = (find(name)(sigmas=sigmas).bind(grid_of(array)) for sigmas in ((1, 2, 3), (3, 1, 2)))
        np.testing.assert_array_equal(apply(one, array), apply(other, array))
        with pytest.raises(ValueError, match="sigmas has 2 twice"):
            find(name)(sigmas=(2, 1, 2)).bind(grid_of(array))


def test_matrices_are_of_few_axes() -> None:
    grid = Grid.of((4, 5, 6, 7), "uint8")
    for name, fewest in (("hessian-eigenvalues", 1), ("sato", 2)):
        with pytest.raises(ValueError, match=f"4 axes are filtered .*: name {fewest} to 3 of them with axes"):
            find(name)().bind(grid)
