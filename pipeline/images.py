"""Image jobs: convolution and filters over the axes of a Zarr array, with scipy.ndimage's meaning.

The functions here are the Python API; the commands call them. Each builds a `Job` and runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import UsageError, first_line
from gridstride.pipeline.job import Job, Prepared, Summary
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage.create import compressor
from gridstride.pipeline.storage.describe import SERIES, ArrayInfo, describe
from gridstride.pipeline.storage.paths import place
from gridstride.workers.operators import build

NAMED_KERNELS = ("box", "gaussian", "sharpen", "laplace", "sobel-x", "sobel-y", "sobel-z", "identity")
# float32 holds integers exactly up to 2^24: wider types are summed in float64 unless the user says otherwise.
WIDE = ("int32", "uint32", "int64", "uint64", "float64")


def find_axes(
    info: ArrayInfo, axes: Sequence[str | int] | None, spatial: int | None, last: int | None = None
) -> list[int]:
    """The axes to filter, as numbers.

    By name or number from `axes`; or the last `spatial`; or the last `last`; or else all but those whose names mark
    them as a series (time, channel). Raises UsageError for an axis that is not there.
    """
    names = [name if name is not None else "" for name in info.dimension_names]
    shown = ", ".join(f"{i}{f' ({n})' if n else ''}" for i, n in enumerate(names))
    if axes is not None and spatial is not None:
        raise UsageError("give --axes or --spatial, not both")
    if axes is not None:
        found = []
        for axis in axes:
            text = str(axis).strip()
            if text in names and text:
                number = names.index(text)
            elif text.lstrip("-").isdigit() and -info.ndim <= int(text) < info.ndim:
                number = int(text) % info.ndim
            else:
                raise UsageError(f"unknown axis {text!r}: {info.path} has {shown}")
            if number in found:
                raise UsageError(f"axis {text!r} is given twice")
            found.append(number)
        if not found:
            raise UsageError("--axes names no axis")
        return found
    count = spatial if spatial is not None else last
    if count is not None:
        if not 1 <= count <= info.ndim:
            what = f"--spatial is {count}" if spatial is not None else f"the kernel has {count} dimensions"
            raise UsageError(f"{what}: the array has {info.ndim} axes ({shown})")
        return list(range(info.ndim - count, info.ndim))
    series = [i for i, name in enumerate(names) if name.lower() in SERIES]
    return [i for i in range(info.ndim) if i not in series] or list(range(info.ndim))


def _dtype(text: str | None, default: np.dtype) -> np.dtype:
    if text is None:
        return default
    try:
        dtype = np.dtype(text)
    except TypeError:
        raise UsageError(f"unknown dtype {text!r}: expected such as uint16 or float32") from None
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise UsageError(f"--dtype {text}: expected bool, an integer or a real floating-point type")
    return dtype.newbyteorder("=")


def _precision(text: str, *dtypes: np.dtype) -> str:
    if text not in ("auto", "single", "double"):
        raise UsageError(f"unknown precision {text!r}: expected auto, single or double")
    if text == "auto":
        return "double" if any(dtype.name in WIDE for dtype in dtypes) else "single"
    return text


def named_kernel(name: str, ndim: int, size: int = 3, sigma: float = 1.0) -> np.ndarray:
    """A kernel for convolution over `ndim` axes, float64.

    box: the mean of `size` elements an axis.  gaussian: sampled to 4 sigma.  laplace: the sum of second differences,
    as scipy.ndimage.laplace.  sharpen: the identity less laplace.  sobel-x: as scipy.ndimage.sobel along the last
    axis (-y the one before, -z the third from last).  identity: 1.
    """
    if name not in NAMED_KERNELS:
        raise UsageError(f"unknown kernel {name!r}: expected a .npy file or one of {', '.join(NAMED_KERNELS)}")
    if name == "box":
        if size < 1:
            raise UsageError(f"--size {size}: expected 1 or more")
        return np.full((size,) * ndim, 1.0 / size**ndim)
    if name == "gaussian":
        if not sigma > 0:
            raise UsageError(f"--sigma {sigma}: expected a number above 0")
        line = build.gaussian_weights(sigma)
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
        raise UsageError(f"kernel {name} needs more axes than the {ndim} that are filtered")
    kernel = np.ones(())
    for axis in range(ndim):
        kernel = np.multiply.outer(kernel, [1.0, 0.0, -1.0] if axis == direction else [1.0, 2.0, 1.0])
    return kernel


def load_kernel(kernel: str | Path | np.ndarray) -> np.ndarray | None:
    """A kernel from an array or a .npy file; None if it is a name."""
    if isinstance(kernel, np.ndarray):
        array = kernel
    else:
        path = Path(kernel)
        if path.suffix != ".npy" and not path.exists():
            return None
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UsageError(f"kernel {path} cannot be read as a .npy file: {first_line(error)}") from None
    if array.dtype.kind not in "buif":
        raise UsageError(f"the kernel has dtype {array.dtype}: expected real numbers")
    if array.size == 0 or array.ndim == 0:
        raise UsageError(f"the kernel is empty (shape {array.shape}): expected at least one entry and one dimension")
    if not np.isfinite(array).all():
        raise UsageError("the kernel has NaN or infinite entries")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _job(info: ArrayInfo, out: str | Path, operator: Any, layout: dict[str, Any], request: dict[str, Any]) -> Job:
    codec = layout.get("codec") or "lz4"
    compressor(codec, operator.out_dtype)
    shape = operator.out_shape(info.shape)
    chunks, shards = jobs.output_layout(info, shape, layout.get("chunks"), layout.get("shards"))
    return Job(info, place(out), operator, chunks, shards, codec, request)


def _request(command: str, **parameters: Any) -> dict[str, Any]:
    """The user's terms as plain values, for provenance."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {"shape": list(value.shape), "dtype": value.dtype.name}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return str(value) if isinstance(value, Path) else value

    return {"command": command, **{k: plain(v) for k, v in parameters.items() if v is not None}}


