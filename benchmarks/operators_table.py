"""python -m benchmarks operators_table: what `benchmarks operators` saved, as docs/speed.md and a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
HEAD = """# Speed of the operators

Made by `python -m benchmarks operators_table` of what `python -m benchmarks operators` and its `--compile` measured on
{processor}, {date}: one thread, in memory, a whole image in one block, results in fresh arrays;
real cells, tiled to 192 x 256 x 256 (3-D) and 4096 x 4096 (2-D). `benchmarks/results/operators.json` has all peers and
versions.

A cell: Mvoxel/s, and in brackets how many times as fast that is as the fastest other library (NumPy, SciPy,
scikit-image, DIPlib, SimpleITK, OpenCV, fastmorph, imops, cc3d, fill-voids, edt, PyTorch), which is named where it is
faster; "-" where none has the operator. {behind} of {rows} rows are behind: copies and projections, of NumPy; in two
dimensions OpenCV is ahead of small boxes, flips, means of boxes, CLAHE and operators of several steps; cc3d of labels,
which are found twice here, so that no block's cut shows; PyTorch of sums over very many channels.

![How many times as fast as the fastest other library](../benchmarks/results/operators.png)

"""

IMAGES = {
    f"{shape} {dtype}": f"{label} {dtype}"
    for shape, label in (("192 x 256 x 256", "3-D"), ("4096 x 4096", "2-D"))
    for dtype in ("uint8", "uint16", "float32", "bool", "objects")
}


def rows() -> dict[str, dict[str, list[Any]]]:
    """{operator and setting: {image: row}}"""
    found: dict[str, dict[str, list[Any]]] = {}
    for row in json.loads((RESULTS / "operators.json").read_text())["rows"]:
        found.setdefault(row[0], {})[IMAGES[row[1]]] = row
    return found


def cell(row: list[Any]) -> str:
    rate, peer, ratio = f"{row[2]:.3g}" if row[2] < 1000 else f"{row[2]:.0f}", row[3], row[5]
    if peer == "":
        return f"{rate} -"
    return f"{rate} ({ratio:.2g} {peer})" if ratio < 1 else f"{rate} ({ratio:.2g})"


def markdown() -> str:
    lines = []
    for title, images in (
        ("operator, 3-D | uint8 | uint16 | float32", [f"3-D {d}" for d in ("uint8", "uint16", "float32")]),
        ("operator, 2-D | uint8 | uint16 | float32", [f"2-D {d}" for d in ("uint8", "uint16", "float32")]),
        ("operator on bool | 3-D | 2-D", ["3-D bool", "2-D bool"]),
        ("operator on a mask of nuclei | 3-D | 2-D", ["3-D objects", "2-D objects"]),
    ):
        lines += [f"| {title} |", "|---" * (len(images) + 1) + "|"]
        for name, of in rows().items():
            if any(image in of for image in images):
                cells = " | ".join(cell(of[image]) if image in of else "" for image in images)
                lines.append(f"| {name} | {cells} |")
        lines.append("")
    return "\n".join(lines)


def picture() -> None:
    """How many times as fast as the fastest other library, a row an operator, a dot an image."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = {name: [row for row in of.values() if row[5] != ""] for name, of in rows().items()}
    found = {name: of for name, of in reversed(found.items()) if of}
    figure, axes = pyplot.subplots(figsize=(9, 0.21 * len(found) + 1.2), layout="constrained")
    for dimensions, colour in (("3-D", "#1b6ca8"), ("2-D", "#e07b39")):
        points = [
            (row[5], y) for y, of in enumerate(found.values()) for row in of if IMAGES[row[1]].startswith(dimensions)
        ]
        axes.scatter(*zip(*points, strict=True), s=14, color=colour, label=dimensions, zorder=2)
    axes.axvline(1, color="black", lw=1)
    axes.set(
        xscale="log", yticks=range(len(found)), ylim=(-1, len(found)),
        xlabel="times as fast as the fastest other library, one thread (a dot: an image)",
    )  # fmt: skip
    axes.set_yticklabels(found, fontsize=7)
    axes.grid(alpha=0.3, zorder=0)
    axes.legend(loc="lower right")
    figure.savefig(RESULTS / "operators.png", dpi=110)


def compiling() -> str:
    """Seconds of first calls, with an empty cache and with a full one."""
    found = json.loads((RESULTS / "operators_compile.json").read_text())["rows"]
    lines = [
        "The first call of all with an operator, on a few numbers, in a fresh process: seconds with nothing kept from "
        "earlier runs, and with kernels kept.\n",
        "| operator | compiles | finds them |\n|---|---|---|",
    ]
    return "\n".join(lines + [f"| {name} | {cold:.2g} | {warm:.2g} |" for name, cold, warm in found if cold > 0.1])


def main() -> None:
    content = json.loads((RESULTS / "operators.json").read_text())
    machine, ratios = content["machine"], [row[5] for row in content["rows"]]
    head = HEAD.format(
        processor=machine["processor"], date=machine["date"], rows=len(ratios),
        behind=sum(1 for ratio in ratios if ratio != "" and ratio < 1),
    )  # fmt: skip
    PAGE.write_text(head + markdown() + "\n" + compiling() + "\n")
    picture()
    print(f"saved docs/{PAGE.name} and benchmarks/results/operators.png")


if __name__ == "__main__":
    main()
