"""What a place holds that is no Zarr store, and the command that makes a Zarr store of it."""

from __future__ import annotations

import glob
import json
import re
import shlex
import shutil
import sys
import zipfile
from collections import Counter
from itertools import islice
from pathlib import Path

from gridstride.pipeline.storage.metadata import read_json
from gridstride.pipeline.storage.paths import StorePath
from gridstride.pipeline.storage.remote import Remote
from gridstride.pipeline.storage.tidy import is_litter

METADATA = ("zarr.json", ".zarray", ".zgroup")
LOOKED_AT = 2000  # entries of a folder
NAMED = 4  # of what was found

# Lines of Python that make a Zarr store; IN, OUT and NAME are put in. Axes are named where the format tells them, so
# that colours and channels are not taken for a direction in space.
TIFF = (
    "import tifffile, zarr; s = tifffile.TiffFile(IN).series[0]; a = s.axes.lower(); zarr.create_array(OUT, "
    'data=s.asarray(out="memmap"), chunks="auto", dimension_names=a if len(set(a)) == len(a) else None)'
)
TIFFS = (
    "import glob, tifffile, zarr; f = sorted(glob.glob(IN)); a = 'i' + tifffile.TiffFile(f[0]).series[0].axes.lower(); "
    'zarr.create_array(OUT, data=tifffile.imread(f, out="memmap"), chunks="auto", '
    "dimension_names=a if len(set(a)) == len(a) else None)"
).replace("'", '"')
PICTURE = (
    "import numpy, PIL.Image, zarr; a = numpy.asarray(PIL.Image.open(IN)); "
    'zarr.create_array(OUT, data=a, chunks="auto", dimension_names="yxc"[:a.ndim])'
)
PICTURES = (
    "import glob, numpy, PIL.Image, zarr; f = sorted(glob.glob(IN)); "
    "a = numpy.stack([numpy.asarray(PIL.Image.open(x)) for x in f]); "
    'zarr.create_array(OUT, data=a, chunks="auto", dimension_names="iyxc"[:a.ndim])'
)
ARRAY = 'import {0}, zarr; zarr.create_array(OUT, data={1}, chunks="auto")'
NPY = ARRAY.format("numpy", 'numpy.load(IN, mmap_mode="r")')
NPZ = ARRAY.format("numpy", "numpy.load(IN)[NAME]")
N5 = (
    'import tensorstore as ts, zarr; a = ts.open({"driver": "n5", "kvstore": {"driver": "file", "path": IN + "/"}}); '
    'zarr.create_array(OUT, data=a.result().T.read().result(), chunks="auto")'
)
NETCDF = (
    "import scipy.io, zarr; f = scipy.io.netcdf_file(IN, mmap=False); g = zarr.create_group(OUT); "
    '[g.create_array(n, data=v[:].astype(v[:].dtype.newbyteorder("=")), chunks="auto", dimension_names=v.dimensions) '
    'for n, v in f.variables.items() if v.shape and v[:].dtype.kind in "if"]'
)
HDF5 = (
    "import h5py, zarr; f = h5py.File(IN); names = []; f.visit(names.append); g = zarr.create_group(OUT); "
    '[g.create_array(n, data=f[n], chunks="auto") for n in names if getattr(f[n], "shape", ()) '
    'and f[n].dtype.kind in "buif"]'
)
# First bytes of a file: what it is, and that line.
MAGIC = {
    b"II*\0": ("a TIFF file", TIFF),
    b"MM\0*": ("a TIFF file", TIFF),
    b"II+\0": ("a TIFF file", TIFF),
    b"MM\0+": ("a TIFF file", TIFF),
    b"\x93NUMPY": ("a .npy file", NPY),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file, as NetCDF 4 is (pip install h5py first)", HDF5),
    b"CDF\x01": ("a NetCDF file", NETCDF),
    b"CDF\x02": ("a NetCDF file", NETCDF),
    b"\x89PNG": ("a PNG picture", PICTURE),
    b"\xff\xd8\xff": ("a JPEG picture", PICTURE),
    b"GIF8": ("a GIF picture", PICTURE),
    b"BM": ("a BMP picture", PICTURE),
}
# By the end of a file's name, where the first bytes do not tell.
NIFTI = ARRAY.format("numpy, nibabel", "numpy.asarray(nibabel.load(IN).dataobj).T")
MRC = ARRAY.format("mrcfile", "mrcfile.mmap(IN).data")
DICOM = ARRAY.format("pydicom", "pydicom.dcmread(IN).pixel_array")
ENDS = {
    (".nii", ".nii.gz"): ("a NIfTI file (pip install nibabel first)", NIFTI),
    (".mrc", ".map", ".rec"): ("an MRC file (pip install mrcfile first)", MRC),
    (".dcm",): ("a DICOM file (pip install pydicom first)", DICOM),
}
PICTURE_FILES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
MICROSCOPES = (".czi", ".lif", ".nd2", ".oib", ".oir", ".vsi")


