"""The numbers by which exp and 2^x are made, on the CPU (`likeness`) and in CUDA (cuda/exponential.cuh)."""

from __future__ import annotations

import numpy as np

# The largest x whose 2^-x is a normal number.
LARGEST = {np.dtype(np.float32): 126.0, np.dtype(np.float64): 1022.0}
# N. N. Schraudolph, "A fast, compact approximation of the exponential function", 1999: the high 32 bits of a float64
# are a line of x, here the one of the least error in the mean square.
STEPS = 1512775.3951951856938  # 2^20 / ln 2
ONE = 1072632447  # of x = 0: (1023 << 20) - 60801
ONE_SINGLE = ONE - ((1023 - 127) << 20)  # of float32, but for the last three bits
CUTOFF = 5.0  # the largest x whose exp(-x) is not taken as 0
