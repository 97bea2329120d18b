"""Cases of flows with nothing wrong in them, for tests of what is said of others."""

from __future__ import annotations

from typing import Any

TUNNEL = {  # a cylinder in a wide stream, a little off the middle
    "grid": {"cells": {"x": 240, "y": 120}, "size": {"x": 20.0, "y": 10.0}},
    "fluid": {"viscosity": 0.01, "speed": 1.5, "mach": 0.15},
    "boundaries": {
        "x-": {"kind": "inflow", "velocity": {"x": 1.0}},
        "x+": {"kind": "outflow", "sponge": 2.0},
        "y": "slip",
    },
    "obstacles": [{"shape": "cylinder", "center": {"x": 5.0, "y": 5.2}, "radius": 0.5}],
    "initial": {"problem": "uniform", "velocity": {"x": 1.0}},
    "run": {"until": 60.0},
}
BALL = {
    **TUNNEL,
    "grid": {"cells": {"x": 128, "y": 64, "z": 64}, "size": {"x": 12.0, "y": 6.0, "z": 6.0}},
    "boundaries": {**TUNNEL["boundaries"], "z": "slip"},
    "obstacles": [{"shape": "sphere", "center": {"x": 3.0, "y": 3.0, "z": 3.0}, "radius": 0.5}],
}
CAVITY = {
    "grid": {"cells": {"x": 100, "y": 100}, "size": {"x": 1.0, "y": 1.0}},
    "fluid": {"reynolds": 1000},
    "boundaries": {"x": "wall", "y": "wall", "y+": {"velocity": {"x": 1.0}}},
    "run": {"until": 40.0},
}
CHANNEL = {
    "grid": {"cells": {"x": 16, "y": 64}, "size": {"x": 0.25, "y": 1.0}},
    "fluid": {"viscosity": 0.1, "speed": 1.0},
    "force": {"x": 0.8},
    "boundaries": {"x": "periodic", "y": "wall"},
    "run": {"until": 10.0},
}
DUCT = {  # walls, an inflow that starts gently, and nothing in the way
    "grid": {"cells": {"x": 200, "y": 40}, "size": {"x": 2.0, "y": 0.4}},
    "fluid": {"reynolds": 100, "length": 0.4, "speed": 1.5},
    "boundaries": {
        "x-": {"kind": "inflow", "velocity": {"x": 1.5}, "profile": "parabolic"},
        "x+": {"kind": "outflow"},
        "y": "wall",
    },
    "reference": {"speed": 1.0},
    "run": {"until": 8.0, "ramp": 1.0},
}
BOX = {
    "grid": {"cells": {"x": 64, "y": 64}, "size": {"x": 1.0, "y": 1.0}},
    "fluid": {"viscosity": 0.01, "speed": 1.0},
    "initial": {"problem": "shear-layer", "sharpness": 20},
    "run": {"until": 1.0},
}
RIGHT: dict[str, dict[str, Any]] = {
    "tunnel": TUNNEL, "ball": BALL, "cavity": CAVITY, "channel": CHANNEL, "duct": DUCT, "box": BOX,
}  # fmt: skip
