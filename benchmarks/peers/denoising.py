"""What libraries call gridstride's operators of many passes: denoising and deconvolution."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def skimage_table() -> Table:
    from skimage import restoration

    def total_variation(a: np.ndarray, f: Fields) -> Call:
        weight, count = only(f, "weight", "iterations")["weight"], f["iterations"]
        return lambda: restoration.denoise_tv_chambolle(a, weight, eps=0, max_num_iter=count)

    return {"denoise-tv": total_variation}
