"""What libraries call gridstride's operators of many passes: denoising and deconvolution."""

from __future__ import annotations

import numpy as np

from benchmarks.peers.operators import Call, Fields, Table, only


def unit(f: Fields) -> np.ndarray:
    """The point spread function, with a sum of 1."""
    psf = np.asarray(only(f, "psf", "iterations")["psf"], np.float32)
    return psf / psf.sum()


def skimage_table() -> Table:
    from skimage import restoration

    def total_variation(a: np.ndarray, f: Fields) -> Call:
        weight, count = only(f, "weight", "iterations")["weight"], f["iterations"]
        return lambda: restoration.denoise_tv_chambolle(a, weight, eps=0, max_num_iter=count)

    def deconvolution(a: np.ndarray, f: Fields) -> Call:
        of, psf = a.astype(np.float32), unit(f)
        return lambda: restoration.richardson_lucy(of, psf, f["iterations"], clip=False)

    return {"denoise-tv": total_variation, "richardson-lucy": deconvolution}


def simpleitk_table() -> Table:
    import SimpleITK as sitk

    def deconvolution(a: np.ndarray, f: Fields) -> Call:
        of, psf = (sitk.GetImageFromArray(array.astype(np.float32)) for array in (a, unit(f)))
        return lambda: sitk.RichardsonLucyDeconvolution(of, psf, f["iterations"])

    def diffusion(a: np.ndarray, f: Fields) -> Call:
        # Its conductance is of the mean gradient of the image, and so its values are others.
        of = sitk.GetImageFromArray(a.astype(np.float32))
        step, count = 0.9 / 2 ** (a.ndim + 1), only(f, "kappa", "iterations")["iterations"]
        return lambda: sitk.GradientAnisotropicDiffusion(of, step, 1.0, 1, count)

    return {"richardson-lucy": deconvolution, "anisotropic-diffusion": diffusion}


def diplib_table() -> Table:
    import diplib as dip

    def deconvolution(a: np.ndarray, f: Fields) -> Call:
        of, psf = (dip.Image(array.astype(np.float32)) for array in (a, unit(f)))
        return lambda: dip.RichardsonLucy(of, psf, 0, f["iterations"])

    def diffusion(a: np.ndarray, f: Fields) -> Call:
        of, kappa, count = dip.Image(a.astype(np.float32)), only(f, "kappa", "iterations")["kappa"], f["iterations"]
        return lambda: dip.PeronaMalikDiffusion(of, count, kappa, 0.1, "Gauss")

    return {"richardson-lucy": deconvolution, "anisotropic-diffusion": diffusion}
