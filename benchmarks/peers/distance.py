"""What libraries call distances and labels that grow, each on one thread."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def scipy_table() -> Table:
    from scipy import ndimage

    def edt(a: np.ndarray, f: Fields) -> Call:
        """Of all distances, then cut."""
        most = only(f, "max_distance").get("max_distance")
        if most is None:
            return lambda: ndimage.distance_transform_edt(a)
        return lambda: np.minimum(ndimage.distance_transform_edt(a), most)

    return {"edt": edt}


def skimage_table() -> Table:
    from skimage import segmentation

    return {"expand-labels": lambda a, f: lambda: segmentation.expand_labels(a, **f)}


def edt_table() -> Table:
    import edt

    def distances(a: np.ndarray, f: Fields) -> Call:
        only(f)
        return lambda: edt.edt(a, parallel=1)

    return {"edt": distances}


def diplib_table() -> Table:
    import diplib as dip

    def edt(a: np.ndarray, f: Fields) -> Call:
        image = dip.Image(a)
        only(f)
        return lambda: dip.EuclideanDistanceTransform(image, "object", "separable")

    return {"edt": edt}


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    def edt(a: np.ndarray, f: Fields) -> Call:
        image = sitk.GetImageFromArray(a.view(np.uint8))
        only(f)
        return lambda: sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False)

    return {"edt": edt}


def opencv_table() -> Table:
    import cv2

    def edt(a: np.ndarray, f: Fields) -> Call:
        only(f)
        if a.ndim != 2:
            raise KeyError("no three axes")
        image = a.view(np.uint8)
        return lambda: cv2.distanceTransform(image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)

    return {"edt": edt}
