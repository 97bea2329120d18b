"""Benchmarks of operators: every setting that is timed has its peers, whose values are the mirror's reference."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from benchmarks.operators import fitted, image, inner, timed_dtypes, timed_fields
from benchmarks.peers.imaging import LIBRARIES
from gridstride.workers.operators import registry

# Of these libraries none has the user's function, diffusion, or method mode.
WITHOUT = {"apply", "anisotropic-diffusion", "downsample"}
# Those of another scale, or of a box.
SCALED = {
    ("sobel", "scikit-image"),
    ("prewitt", "scikit-image"),
    ("bilateral", "scikit-image"),
}


@pytest.mark.parametrize("name", registry.names())
def test_what_is_timed_has_a_peer(name: str) -> None:
    libraries = {library: LIBRARIES[library]() for library in ("scipy", "numpy", "scikit-image")}
    reference = import_module(f"tests.operators.{name.replace('-', '_')}").reference
    for terms in timed_fields(name):
        compared = 0
        for shape in ((12, 14, 16), (20, 18)):
            fields = fitted(terms, shape)
            if "kernel" in fields and fields["kernel"].ndim != len(shape):
                continue
            array = image(shape, timed_dtypes(name)[-1])
            axes = {"axes": tuple(axis % len(shape) for axis in fields["axes"])} if "axes" in fields else {}
            for library, table in libraries.items():
                try:
                    found = inner(table[name](array, fields)())
                except KeyError:
                    continue
                compared += 1
                if (name, library) not in SCALED:
                    wanted = inner(reference(array, **fields | axes))
                    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
        assert compared or name in WITHOUT, terms