def what_it_is(where: StorePath) -> str:
    """One line for a place that is there and is no Zarr store: what it is, and what to type."""
    if isinstance(where, Remote):
        if where.key and where.is_file():
            return f"{where} is a file, not a Zarr store: copy it to a disk, give that, and what to type is said"
        return f"{where} is not a Zarr store: it has none of {', '.join(METADATA)}"
    if where.is_dir():
        return _folder(where)
    if where.name in (*METADATA, ".zattrs", ".zmetadata"):
        return f"{where} is a file of the Zarr store {where.parent}: give {where.parent}"
    try:
        with where.open("rb") as file:
            begin = file.read(512)
    except OSError as error:
        return f"{where} cannot be read: {error.strerror}"
    for magic, (what, code) in MAGIC.items():
        if begin.startswith(magic):
            return f"{where} is {what}: {_make(where, code)}"
    return _other_file(where, begin)


def _other_file(where: Path, begin: bytes) -> str:
    if zipfile.is_zipfile(where):
        return _zip(where)
    if begin[257:262] == b"ustar" or (begin.startswith(b"\x1f\x8b") and ".t" in where.name):
        return f"{where} is a tar file: {_make(where, 'tarfile')}"
    for ends, (what, code) in ENDS.items():
        if where.name.lower().endswith(ends):
            return f"{where} is {what}: {_make(where, code)}"
    if where.suffix.lower() in MICROSCOPES:
        return f"{where} is a microscope's file: type bioformats2raw {shlex.join([str(where), _out(where)])}"
    what = "an empty file" if not begin else "a file of an unknown kind"
    return f"{where} is {what}, not a Zarr store: expected a folder with one of {', '.join(METADATA)}"


def _zip(where: Path) -> str:
    names = zipfile.ZipFile(where).namelist()
    arrays = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]
    if names and len(arrays) == len(names):
        return f"{where} is a .npz file, with {', '.join(arrays[:NAMED])}: {_make(where, NPZ, arrays[0])}"
    stores = [name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in METADATA]
    if not stores:
        return f"{where} is a zip file without a Zarr store in it"
    return f"{where} is a zip file: {_make(where, 'zipfile', min(stores, key=len))}"


def _folder(where: Path) -> str:
    for parent in where.resolve().parents:
        if any((parent / name).is_file() for name in METADATA):
            return f"{where} lies in the Zarr store {parent}: give that, and --array where it is a group"
    if (where / "attributes.json").is_file():
        return _n5(where)
    entries = sorted(entry for entry in islice(where.iterdir(), LOOKED_AT) if not is_litter(entry.name))
    stores = [str(entry) for entry in entries if any((entry / name).is_file() for name in METADATA)]
    if stores:
        more = ", ..." if len(stores) > NAMED else ""
        return (
            f"{where} is not a Zarr store but a folder with some in it: give one of {', '.join(stores[:NAMED])}{more}"
        )
    kinds = Counter(entry.suffix for entry in entries).most_common(1)
    suffix = kinds[0][0] if kinds else ""
    if suffix.lower() in (".tif", ".tiff"):
        return f"{where} is a folder of TIFF files: {_make(where, TIFFS, '', f'*{suffix}')}"
    if suffix.lower() in PICTURE_FILES:
        return f"{where} is a folder of pictures: {_make(where, PICTURES, '', f'*{suffix}')}"
    what = "" if entries else "an empty folder, "
    return f"{where} is {what}not a Zarr store: it has none of {', '.join(METADATA)}"


def _n5(where: Path) -> str:
    """N5 has attributes.json in every folder; those of arrays give dimensions, x first."""
    for file in islice(where.rglob("attributes.json"), LOOKED_AT):
        content = read_json(file)
        if isinstance(content, dict) and "dimensions" in content:
            return f"{where} is N5, with the array {file.parent}: {_make(file.parent, N5)}"
    return f"{where} is N5, without an array in it"


def _out(where: Path) -> str:
    """A place for the Zarr store, beside what it is made of."""
    stem = where.name.removesuffix(".gz").removesuffix(".zip").removesuffix(".tar").removesuffix(".zarr")
    made = where.with_name(f"{stem.removesuffix(where.suffix)}.zarr")
    return str(made if not made.exists() else where.with_name(f"{where.name}.zarr"))


def _make(where: Path, code: str, name: str = "", files: str = "") -> str:
    """The command to type.

    code: a line of Python, or the module that unpacks; name: of the array, or store, in it; files: the pattern of those
    in a folder
    """
    out, python = _out(where), shutil.which("python")
    python = "python" if python and Path(python).resolve() == Path(sys.executable).resolve() else sys.executable
    if code in ("zipfile", "tarfile"):
        given = f"{out}/{name}".rstrip("/")
        return f"type {shlex.join([python, '-m', code, '-e', str(where), out])} and then give {given}"
    given = f"{glob.escape(str(where))}/{files}" if files else str(where)
    words = {"IN": given, "OUT": out, "NAME": name}
    line = re.sub(r"\b(IN|OUT|NAME)\b", lambda found: json.dumps(words[found[0]]), code)
    return f"type {shlex.join([python, '-c', line])} and then give {out}"
