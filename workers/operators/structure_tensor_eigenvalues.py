"""structure-tensor-eigenvalues: of products of derivatives, as skimage.feature.structure_tensor_eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from gridstride.workers.families.hessian import Made, structure_tensor
from gridstride.workers.operators.graph import Step
from gridstride.workers.operators.hessian_eigenvalues import HessianEigenvalues


class StructureTensorEigenvalues(HessianEigenvalues):
    """Eigenvalues of the structure tensor: how much values change around each element, along the axes of the change.

    Equal to skimage.feature.structure_tensor_eigenvalues of structure_tensor: the result has a new first axis, along
    which the largest comes first. Results are floating-point numbers, and integers are divided by the largest of their
    dtype before (--preserve-range leaves them). Of 1 to 3 axes. NaN gives NaN as far as the Gaussian
    and the differences reach.
    Example: gridstride filter structure-tensor-eigenvalues cells.zarr out.zarr --sigma 2
    """

    formula: ClassVar[str] = "eigenvalues of (G_sigma * (sobel_i x sobel_j x))"
    source: ClassVar[str] = "skimage.feature.structure_tensor, structure_tensor_eigenvalues"

    def matrix(self, made: Made, sigmas: Sequence[float]) -> tuple[list[Step], tuple[str, ...]]:
        return structure_tensor(made, sigmas)
