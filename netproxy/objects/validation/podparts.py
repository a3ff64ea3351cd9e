"""What is refused about the two parts of a Pod that are written by themselves: its ephemeral containers, and its size.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodEphemeralContainersUpdate, ValidatePodResize; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.meta import Object, metadata, spec, status
from netproxy.objects.resources import quality
from netproxy.objects.validation.internal import internal_diff
from netproxy.objects.validation.pod import whole_problems
from netproxy.objects.validation.podannotations import MIRROR
from netproxy.objects.validation.rules import Meta
from netproxy.objects.validation.words import Problems, forbidden, invalid

_NOWHERE = "[]"
_SIZES = ("cpu", "memory")
_GROUPS = ("containers", "initContainers")

Part = Mapping[str, Any]


def ephemeral_update_problems(new: Object, old: Object, meta: Meta) -> Problems:
    """What is wrong with new ephemeral containers of a Pod: those that are there stay as they are."""
    if MIRROR in (metadata(old).get("annotations") or {}):
        yield forbidden(_NOWHERE, "static pods do not support ephemeral containers")
        return
    yield from meta.change
    yield from whole_problems(new, meta.whole)
    path, now = "spec.ephemeralContainers", spec(new).get("ephemeralContainers") or ()
    known = {item.get("name"): item for item in now}
    for item in spec(old).get("ephemeralContainers") or ():
        name = item["name"]
        if name not in known:
            yield forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n')
        elif known[name] != item:
            shown = internal_diff(item, known[name], "EphemeralContainer")
            yield forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n{shown}')


def resize_problems(new: Object, old: Object, meta: Meta) -> Problems:
    """What is wrong with a new size of a Pod."""
    if MIRROR in (metadata(old).get("annotations") or {}):
        yield forbidden(_NOWHERE, "static pods cannot be resized")
        return
    if (spec(old).get("os") or {}).get("name") == "windows":
        yield forbidden(_NOWHERE, "windows pods cannot be resized")
        return
    yield from meta.change
    yield from whole_problems(new, meta.whole)
    given, before = spec(new), spec(old)
    if quality(given) != (status(old).get("qosClass") or quality(before)):
        yield invalid("spec", status(new).get("qosClass") or "", "Pod QOS Class may not change as a result of resizing")
    others = [problem for group in _GROUPS for problem in _others(given, before, group)]
    yield from others
    if not others:
        yield from _sizes(given, before)


def _others(given: Part, before: Part, group: str) -> Problems:
    path, now, then = f"spec.{group}", given.get(group) or (), before.get(group) or ()
    if len(now) != len(then):
        yield forbidden(path, f"{group} may not be added or removed on resize")
        return
    for index, (new, old) in enumerate(zip(now, then, strict=True)):
        if new.get("name") != old.get("name"):
            yield forbidden(f"{path}[{index}].name", f"{group} may not be renamed or reordered on resize")


def _sizes(given: Part, before: Part) -> Problems:
    for group in _GROUPS:
        for index, (new, old) in enumerate(_pairs(given, before, group)):
            yield from _removed(new, old, f"spec.{group}[{index}].resources")
    if any(_rest(new, old) != old for new, old in _pairs(given, before, "containers")):
        yield forbidden("spec", "only cpu and memory resources are mutable")
    for index, (new, old) in enumerate(_pairs(given, before, "initContainers")):
        if _rest(new, old) != old:
            why = "only cpu and memory resources for init or sidecar containers are mutable"
            yield forbidden(f"spec.initContainers[{index}]", why)


def _pairs(given: Part, before: Part, group: str) -> Sequence[tuple[Part, Part]]:
    return list(zip(given.get(group) or (), before.get(group) or (), strict=True))


def _removed(new: Part, old: Part, path: str) -> Problems:
    now, then = new.get("resources") or {}, old.get("resources") or {}
    for side in ("requests", "limits"):
        if (then.get(side) or {}).keys() - (now.get(side) or {}).keys():
            yield forbidden(f"{path}.{side}", f"resource {side} cannot be removed")


def _rest(new: Part, old: Part) -> dict[str, Any]:
    """The new container, with the old one's processors and memory."""
    now, then = new.get("resources") or {}, old.get("resources") or {}
    resources = {field: value for field, value in now.items() if field not in ("requests", "limits")}
    for side in ("requests", "limits"):
        kept = {item: amount for item, amount in (now.get(side) or {}).items() if item not in _SIZES}
        kept |= {item: amount for item, amount in (then.get(side) or {}).items() if item in _SIZES}
        if kept or side in then:
            resources[side] = kept
    return {**new, "resources": resources}
