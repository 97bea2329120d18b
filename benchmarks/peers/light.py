"""What other libraries call the operators that correct light: flat fields, local contrast, backgrounds, classes."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def numpy_rows() -> Table:
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


def skimage_rows() -> Table:
    from skimage import restoration

    def rolling_ball(a: np.ndarray, f: Fields) -> Call:
        return lambda: a - restoration.rolling_ball(a, **only(f, "radius"), workers=1)

    return {"rolling-ball": rolling_ball}
