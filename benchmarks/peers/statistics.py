"""What libraries call gridstride's operators of values: ranges, and what follows from the whole array's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table


def numpy_table() -> Table:
    def clip(a: np.ndarray, f: Fields) -> Call:
        return lambda: np.clip(a, f.get("low"), f.get("high"))

    return {"clip": clip}


def diplib_table() -> Table:
    import diplib as dip

    def clip(a: np.ndarray, f: Fields) -> Call:
        of = dip.Image(a)
        return lambda: dip.ClipRange(of, f["low"], f["high"])

    return {"clip": clip}


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    def clip(a: np.ndarray, f: Fields) -> Call:
        of = sitk.GetImageFromArray(a)
        return lambda: sitk.Clamp(of, of.GetPixelID(), f["low"], f["high"])

    return {"clip": clip}


def opencv_table() -> Table:
    import cv2

    cv2.setNumThreads(1)

    def clip(a: np.ndarray, f: Fields) -> Call:
        rows: Any = a.reshape(a.shape[0], -1)
        return lambda: cv2.max(cv2.min(rows, f["high"]), f["low"])

    return {"clip": clip}