def prepare_convolution(
    command: str,
    input: str | Path,
    out: str | Path,
    kernel: str | Path | np.ndarray,
    *,
    array: str | None = None,
    axes: Sequence[str | int] | None = None,
    spatial: int | None = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    origin: Any = 0,
    channels: str | int | None = None,
    bias: Any = None,
    size: int = 3,
    sigma: float = 1.0,
    dtype: str | None = None,
    precision: str = "auto",
    cast: str = "round",
    algorithm: str = "auto",
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    codec: str | None = None,
    options: RunOptions | None = None,
) -> Prepared:
    """Check and plan a convolution or correlation; see `convolve`."""
    info = describe(input, array)
    loaded = load_kernel(kernel)
    channel_axis = None if channels is None else find_axes(info, [channels], None)[0]
    if loaded is not None:
        dimensions = loaded.ndim - (0 if channel_axis is None else 2)
        if axes is None and spatial is None and channel_axis is not None:
            rest = [a for a in range(info.ndim) if a != channel_axis]
            if not 1 <= dimensions <= len(rest):
                raise UsageError(
                    f"the kernel has {loaded.ndim} dimensions: expected (outputs, channels, then one for each filtered "
                    f"axis, at most {len(rest)})"
                )
            found = rest[len(rest) - dimensions :]
        else:
            found = find_axes(info, axes, spatial, dimensions)
    else:
        if channel_axis is not None:
            raise UsageError("--channels needs a kernel file with (outputs, channels, ...) dimensions")
        found = find_axes(info, axes, spatial)
        loaded = named_kernel(str(kernel), len(found), size, sigma)
    if channel_axis in found:
        raise UsageError(f"axis {channels!r} is the channel axis: it is summed over, not filtered")
    if bias is not None:
        loaded_bias = load_kernel(bias)
        if loaded_bias is None:
            raise UsageError(f"bias {bias} does not exist")
        if channel_axis is None:
            raise UsageError("--bias needs --channels")
        bias = loaded_bias.astype(np.float64)
    out_dtype = _dtype(dtype, info.dtype)
    try:
        operator = build.convolution(
            info.shape,
            found,
            loaded,
            out_dtype,
            flip=command == "convolve",
            mode=mode,
            cval=cval,
            origin=origin,
            precision=_precision(precision, info.dtype, out_dtype),
            cast=cast,  # type: ignore[arg-type]
            algorithm=algorithm,
            channel_axis=channel_axis,
            bias=bias,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    request = _request(
        command, kernel=kernel, axes=found, mode=mode, cval=cval, origin=origin, channels=channels,
        dtype=out_dtype.name, precision=operator.precision, cast=cast, size=size if str(kernel) == "box" else None,
        sigma=sigma if str(kernel) == "gaussian" else None,
    )  # fmt: skip
    layout = {"chunks": chunks, "shards": shards, "codec": codec}
    return jobs.prepare(_job(info, out, operator, layout, request), options or RunOptions())


def prepare_filter(
    command: str,
    input: str | Path,
    out: str | Path,
    *,
    array: str | None = None,
    axes: Sequence[str | int] | None = None,
    spatial: int | None = None,
    mode: Any = "reflect",
    cval: float = 0.0,
    dtype: str | None = None,
    precision: str = "auto",
    cast: str = "round",
    chunks: Sequence[int] | None = None,
    shards: Sequence[int] | None = None,
    codec: str | None = None,
    options: RunOptions | None = None,
    **parameters: Any,
) -> Prepared:
    """Check and plan a gaussian or uniform filter; see `gaussian` and `uniform`."""
    info = describe(input, array)
    found = find_axes(info, axes, spatial)
    out_dtype = _dtype(dtype, info.dtype)
    make: Any = {"gaussian": build.gaussian, "uniform": build.uniform}[command]
    try:
        operator = make(
            info.ndim,
            found,
            out_dtype=out_dtype,
            mode=mode,
            cval=cval,
            precision=_precision(precision, info.dtype, out_dtype),
            cast=cast,
            **parameters,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    request = _request(
        command, axes=found, mode=mode, cval=cval, dtype=out_dtype.name, precision=operator.precision, cast=cast,
        **parameters,
    )  # fmt: skip
    layout = {"chunks": chunks, "shards": shards, "codec": codec}
    return jobs.prepare(_job(info, out, operator, layout, request), options or RunOptions())


def _split(arguments: dict[str, Any]) -> dict[str, Any]:
    """Gather the run options among keyword arguments into one `RunOptions`."""
    names = RunOptions.__dataclass_fields__
    options = {name: arguments.pop(name) for name in list(arguments) if name in names}
    if options.get("block") is not None:
        options["block"] = tuple(options["block"])
    return {**arguments, "options": replace(RunOptions(), **options)}


def convolve(input: str | Path, out: str | Path, kernel: str | Path | np.ndarray, **arguments: Any) -> Summary:
    """Convolve a Zarr array with a kernel into another, as scipy.ndimage.convolve.

    kernel: an array, a .npy file, or one of NAMED_KERNELS; one dimension for each filtered axis. With `channels`
            (an axis), (outputs, channels, ...): out_o = sum over c of in_c * K_{o,c} + bias_o.
    Keywords: array, axes, spatial, mode, cval, origin, channels, bias, dtype, precision ("auto", "single",
    "double"), cast ("round" or "scipy"), algorithm, chunks, shards, codec, and those of `RunOptions`.
    Returns a Summary. Raises UsageError if the request is wrong; blocks that failed are in `summary.failed`.
    """
    return jobs.run(prepare_convolution("convolve", input, out, kernel, **_split(arguments)))


def correlate(input: str | Path, out: str | Path, kernel: str | Path | np.ndarray, **arguments: Any) -> Summary:
    """Correlate a Zarr array with a kernel into another, as scipy.ndimage.correlate; keywords as `convolve`."""
    return jobs.run(prepare_convolution("correlate", input, out, kernel, **_split(arguments)))


def gaussian(input: str | Path, out: str | Path, sigma: Any, **arguments: Any) -> Summary:
    """Gaussian filter, as scipy.ndimage.gaussian_filter. sigma in elements, one or one per filtered axis.

    Keywords: order, truncate, radius, and those of `convolve` but kernel, origin, channels, bias and algorithm.
    """
    return jobs.run(prepare_filter("gaussian", input, out, sigma=sigma, **_split(arguments)))


def uniform(input: str | Path, out: str | Path, size: Any, **arguments: Any) -> Summary:
    """Mean filter, as scipy.ndimage.uniform_filter. size in elements, one or one per filtered axis; also origin."""
    return jobs.run(prepare_filter("uniform", input, out, size=size, **_split(arguments)))
