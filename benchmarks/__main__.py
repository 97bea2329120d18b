"""python -m benchmarks [NAME]: crossover, images, memory, flow_memory, fluids, gpu, kernels, labels, memory_stress,
operators, operators_table, scale, tls, validation.

Without a name: the first three.
"""

from __future__ import annotations

import importlib
import sys

NAMES = ("crossover", "images", "memory")

if __name__ == "__main__":
    for name in sys.argv[1:2] or NAMES:
        importlib.import_module(f"benchmarks.{name}").main()
