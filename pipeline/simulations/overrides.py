"""`--set key=value`: fields of a YAML file's content changed by dotted path, and its relative paths made absolute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.validation import setting


def anchored(content: Any, folder: Path) -> Any:
    """`content` with every text under a key `path` made an absolute path; an address stays."""
    if isinstance(content, list):
        return [anchored(item, folder) for item in content]
    if not isinstance(content, Mapping):
        return content
    return {
        key: str((folder / Path(value).expanduser()).resolve())
        if key == "path" and isinstance(value, str | Path) and "://" not in str(value)
        else anchored(value, folder)
        for key, value in content.items()
    }


def overridden(content: Any, override: str) -> Any:
    """`content` with one field set."""
    names, value = setting(override, "grid.cells.x=256")
    value = anchored({names[-1]: value}, Path.cwd())[names[-1]]
    return _placed(content, names, value, override, inside="")


def _placed(content: Any, names: Sequence[str], value: Any, override: str, inside: str) -> Any:
    if not names:
        return value
    name, rest = names[0], names[1:]
    here = f"{inside}.{name}" if inside else name
    if isinstance(content, list):
        if not name.isdigit() or int(name) >= len(content):
            raise UsageError(
                f"--set {override!r}: {inside} has {len(content)} elements, counted from 0, and no {name!r}"
            )
        changed = list(content)
        changed[int(name)] = _placed(changed[int(name)], rest, value, override, here)
        return changed
    if isinstance(content, str) and inside.startswith("boundaries."):
        content = {"kind": content}
    if content is not None and not isinstance(content, dict):
        raise UsageError(f"--set {override!r}: {inside} is {content!r}, which has no {name!r}")
    found = dict(content or {})
    found[name] = _placed(found.get(name), rest, value, override, here)
    return found
