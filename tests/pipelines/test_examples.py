"""The pipelines of examples/pipelines on a part of the real nuclei, beside scipy and scikit-image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from scipy import ndimage
from skimage import filters, morphology, restoration, transform

from gridstride.pipeline import api
from gridstride.pipeline.pipelines.file import load_pipeline
from gridstride.workers import cluster

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PIPELINES = sorted(path.stem for path in (EXAMPLES / "pipelines").glob("*.yaml"))


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


@pytest.fixture(scope="module")
def nuclei() -> np.ndarray:
    return tifffile.imread(EXAMPLES / "data" / "cells3d_nuclei.tif")[20:44, 90:186, 130:226]


def smooth(image: np.ndarray) -> np.ndarray:
    """The nuclei less their background, as the first steps of the pipelines of nuclei make it."""
    calm = ndimage.median_filter(image, 3).astype(np.float32)
    return ndimage.gaussian_filter(calm, 1.5) - ndimage.gaussian_filter(calm, 25)


def labels(image: np.ndarray) -> np.ndarray:
    found = smooth(image)
    mask = ndimage.binary_fill_holes(found > filters.threshold_otsu(found))
    return ndimage.label(morphology.remove_small_objects(mask, max_size=499))[0]


def deconvolved(image: np.ndarray) -> np.ndarray:
    psf = np.load(EXAMPLES / "data" / "psf.npy").astype(float)
    return restoration.richardson_lucy(image.astype(float), psf / psf.sum(), 10, clip=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_it_gives_what_other_libraries_give(
    name: str, nuclei: np.ndarray, store: Any, tmp_path: Path, client: Any
) -> None:
    file, out = EXAMPLES / "pipelines" / f"{name}.yaml", tmp_path / "out.zarr"
    source = store(nuclei, (12, 32, 48), dimension_names=["z", "y", "x"])
    summary = api.run(api.prepare(load_pipeline(file), source, out, device="cpu"), client)
    assert not summary.failed
    result = zarr.open_array(str(out))[...]
    if name == "nuclei-labels":
        wanted = labels(nuclei)
        assert wanted.max() >= 3
        assert (result != wanted).mean() < 1e-4  # what lies at the threshold to within rounding may be on either side
    elif name == "nuclei-detection":
        found = smooth(nuclei)
        assert (result != (found > filters.threshold_otsu(found))).mean() < 1e-4
    elif name == "nuclei-deconvolution":
        wanted = deconvolved(nuclei)
        np.testing.assert_allclose(result, wanted, atol=1e-4 * wanted.max())
    elif name == "overview":
        calm = ndimage.median_filter(nuclei, 3)
        np.testing.assert_array_equal(result, np.rint(transform.downscale_local_mean(calm, (2, 2, 2))).max(0))
    else:
        assert result.shape == (3, 24, 48, 48)
        np.testing.assert_allclose(result.sum(0), 1, rtol=1e-6)
