"""What is refused about volumes that are made of several sources.

Source: kubernetes pkg/apis/core/validation/validation.go (validateProjectionSources; behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netproxy.objects.validation.environment import VOLUME_FIELDS, field_problems, resource_problems
from netproxy.objects.validation.paths import file_mode, unreserved
from netproxy.objects.validation.words import Problems, forbidden, invalid, required

_SHORTEST_S, _LONGEST_S = 600, 1 << 32

Part = Mapping[str, Any]
Taken = Callable[[str, str], Problems]
"""Told of a path and of what to show: whether something has this path already."""


def projected_problems(source: Part, path: str) -> Problems:
    """What is wrong with a volume of several sources."""
    yield from file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    seen: set[str] = set()

    def taken(file: str, shown: str) -> Problems:
        if file in seen:
            yield invalid(path, shown, "conflicting duplicate paths")
        seen.add(file)

    for index, part in enumerate(source.get("sources") or ()):
        place = f"{path}.sources[{index}]"
        for kind, check in _CHECKS.items():
            if part.get(kind) is not None:
                yield from check(part[kind], f"{place}.{kind}", path, taken)
        if sum(part.get(kind) is not None for kind in _CHECKS) > 1:
            yield forbidden(place, "may not specify more than 1 volume type per source")


def _keys(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    name = source.get("name") or ""
    if not name:
        yield required(f"{path}.name")
    for index, item in enumerate(source.get("items") or ()):
        yield from key_problems(item, f"{path}.items[{index}]")
        if item.get("path"):
            yield from taken(item["path"], name)


def key_problems(item: Part, path: str) -> Problems:
    """What is wrong with a key that becomes a file."""
    for field in ("key", "path"):
        if not item.get(field):
            yield required(f"{path}.{field}")
    yield from unreserved(item.get("path") or "", f"{path}.path")
    yield from file_mode(item.get("mode"), f"{path}.mode")


def _downward(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    for item in source.get("items") or ():
        yield from file_problems(item, path)
        if item.get("path"):
            yield from taken(item["path"], item["path"])


def file_problems(item: Part, path: str) -> Problems:
    """What is wrong with a field of the Pod that becomes a file."""
    file, field, resource = item.get("path") or "", item.get("fieldRef"), item.get("resourceFieldRef")
    if not file:
        yield required(f"{path}.path")
    yield from unreserved(file, f"{path}.path")
    if field is not None:
        yield from field_problems(field, f"{path}.fieldRef", VOLUME_FIELDS)
        if resource is not None:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif resource is not None:
        yield from resource_problems(resource, f"{path}.resourceFieldRef", in_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from file_mode(item.get("mode"), f"{path}.mode")


def _token(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    seconds, place = source.get("expirationSeconds") or 0, f"{path}.expirationSeconds"
    if seconds < _SHORTEST_S:
        yield invalid(place, seconds, "may not specify a duration less than 10 minutes")
    if seconds > _LONGEST_S:
        yield invalid(place, seconds, "may not specify a duration larger than 2^32 seconds")
    if source.get("path"):
        yield from unreserved(source["path"], f"{whole}.path")
    else:
        yield required(f"{whole}.path")


_CHECKS: dict[str, Callable[[Part, str, str, Taken], Problems]] = {
    "secret": _keys,
    "configMap": _keys,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
}
