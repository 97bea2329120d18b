"""lbmpy with generated and compiled kernels: Taylor-Green flow (D3Q19) and the lid-driven cavity (D2Q9), float32.

Of each a few settings are tried and the fastest is kept: vector instructions, threads, collision model.
"""

from __future__ import annotations

import itertools
import time
import warnings

import common
import numpy as np
import pystencils
from lbmpy import LBMConfig, LBMOptimisation, LBStencil, Method, Stencil, create_lb_function, create_lb_method
from lbmpy.advanced_streaming import LBMPeriodicityHandling, Timestep
from lbmpy.macroscopic_value_kernels import macroscopic_values_getter, macroscopic_values_setter
from lbmpy.scenarios import create_lid_driven_cavity
from pystencils import CreateKernelConfig, Target

SPEED = 0.1  # of the flow, in cells per step
CAVITY_SECONDS = 45.0  # limit for the steady cavity
WANTED = {"AVX2": Target.X86_AVX, "AVX-512": Target.X86_AVX512}
VECTORS = {name: target for name, target in WANTED.items() if target in Target.available_vector_cpu_targets()}


def kernel_config(vectors: str, threads: int) -> CreateKernelConfig:
    config = CreateKernelConfig(target=VECTORS.get(vectors, Target.GenericCPU), default_dtype="float32")
    if vectors in VECTORS:
        config.cpu.vectorize.enable = True
        config.cpu.vectorize.assume_inner_stride_one = True
    config.cpu.openmp.enable = threads > 1
    config.cpu.openmp.num_threads = threads
    return config


class TaylorGreen:
    """Streams in place (the AA pattern), which moves the fewest bytes: lbmpy's own flow is about three times slower."""

    def __init__(self, n: int, vectors: str) -> None:
        relaxation = {
            "stencil": LBStencil(Stencil.D3Q19),
            "method": Method.SRT,
            "relaxation_rate": 1 / (3 * common.VISCOSITY * SPEED * n / (2 * np.pi) + 0.5),
            "compressible": False,
        }
        config = kernel_config(vectors, common.THREADS)
        self.data = pystencils.create_data_handling((n,) * 3, periodicity=True, default_target=Target.CPU)
        made = {"dtype": np.float32, "layout": "fzyx", "alignment": 64, "ghost_layers": 1}
        pdfs = self.data.add_array("pdfs", values_per_cell=19, **made)
        density = self.data.add_array("density", values_per_cell=1, **made)
        velocity = self.data.add_array("velocity", values_per_cell=3, **made)
        for name in ("pdfs", "density", "velocity"):
            self.data.fill(name, 0.0, ghost_layers=True)
        self.kernels = {
            step: create_lb_function(
                lbm_config=LBMConfig(streaming_pattern="aa", timestep=step, **relaxation),
                lbm_optimisation=LBMOptimisation(symbolic_field=pdfs),
                config=config,
            )
            for step in (Timestep.EVEN, Timestep.ODD)
        }
        self.copy_sides = LBMPeriodicityHandling(relaxation["stencil"], self.data, "pdfs", streaming_pattern="aa")
        method = create_lb_method(LBMConfig(**relaxation))
        where = {"pdfs": pdfs, "streaming_pattern": "aa", "previous_timestep": Timestep.EVEN}
        plain = kernel_config("", 1)
        compiled = [
            pystencils.create_kernel(make(method, density.center, velocity.center_vector, **where), plain).compile()
            for make in (macroscopic_values_setter, macroscopic_values_getter)
        ]
        axis = np.arange(n) * 2 * np.pi / n
        *u, p = common.taylor_green(*np.meshgrid(axis, axis, axis, indexing="ij"))
        for block in self.data.iterate(ghost_layers=False):
            block["velocity"][...] = SPEED * np.stack(u, axis=-1)
            block["density"][...] = 1 + 3 * SPEED**2 * p
        self.data.run_kernel(compiled[0])
        self.get = compiled[1]

    def advance(self, count: int) -> None:
        """An even number of steps."""
        for _ in range(count // 2):
            for before, now in ((Timestep.EVEN, Timestep.ODD), (Timestep.ODD, Timestep.EVEN)):
                self.copy_sides(before)
                self.data.run_kernel(self.kernels[now])

    def energy(self) -> float:
        self.data.run_kernel(self.get)
        return float(np.square(self.data.gather_array("velocity").astype(np.float64)).mean())


def taylor_green(n: int) -> dict:
    dt = SPEED * 2 * np.pi / n
    runs, decays = {}, {}
    for vectors in ("compiler's", *VECTORS):
        flow = TaylorGreen(n, vectors)
        before, count = flow.energy(), 2 * round(common.CHECKED / dt / 2)
        flow.advance(count)
        decays[vectors] = common.check_decay(before, flow.energy(), count * dt)
        runs[vectors] = flow.advance
    vectors, speed = common.best(runs, multiple=2)
    return {
        "size": n,
        "cell_steps_per_second": speed * n**3,
        "settings": f"D3Q19, SRT, incompressible, AA pattern in place, {vectors} vectors, {common.THREADS} threads, "
        f"{SPEED} cells a step, float32",
        "time_step": dt,
        "decay": decays[vectors],
    }


def cavity(lid: float) -> dict:
    """SRT: as fast as TRT and MRT here and nearest to the reference; `lid` in cells per step."""
    n = common.CAVITY_SIZE
    unit = round(n / lid)  # steps in a time unit
    model = {
        "stencil": LBStencil(Stencil.D2Q9),
        "method": Method.SRT,
        "relaxation_rate": 1 / (3 * lid * n / common.REYNOLDS + 0.5),
        "compressible": False,
    }

    def at_rest(vectors: str, threads: int):
        return create_lid_driven_cavity(
            (n, n),
            lid_velocity=lid,
            lbm_config=LBMConfig(**model),
            lbm_optimisation=LBMOptimisation(),
            config=kernel_config(vectors, threads),
        )

    choices = {
        f"{vectors} vectors, {threads} threads": (vectors, threads)
        for vectors, threads in itertools.product(("compiler's", *VECTORS), sorted({1, common.THREADS}))
    }
    name, speed = common.best(
        {name: at_rest(*choice).get_time_loop().run for name, choice in choices.items()}, multiple=2
    )
    flow = at_rest(*choices[name])
    loop, begin, end = flow.get_time_loop(), time.perf_counter(), 0
    while end < common.CAVITY_END and time.perf_counter() - begin < CAVITY_SECONDS:
        loop.run(unit)
        end += 1
    return {
        "size": n,
        "time_units_per_second": speed / unit,
        "settings": f"D2Q9, SRT, incompressible, {name}, lid {lid} cells a step, float32",
        **common.cavity(np.asarray(flow.velocity[:, :], np.float64), lid, float(end)),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    common.report(
        ("lbmpy", "pystencils", "numpy"),
        flow=taylor_green(common.size_asked()),
        cavity=cavity(SPEED),
        cavity_fast_lid=cavity(2 * SPEED),
    )
