"""What libraries call gridstride's operators of objects, each on one thread. Their numbers may be in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.operators import Call, Fields, Row, Table, only


def connectivity(f: Fields, default: int = 1) -> int:
    return int(f.get("connectivity", default))


def scipy_table() -> Table:
    from scipy import ndimage

    def label(a: np.ndarray, f: Fields) -> Call:
        structure = ndimage.generate_binary_structure(a.ndim, connectivity(only(f, "connectivity")))
        return lambda: ndimage.label(a, structure)[0]

    return {"label": label, "fill-holes": lambda a, f: lambda: ndimage.binary_fill_holes(a)}


def skimage_table() -> Table:
    from skimage import measure, morphology, segmentation

    def label(a: np.ndarray, f: Fields) -> Call:
        return lambda: measure.label(a, connectivity=connectivity(only(f, "connectivity")))

    def remove_small(a: np.ndarray, f: Fields) -> Call:
        most = only(f, "size", "connectivity")["size"] - 1
        return lambda: morphology.remove_small_objects(a, max_size=most, connectivity=connectivity(f))

    def clear_border(a: np.ndarray, f: Fields) -> Call:
        return lambda: segmentation.clear_border(a, **only(f, "buffer_size"))

    return {"label": label, "remove-small": remove_small, "clear-border": clear_border}


def diplib_table() -> Table:
    import diplib as dip

    dip.SetNumberOfThreads(1)

    def of(function: Callable[[Any], Any]) -> Row:
        def row(a: np.ndarray, f: Fields) -> Call:
            image = dip.Image(a)
            return lambda: function(image)

        return row

    def label(a: np.ndarray, f: Fields) -> Call:
        image = dip.Image(a)
        return lambda: dip.Label(image, connectivity=connectivity(only(f, "connectivity")))

    def remove_small(a: np.ndarray, f: Fields) -> Call:
        image, size = dip.Image(a), only(f, "size")["size"]
        return lambda: dip.SmallObjectsRemove(image, size, connectivity=1)

    return {
        "label": label,
        "remove-small": remove_small,
        "fill-holes": of(lambda image: dip.FillHoles(image, connectivity=1)),
        "clear-border": of(lambda image: dip.EdgeObjectsRemove(image, connectivity=image.Dimensionality())),
    }


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    def label(a: np.ndarray, f: Fields) -> Call:
        image, reach = sitk.GetImageFromArray(a.view(np.uint8)), connectivity(only(f, "connectivity"))
        if reach not in (1, a.ndim):
            raise KeyError("connectivity 1 or all")
        return lambda: sitk.ConnectedComponent(image, reach > 1)

    def fill_holes(a: np.ndarray, f: Fields) -> Call:
        image = sitk.GetImageFromArray(a.view(np.uint8))
        return lambda: sitk.BinaryFillhole(image, foregroundValue=1)

    return {"label": label, "fill-holes": fill_holes}


def cc3d_table() -> Table:
    import cc3d

    def named(a: np.ndarray, f: Fields) -> int:
        """How cc3d calls a connectivity: by the number of neighbours."""
        return {2: (4, 8), 3: (6, 18, 26)}[a.ndim][connectivity(f) - 1]

    def label(a: np.ndarray, f: Fields) -> Call:
        reach = named(a, only(f, "connectivity"))
        return lambda: cc3d.connected_components(a, connectivity=reach)

    def remove_small(a: np.ndarray, f: Fields) -> Call:
        size, reach = only(f, "size", "connectivity")["size"], named(a, f)
        return lambda: cc3d.dust(a, threshold=size, connectivity=reach)

    return {"label": label, "remove-small": remove_small}


def fill_voids_table() -> Table:
    import fill_voids

    return {"fill-holes": lambda a, f: lambda: fill_voids.fill(a)}
