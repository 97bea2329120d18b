"""Steps of a pipeline that join several arrays to one."""

from __future__ import annotations

from gridstride.workers.operators.recipe import Recipe

JOINS: dict[str, type[Recipe]] = {}
