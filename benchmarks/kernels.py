"""The compiler's record of every kernel: registers, spills and shared memory of each instantiation, for every GPU.

    python -m benchmarks kernels [--accept]

No GPU is needed. Every instantiation is compiled for every architecture, unless its sources are those of the record; a
warning is an error, and so is a kernel that spills more than before: --accept records it anyway. All of them take
a quarter of an hour on two cores. tests/cuda/test_cuda_compile.py fails if a source is not that of the record.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any

from benchmarks import report
from gridstride.workers import kernels
from gridstride.workers.models import registry as models
from gridstride.workers.operators import registry

RECORD = report.RESULTS / "kernels.json"
COLUMNS = ["registers", "spill stores", "spill loads", "static shared"]
FEW = 200  # compilations
Usage = dict[str, dict[str, list[int]]]  # what COLUMNS say, by name expression and architecture


def instantiations() -> list[tuple[str, str]]:
    """Every kernel that an operator or a model can ask for: (file, name expression)."""
    return [*registry.instantiations(), *models.instantiations()]


def sources() -> dict[str, str]:
    """A hash of each kernel file, with its includes."""
    files = sorted({file for file, _ in instantiations()})
    return {file: hashlib.sha256(kernels.source(file).encode()).hexdigest()[:16] for file in files}


def compiled(task: tuple[tuple[str, str], str]) -> list[int]:
    (file, expression), arch = task
    return list(kernels.resource_usage(file, expression, arch).values())


def measure(some: Iterable[tuple[str, str]], architectures: Iterable[str]) -> Usage:
    """Compile all for all. Raises RuntimeError on an error or a warning."""
    tasks = list(product(some, architectures))
    usage: Usage = {}
    # Processes, once they are worth their start: the compiler holds a lock of its own for most of its time.
    many = len(tasks) > FEW
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) if many else ThreadPoolExecutor(2) as pool:
        for ((_, expression), arch), numbers in zip(tasks, pool.map(compiled, tasks, chunksize=8), strict=True):
            usage.setdefault(expression, {})[arch] = numbers
    return usage


def spills(numbers: list[int]) -> int:
    return numbers[1] + numbers[2]


def new_spills(before: Usage, now: Usage) -> list[list[Any]]:
    """A row for each kernel that spills more bytes than the record says; one that is not in it may spill none."""
    return [
        [expression, arch, *numbers]
        for expression, found in now.items()
        for arch, numbers in found.items()
        if spills(numbers) > spills(before.get(expression, {}).get(arch, [0] * len(COLUMNS)))
    ]


def load() -> dict[str, Any]:
    return json.loads(RECORD.read_text()) if RECORD.exists() else {"sources": {}, "kernels": {}}


def save(usage: Usage) -> None:
    """A line for each kernel: its name, and for each architecture the numbers that `columns` names."""
    head = {"machine": report.machine(), "columns": COLUMNS, "sources": sources()}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in usage.items())
    RECORD.write_text(f'{json.dumps(head, indent=1)[:-2]},\n "kernels": {{\n{lines}\n }}\n}}\n')


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks kernels", description="Compile every kernel.")
    parser.add_argument("--accept", action="store_true", help="record kernels that spill more than they did")
    options = parser.parse_args(sys.argv[2:] if arguments is None else arguments)
    record, now = load(), sources()
    every = instantiations()
    stale = {file for file in now if record["sources"].get(file) != now[file]}
    changed = [(file, name) for file, name in every if file in stale or name not in record["kernels"]]
    found = measure(changed, kernels.ARCHITECTURES)
    usage = {name: found.get(name) or record["kernels"][name] for _, name in every}
    worse = new_spills(record["kernels"], found)
    if worse and not options.accept:
        report.show("kernels that spill more than they did", ["kernel", "for", *COLUMNS], worse)
        raise SystemExit("nothing was saved")
    spilled = [[name, arch, *n] for name, archs in usage.items() for arch, n in archs.items() if spills(n)]
    report.show(f"kernels that spill, of {len(usage)}", ["kernel", "for", *COLUMNS], spilled)
    save(usage)
    print(f"compiled {len(changed)} of {len(usage)} kernels, saved benchmarks/results/kernels.json")


if __name__ == "__main__":
    main(sys.argv[1:])
