"""The sweep on a real local cluster: Zarr to Zarr equals scipy on the whole array, however it is cut."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

import gridstride
from gridstride.pipeline import api, runner
from gridstride.pipeline import job as jobs
from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.storage.describe import describe
from gridstride.pipeline.storage.journal import Journal
from gridstride.pipeline.storage.regions import open_regions
from gridstride.workers import cluster
from gridstride.workers.families.weights import named_kernel

SCIPY: dict[str, Any] = {"precision": "double", "cast": "scipy"}


@pytest.fixture(scope="module")
def client() -> Any:
    """Two workers of two threads."""
    with cluster.start("cpu", cluster.Size(2, 2, 4_000_000_000)) as client:
        yield client


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"device": "cpu", "workers": 2, **changes})


def run(prepared: Any, client: Any) -> np.ndarray:
    """Run a job, check that every block was made by the batches themselves, and return its result."""
    summary = api.run(prepared, client)
    assert (summary.computed, summary.retried, summary.failed) == (summary.plan.blocks, 0, {})
    return zarr.open_array(str(prepared.out), mode="r")[...]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_result_is_scipys_whatever_the_blocks_batches_and_shards(data: Any, client: Any, tmp_path: Path) -> None:
    draw = data.draw
    ndim = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 60 if ndim == 1 else 26)) for _ in range(ndim))
    chunks = tuple(draw(st.integers(1, 7)) for _ in range(ndim))
    shards = tuple(c * draw(st.integers(1, 3)) for c in chunks) if draw(st.booleans()) else None
    unit = shards or chunks
    modes = [draw(st.sampled_from(["reflect", "mirror", "nearest", "wrap", "constant"])) for _ in range(ndim)]
    sigma = draw(st.sampled_from([0.4, 0.8]))
    block = tuple(u * (3 // u + draw(st.integers(1, 3))) for u in unit)
    array = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 60000, shape).astype(np.uint16)
    for name in ("in", "out"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    node = zarr.create_array(str(tmp_path / "in"), shape=shape, chunks=chunks, dtype=array.dtype)
    node[...] = array
    halos = draw(st.sampled_from(["exchange", "read"]))
    prepared = api.prepare(
        "gaussian", tmp_path / "in", tmp_path / "out", sigma=sigma, mode=modes, cval=5.0, chunks=chunks, shards=shards,
        options=options(block=block, halos=halos), **SCIPY,
    )  # fmt: skip
    batch = tuple(draw(st.integers(1, n)) for n in prepared.plan.grid)
    plan = replace(prepared.plan, batch=batch)
    prepared = replace(prepared, plan=plan)
    result = run(prepared, client)
    np.testing.assert_array_equal(result, ndimage.gaussian_filter(array, sigma, mode=modes, cval=5.0))


def test_batches_read_each_block_once(store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).integers(0, 255, (160, 8, 8)).astype(np.uint8)
    source = store(array, (10, 8, 8))
    prepared = api.prepare(
        "gaussian",
        source,
        tmp_path / "out.zarr",
        sigma=1.0,
        options=options(block=(10, 8, 8), halos="exchange"),
        **SCIPY,
    )
    plan = replace(prepared.plan, batch=(4, 1, 1))

    seen: list[Any] = []
    original = type(client).submit

    def submit(self: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(function, "__name__", "") == "read_region":
            seen.append(kwargs["key"])
        return original(self, function, *args, **kwargs)

    type(client).submit = submit
    try:
        result = run(replace(prepared, plan=plan), client)
    finally:
        type(client).submit = original
    np.testing.assert_array_equal(result, ndimage.gaussian_filter(array, 1.0))
    assert len(seen) == 16
    assert len(set(seen)) == 16


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True])
def test_no_voxel_is_lost_where_a_naive_store_loses_them(store: Any, tmp_path: Path, sharded: bool) -> None:
    """Four worker processes; blocks that are not whole write units would lose 16-33 % here (dask#12583)."""
    array = np.random.default_rng(3).integers(1, 60000, (100, 90, 70)).astype(np.uint16)
    layout: dict[str, Any] = {"chunks": (16, 15, 14)} if not sharded else {"chunks": (8, 5, 7), "shards": (16, 15, 14)}
    source = store(array, (20, 20, 20))
    out = tmp_path / "out.zarr"
    summary = gridstride.convolve(
        source, out, "identity", workers=4, device="cpu", block=(16, 30, 14), spatial=3, **layout
    )
    assert summary.failed == {}
    assert summary.retried == 0
    node = zarr.open_array(str(out), mode="r")
    assert (node.chunks, node.shards) == (layout["chunks"], layout.get("shards"))
    np.testing.assert_array_equal(node[...], array)


def test_channels_from_and_to_zarr(store: Any, tmp_path: Path, client: Any) -> None:
    rng = np.random.default_rng(5)
    array = rng.normal(size=(3, 40, 50)).astype(np.float32)
    kernel, bias = rng.normal(size=(5, 3, 3, 3)), rng.normal(size=5)
    source = store(array, (1, 16, 16), dimension_names=["c", "y", "x"])
    np.save(tmp_path / "bias.npy", bias)
    prepared = api.prepare(
        "correlate", source, tmp_path / "out", kernel=kernel, channels="c", bias=tmp_path / "bias.npy",
        precision="double", options=options(block=(5, 16, 32)),
    )  # fmt: skip
    result = run(prepared, client)
    wide = array.astype(np.float64)
    expected = [sum(ndimage.correlate(wide[c], kernel[o, c]) for c in range(3)) + bias[o] for o in range(5)]
    np.testing.assert_allclose(result, np.stack(expected), rtol=1e-6, atol=1e-6)
    assert zarr.open_array(str(tmp_path / "out")).metadata.dimension_names == ("c", "y", "x")


def test_zarr_v2_and_codecs_tensorstore_lacks_are_read(tmp_path: Path, client: Any) -> None:
    from numcodecs import LZMA, Delta

    array = np.random.default_rng(0).integers(0, 4000, (30, 31)).astype(">u2")
    for i, extra in enumerate(({}, {"filters": [Delta(dtype=">u2")], "compressors": LZMA()})):
        path = tmp_path / f"v2-{i}"
        node = zarr.create_array(str(path), shape=array.shape, chunks=(8, 8), dtype=">u2", zarr_format=2, **extra)
        node[...] = array
        engine = open_regions(str(path.resolve())).engine
        assert engine == ("zarr-python" if extra else "tensorstore")
        prepared = api.prepare("uniform", path, tmp_path / f"out-{i}", size=3, options=options(block=(8, 16)), **SCIPY)
        np.testing.assert_array_equal(run(prepared, client), ndimage.uniform_filter(array.astype("u2"), 3))
        assert json.loads((tmp_path / f"out-{i}" / "zarr.json").read_text())["zarr_format"] == 3


def test_attributes_names_and_provenance_are_carried_over(store: Any, tmp_path: Path, client: Any) -> None:
    source = store(
        np.zeros((6, 8, 9), np.uint8),
        (2, 4, 4),
        dimension_names=["t", "y", "x"],
        attributes={"voxel_size": [1, 0.3, 0.3]},
    )
    out = tmp_path / "out.zarr"
    prepared = api.prepare("gaussian", source, out, sigma=1.5, options=options())
    run(prepared, client)
    info = describe(out)
    assert info.dimension_names == ("t", "y", "x")
    assert info.attributes["voxel_size"] == [1, 0.3, 0.3]
    made = info.attributes["gridstride"]
    assert made["version"] == gridstride.__version__
    assert made["request"]["command"] == "gaussian"
    assert made["request"]["sigma"] == 1.5
    assert made["request"]["axes"] == [1, 2]  # a time axis is not smoothed over unless it is asked for
    assert made["input"]["path"] == source
    assert info.codecs == "blosc-lz4 (bitshuffle)"


def test_sharded_input_gives_sharded_output(store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).random((40, 44)).astype(np.float32)
    source = store(array, (5, 4), shards=(10, 20))
    prepared = api.prepare(
        "convolve", source, tmp_path / "out", kernel="sobel-x", options=options(block=(10, 20)), **SCIPY
    )
    expected = ndimage.convolve(array, named_kernel("sobel-x", 2))
    np.testing.assert_array_equal(run(prepared, client), expected)
    info = describe(tmp_path / "out")
    assert (info.chunks, info.shards) == ((5, 4), (10, 20))


@pytest.mark.parametrize("shape", [(0,), (5, 0), (0, 4, 4)])
def test_an_empty_array_gives_an_empty_result(store: Any, tmp_path: Path, shape: tuple[int, ...]) -> None:
    source = store(np.zeros(shape, np.uint16), tuple(max(1, n) for n in shape))
    summary = gridstride.gaussian(source, tmp_path / "out", 1.0, device="cpu")
    assert summary.computed == 0
    assert zarr.open_array(str(tmp_path / "out")).shape == shape


def test_named_kernels_are_scipys_filters() -> None:
    array = np.random.default_rng(0).random((9, 10, 11))
    for i, name in enumerate(("sobel-z", "sobel-y", "sobel-x")):
        np.testing.assert_allclose(
            ndimage.convolve(array, named_kernel(name, 3)), ndimage.sobel(array, axis=i), atol=1e-12
        )
    laplace = ndimage.convolve(array, named_kernel("laplace", 3))
    np.testing.assert_allclose(laplace, ndimage.laplace(array), atol=1e-12)
    np.testing.assert_allclose(ndimage.convolve(array, named_kernel("sharpen", 3)), array - laplace, atol=1e-12)
    np.testing.assert_allclose(
        ndimage.convolve(array, named_kernel("gaussian", 3, sigma=0.8)),
        ndimage.gaussian_filter(array, 0.8),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        ndimage.convolve(array, named_kernel("box", 3, size=5)),
        ndimage.uniform_filter(array, 5),
        atol=1e-12,
    )


def test_a_corrupt_chunk_fails_the_blocks_that_need_it_and_no_others(store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).integers(0, 60000, (60, 60)).astype(np.uint16)
    source = store(array, (10, 10))
    Path(source, "c", "5", "5").write_bytes(b"this is no blosc frame")
    out = tmp_path / "out"
    prepared = api.prepare("gaussian", source, out, sigma=0.5, options=options(block=(20, 20)), **SCIPY)
    summary = api.run(prepared, client)
    # Only block 2.2 holds the chunk; the halo of 2 of its neighbours ends before it.
    assert list(summary.failed) == ["2.2"]
    assert len(summary.failed["2.2"]) == 1
    assert "c/5/5" in summary.failed["2.2"][0]
    assert summary.computed == 8
    expected = ndimage.gaussian_filter(array, 0.5)
    result = zarr.open_array(str(out), mode="r")[...]
    np.testing.assert_array_equal(result[:40], expected[:40])
    np.testing.assert_array_equal(result[:, :40], expected[:, :40])
    with pytest.raises(Exception, match="1 of 9 blocks failed"):
        summary.raise_if_failed()
    # Mended, the job goes on where it stopped.
    zarr.open_array(source)[50:, 50:] = array[50:, 50:]
    summary = api.run(jobs.resume(out, options()), client)
    assert (summary.computed, summary.skipped, summary.failed) == (1, 8, {})
    np.testing.assert_array_equal(zarr.open_array(str(out), mode="r")[...], expected)
    # But what finished blocks were made from must not change under them.
    zarr.open_array(source)[:10, :10] = 0
    with pytest.raises(UsageError, match="has changed since"):
        jobs.resume(out, options())


def test_summary_accounts_for_the_time(store: Any, tmp_path: Path, client: Any) -> None:
    array = np.random.default_rng(0).random((64, 64, 64)).astype(np.float32)
    prepared = api.prepare(
        "gaussian",
        store(array, (16, 16, 16)),
        tmp_path / "out",
        sigma=1.0,
        options=options(block=(32, 32, 32), halos="exchange"),
    )
    summary = api.run(prepared, client)
    assert summary.voxels == array.size
    assert summary.bytes_in == summary.bytes_out == array.nbytes
    assert {"read + decode", "kernel", "encode + write", "halo"} <= set(summary.stages)
    assert all(seconds >= 0 for seconds in summary.stages.values())
    assert json.loads((tmp_path / "out" / ".gridstride" / "summary.json").read_text())["computed"] == 8


def test_positions_beyond_two_to_the_31_are_right(tmp_path: Path, client: Any) -> None:
    """An array of 2^33 elements, of which only the last are written; all blocks but the last two count as done."""
    size, chunk = 2**33, 2**20
    source = tmp_path / "huge"
    node = zarr.create_array(str(source), shape=(size,), chunks=(chunk,), dtype="u2")
    tail = np.random.default_rng(0).integers(0, 60000, 2 * chunk + 50).astype(np.uint16)
    node[size - len(tail) :] = tail
    prepared = api.prepare(
        "gaussian", source, tmp_path / "out", sigma=2.0, options=options(block=(chunk,), ignore_disk=True), **SCIPY
    )
    book = Journal(tmp_path / "out")
    book.lock()
    runner._create(prepared, book)
    for i in range(prepared.plan.blocks - 2):
        book.marker((i,)).touch()
    book.unlock()
    summary = api.run(jobs.resume(tmp_path / "out", options(ignore_disk=True)), client)
    assert (summary.computed, summary.retried, summary.skipped) == (2, 0, size // chunk - 2)
    result = zarr.open_array(str(tmp_path / "out"), mode="r")[size - 2 * chunk :]
    np.testing.assert_array_equal(result, ndimage.gaussian_filter(tail, 2.0)[-2 * chunk :])
