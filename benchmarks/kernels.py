"""What the compiler says of every kernel: registers, spills and shared memory of each instantiation, for one GPU.

No GPU is needed. tests/test_cuda_compile.py holds the kernels to the spills recorded here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from benchmarks import report
from gridstride.workers import kernels

ARCH = "sm_90"
COLUMNS = ["kernel", "registers", "spill stores", "spill loads", "static shared"]


def row(instantiation: tuple[str, str], arch: str) -> list[Any]:
    return [instantiation[1], *kernels.resource_usage(*instantiation, arch).values()]


def rows(instantiations: Iterable[tuple[str, str]], arch: str = ARCH) -> list[list[Any]]:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(row, arch=arch), instantiations, chunksize=8))


def main() -> None:
    found = rows(kernels.instantiations())
    spilled = [row for row in found if row[2] or row[3]]
    report.show(f"kernels that spill for {ARCH}, of {len(found)}", COLUMNS, spilled)
    report.save("kernels", COLUMNS, found, arch=ARCH)


if __name__ == "__main__":
    main()
