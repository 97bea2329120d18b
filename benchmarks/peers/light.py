"""What other libraries call the operators that correct light: flat fields, local contrast, backgrounds, classes."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def numpy_table() -> Table:
    def flatfield(a: np.ndarray, f: Fields) -> Call:
        flat, dark = (np.asarray(only(f, "flat", "dark", "log")[name], np.float32) for name in ("flat", "dark"))

        def call() -> np.ndarray:
            quotient = (a - dark) / (flat - dark)
            with np.errstate(all="ignore"):
                return -np.log(quotient) if f.get("log") else quotient

        return call

    def one_hot(a: np.ndarray, f: Fields) -> Call:
        classes, axis = only(f, "classes", "axis", "outside")["classes"], f.get("axis", -1)
        table = np.eye(256 * 256, classes, dtype=np.uint8)
        return lambda: table[a] if axis == -1 else np.moveaxis(table[a], -1, axis).copy()

    return {"flatfield": flatfield, "one-hot": one_hot}


def skimage_table() -> Table:
    from skimage import exposure, filters, restoration

    def rolling_ball(a: np.ndarray, f: Fields) -> Call:
        return lambda: a - restoration.rolling_ball(a, **only(f, "radius"), workers=1)

    def clahe(a: np.ndarray, f: Fields) -> Call:
        image = a / a.max() if a.dtype.kind == "f" else a
        return lambda: exposure.equalize_adapthist(image, **f)

    def local_threshold(a: np.ndarray, f: Fields) -> Call:
        size, method = only(f, "block_size", "method")["block_size"], f.get("method", "gaussian")
        if method in ("niblack", "sauvola"):
            return lambda: a > getattr(filters, f"threshold_{method}")(a, size)
        return lambda: a > filters.threshold_local(a, size, method)

    return {"rolling-ball": rolling_ball, "clahe": clahe, "local-threshold": local_threshold}


def mclahe_table() -> Table:
    """Of the package of that name (V. Stimper et al., 2019), which needs TensorFlow and NumPy below 2."""
    import mclahe

    return {"clahe": lambda a, f: lambda: mclahe.mclahe(a.astype(np.float32), n_bins=256, use_gpu=False, **only(f))}


def opencv_table() -> Table:
    import cv2

    def clahe(a: np.ndarray, f: Fields) -> Call:
        """Of images of two axes; it neither rescales them nor their result."""
        only(f)
        if a.ndim != 2:
            raise KeyError("no three axes")
        equaliser = cv2.createCLAHE(0.01 * 256, (8, 8))
        return lambda: equaliser.apply(a)

    def local_threshold(a: np.ndarray, f: Fields) -> Call:
        """Of uint8 and two axes, with means rounded to whole numbers."""
        size, method = only(f, "block_size", "method")["block_size"], f.get("method", "gaussian")
        if a.ndim != 2 or method not in ("mean", "gaussian"):
            raise KeyError(f"no three axes, no {method}")
        kind = cv2.ADAPTIVE_THRESH_MEAN_C if method == "mean" else cv2.ADAPTIVE_THRESH_GAUSSIAN_C
        return lambda: cv2.adaptiveThreshold(a, 1, kind, cv2.THRESH_BINARY, size, 0)

    return {"clahe": clahe, "local-threshold": local_threshold}
