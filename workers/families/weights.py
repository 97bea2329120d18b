"""Weights of filters: Gaussians, named kernels, and the factors of a kernel of rank one."""

from __future__ import annotations

import numpy as np

NAMED_KERNELS = ("box", "gaussian", "sharpen", "laplace", "sobel-x", "sobel-y", "sobel-z", "identity")
# What is refused before it is made: weights along an axis (a sum of more takes longer than another way to the same
# end), entries of a kernel (128 MB), and orders of derivatives, far beyond those that sampled Gaussians have.
MOST_TAPS = 2**16
MOST_WEIGHTS = 2**24
MOST_ORDER = 100


def taps_before(size: int, origin: int, flipped: bool = False) -> int:
    """Elements a correlation of `size` taps needs before the output. `flipped`: origin is meant for a convolution."""
    if flipped:
        origin = -origin - (1 if size % 2 == 0 else 0)
    before = size // 2 + origin
    if not 0 <= before < size:
        low, high = -(size // 2), (size - 1) // 2
        if flipped:
            low, high = -((size - 1) // 2), size // 2 - (1 if size % 2 == 0 else 0)
        raise ValueError(f"origin out of range for a kernel of {size}: expected {low} to {high}")
    return before


def gaussian_weights(
    sigma: float, order: int = 0, truncate: float = 4.0, radius: int | None = None, name: str = "sigma"
) -> np.ndarray:
    """Weights of a Gaussian or its derivative, float64 (2 radius + 1,), in the order of correlation.

    As scipy.ndimage makes them, bit for bit: the Gaussian sampled at whole numbers, divided by its sum; a derivative
    is that, times the polynomial q in d^n/dx^n exp(-x^2 / 2 sigma^2) = q(x) exp(-x^2 / 2 sigma^2).

    name: of the user's option that sigma is from
    """
    if order > MOST_ORDER:
        raise ValueError(f"order is {order}: expected {MOST_ORDER} at most")
    reach = truncate * float(sigma) + 0.5 if radius is None else radius
    if not reach < MOST_TAPS // 2:
        given = f"{name} is {sigma:g} and truncate {truncate:g}" if radius is None else f"radius is {radius}"
        raise ValueError(
            f"{given}: that is {2 * reach + 1:.6g} weights along an axis, of which {MOST_TAPS} can be summed at most; "
            "for a wider one filter a downsampled array"
        )
    radius = int(reach)
    exponents = np.arange(order + 1)
    x = np.arange(-radius, radius + 1)
    sigma2 = sigma * sigma
    phi = np.exp(-0.5 / sigma2 * x**2)
    phi = phi / phi.sum()
    if order == 0:
        return phi[::-1].copy()
    q = np.zeros(order + 1)
    q[0] = 1
    # q' - q x / sigma^2, as a matrix on the coefficients of q
    matrix = np.diag(exponents[1:], 1) + np.diag(np.ones(order) / -sigma2, -1)
    for _ in range(order):
        q = matrix.dot(q)
    q = (x[:, None] ** exponents).dot(q)
    weights = (q * phi)[::-1].copy()
    if not np.isfinite(weights).all():
        raise ValueError(f"order is {order} and sigma {sigma:g}: float64 cannot hold the weights")
    return weights


def named_kernel(name: str, ndim: int, size: int = 3, sigma: float = 1.0) -> np.ndarray:
    """A kernel for convolution over `ndim` axes, float64.

    box: the mean of `size` elements an axis.  gaussian: sampled to 4 sigma.  laplace: the sum of second differences,
    as scipy.ndimage.laplace.  sharpen: the identity less laplace.  sobel-x: as scipy.ndimage.sobel along the last
    axis (-y the one before, -z the third from last).  identity: 1.
    """
    if name not in NAMED_KERNELS:
        raise ValueError(
            f"unknown kernel {name!r}: expected a file, such as k.npy, or one of {', '.join(NAMED_KERNELS)}"
        )
    if name == "box":
        _check_weights("size", size, size**ndim)
        return np.full((size,) * ndim, 1.0 / size**ndim)
    if name == "gaussian":
        line = gaussian_weights(sigma)
        _check_weights("sigma", sigma, len(line) ** ndim)
        kernel = np.ones(())
        for _ in range(ndim):
            kernel = np.multiply.outer(kernel, line)
        return kernel
    if name == "identity":
        return np.ones((1,) * ndim)
    centre = (1,) * ndim
    if name in ("laplace", "sharpen"):
        laplace = np.zeros((3,) * ndim)
        laplace[centre] = -2.0 * ndim
        for axis in range(ndim):
            for side in (0, 2):
                laplace[(*centre[:axis], side, *centre[axis + 1 :])] = 1.0
        if name == "laplace":
            return laplace
        identity = np.zeros_like(laplace)
        identity[centre] = 1.0
        return identity - laplace
    direction = ndim - 1 - "xyz".index(name[-1])
    if direction < 0:
        raise ValueError(f"kernel {name} needs more axes than the {ndim} that are filtered")
    kernel = np.ones(())
    for axis in range(ndim):
        kernel = np.multiply.outer(kernel, [1.0, 0.0, -1.0] if axis == direction else [1.0, 2.0, 1.0])
    return kernel


def _check_weights(name: str, value: float, count: int) -> None:
    if count > MOST_WEIGHTS:
        raise ValueError(
            f"{name} is {value:g}: that is {count:.3g} weights, of which {MOST_WEIGHTS} are held at most; the "
            "operators uniform and gaussian make no such kernel"
        )


def box_taps(size: int) -> int:
    """The length of a box along an axis. Raises ValueError if it is longer than can be summed."""
    if size > MOST_TAPS:
        raise ValueError(f"size is {size}: expected {MOST_TAPS} at most along an axis")
    return size


def rank_one(kernel: np.ndarray) -> list[np.ndarray] | None:
    """The factors whose outer product is the kernel, one for each axis, or None if there are none.

    They are the fibres through the largest element; its value is divided out of all but the first. The product may
    differ from the kernel by four roundings of the kernel's own dtype.
    """
    eps = float(np.finfo(kernel.dtype).eps) if kernel.dtype.kind == "f" else float(np.finfo(np.float64).eps)
    kernel = kernel.astype(np.float64)
    peak = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(kernel))), kernel.shape))
    top = kernel[peak]
    if top == 0:
        return None
    factors = []
    rebuilt = np.ones(())
    for axis in range(kernel.ndim):
        where: tuple[slice | int, ...] = (*peak[:axis], slice(None), *peak[axis + 1 :])
        fibre = kernel[where]
        factor = fibre if axis == 0 else fibre / top
        factors.append(factor.copy())
        rebuilt = rebuilt[..., None] * factor
    return factors if (np.abs(rebuilt - kernel) <= 4 * eps * abs(top)).all() else None
