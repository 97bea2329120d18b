"""The tree of a store: its groups and arrays as their metadata files say, judged by nobody.

The files themselves are read, one by one: consolidated metadata are a copy that may be stale, and are used on web
servers alone, which do not list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridstride.pipeline.errors import UsageError
from gridstride.pipeline.storage.axes import images_of, labels_of, paths_of
from gridstride.pipeline.storage.metadata import read_json
from gridstride.pipeline.storage.paths import StorePath, names
from gridstride.pipeline.storage.remote import Remote

DEPTH = 20  # groups in groups; a link to a group around it would go on for ever
NAMED = 8  # arrays in a refusal


@dataclass(frozen=True)
class Node:
    """An array or a group. path: inside the store, "" for the place itself; metadata: of zarr.json or .zarray, empty
    for a group of Zarr v2"""

    path: str
    zarr_format: int
    metadata: Mapping[str, Any]
    attributes: Mapping[str, Any]

    @property
    def is_array(self) -> bool:
        return self.metadata.get("node_type") == "array" if self.zarr_format == 3 else "shape" in self.metadata

    @property
    def dtype(self) -> Any:
        """As it is stored: a name, or what describes a type without one."""
        return self.metadata.get("data_type" if self.zarr_format == 3 else "dtype")

    @property
    def is_numbers(self) -> bool:
        """Whether elements are truth values, integers or real numbers."""
        try:
            return isinstance(self.dtype, str) and np.dtype(self.dtype).kind in "buif"
        except TypeError:
            return False

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.metadata.get("shape")
        return tuple(shape) if isinstance(shape, list) and all(isinstance(n, int) for n in shape) else ()

    @property
    def dimension_names(self) -> list[Any]:
        found = self.metadata.get("dimension_names") or self.attributes.get("_ARRAY_DIMENSIONS")
        return found if isinstance(found, list) else []


def read(place: StorePath, path: str = "") -> Node | None:
    """The node at a place; None if there is none whose metadata can be read."""
    content = _json(place / "zarr.json")
    if content is not None:
        return _node_v3(path, content)
    content = _json(place / ".zarray")
    attributes = _json(place / ".zattrs")
    if content is None and attributes is None and _json(place / ".zgroup") is None:
        return None
    return Node(path, 2, content or {}, attributes or {})


def _node_v3(path: str, content: Mapping[str, Any]) -> Node:
    attributes = content.get("attributes")
    return Node(path, 3, content, attributes if isinstance(attributes, dict) else {})


def _json(file: StorePath) -> dict[str, Any] | None:
    """The content of a JSON file; None if there is none, or none that can be used."""
    content = read_json(file)
    return content if isinstance(content, dict) else None


def walk(place: StorePath, root: Node) -> list[Node]:
    """The root and all that is in it, in the order of names (2 before 10)."""
    if isinstance(place, Remote) and place.read_only:
        levels = [read(place / path, path) for image in images_of(root.attributes) for path in paths_of(image)]
        found = list(consolidated(place, root)) or [node for node in levels if node]
        if not found:
            raise UsageError(
                f"{place} is a group, and a web server does not list its files: name an array with --array"
            )
        return sorted([root, *found], key=lambda node: natural(node.path))
    found, waiting, seen = [root], [root], {place.resolve()}
    with ThreadPoolExecutor(16 if isinstance(place, Remote) else 1) as several:
        while waiting:
            group = waiting.pop()
            inside = {f"{group.path}/{name}".strip("/") for name in names(place / group.path) if name[:1] != "."}
            inside -= {"zarr.json", f"{group.path}/zarr.json"}
            for node in several.map(lambda path: read(place / path, path), sorted(inside)):
                where = (place / node.path).resolve() if node else place
                if node is None or where in seen or node.path.count("/") > DEPTH:
                    continue
                seen.add(where)
                found.append(node)
                waiting += [] if node.is_array else [node]
    return sorted(found, key=lambda node: natural(node.path))


def consolidated(place: StorePath, root: Node) -> Iterator[Node]:
    """What the consolidated metadata of a group list. Names may not lead out of the group."""
    index = root.metadata.get("consolidated_metadata") if root.zarr_format == 3 else _json(place / ".zmetadata")
    listed = index.get("metadata") if isinstance(index, dict) else None
    listed = listed if isinstance(listed, dict) else {}
    for name, content in listed.items():
        path = name if root.zarr_format == 3 else name.removesuffix("/.zarray").removesuffix("/.zgroup")
        if not isinstance(content, dict) or not _is_inside(path) or path.endswith((".zgroup", ".zattrs")):
            continue
        attributes = listed.get(f"{path}/.zattrs")
        v2 = Node(path, 2, content, attributes if isinstance(attributes, dict) else {})
        yield _node_v3(path.strip("/"), content) if root.zarr_format == 3 else v2


def _is_inside(path: str) -> bool:
    return not {"", ".", ".."} & set(path.strip("/").split("/"))


def natural(path: str) -> list[Any]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)|/", path) if part]


def array_in(place: StorePath, root: Node, name: str | None) -> StorePath:
    """The place of an array in a group: that of a name, or without one the only image's finest level, or the only array
    that could be meant. Raises UsageError where there is none, or more than one."""
    if name is not None:
        inside = name.strip("/")
        if _is_inside(name) and read(place / inside):
            return place / inside
        if isinstance(place, Remote) and place.read_only:
            raise UsageError(f"{place} has no array {name!r}")
        raise UsageError(f"{place} has no array {name!r} (it holds {_some(_arrays(place, root))})")
    chosen = the_array(place, root)
    if chosen:
        return place / chosen
    raise UsageError(f"{place} is a group: name an array with --array (it holds {_some(_arrays(place, root))})")


def the_array(place: StorePath, root: Node, nodes: Iterable[Node] | None = None) -> str:
    """The path of the array that is meant where only a group is named; "" if more than one may be, or none."""
    found = [root] if nodes is None and images_of(root.attributes) else list(nodes or walk(place, root))
    images = [node for node in found if images_of(node.attributes) and not labels_of(node.attributes)]
    images = [node for node in images if "labels" not in node.path.split("/")]
    if images:
        levels = [(node.path, paths_of(image)) for node in images for image in images_of(node.attributes)]
        return f"{levels[0][0]}/{levels[0][1][0]}".strip("/") if len(levels) == 1 and levels[0][1] else ""
    arrays = [node.path for node in found if node.is_array and node.is_numbers and _may_be_meant(node)]
    return arrays[0] if len(arrays) == 1 else ""


def _may_be_meant(node: Node) -> bool:
    """Whether an array is neither a single number nor positions along the axis of its own name."""
    name = node.path.rpartition("/")[2]
    return bool(node.shape) and not (len(node.shape) == 1 and node.dimension_names == [name])


def _arrays(place: StorePath, root: Node) -> list[str]:
    return [node.path for node in walk(place, root) if node.is_array]


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:NAMED]) + (", ..." if len(paths) > NAMED else "") if paths else "none"
