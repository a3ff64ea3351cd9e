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
_MUTABLE = "only cpu and memory resources are mutable"

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
    found = [*meta.change, *whole_problems(new, meta.whole), *_size_problems(new, old)]
    yield from found
    if not found and spec(new).get("resources") != spec(old).get("resources") and not _is_sized(spec(new)):
        yield forbidden("spec", _MUTABLE)


def _size_problems(new: Object, old: Object) -> Problems:
    given, before = spec(new), spec(old)
    if quality(given) != (status(old).get("qosClass") or quality(before)):
        yield invalid("spec", status(new).get("qosClass") or "", "Pod QOS Class may not change as a result of resizing")
    running = (item for item in status(old).get("containerStatuses") or () if (item.get("state") or {}).get("running"))
    if next(running, {"resources": {}}).get("resources") is None:
        yield forbidden("spec", "Pod running on node without support for resize")
    if _is_sized(given) or _is_sized(before):
        yield from _whole_size(given.get("resources"), before.get("resources"))
    others = [problem for group in _GROUPS for problem in _others(given, before, group)]
    yield from others
    if not others:
        yield from _sizes(given, before)


def _is_sized(given: Part) -> bool:
    sizes = given.get("resources") or {}
    return bool(sizes.get("requests") or sizes.get("limits"))


def _whole_size(now: Part | None, then: Part | None) -> Problems:
    """What is wrong with the new size of the Pod as a whole."""
    path = "spec.resources"
    if now is None:
        yield forbidden(path, "pod-level resources cannot be removed")
        return
    for side in ("requests", "limits"):
        if _is_removed(now, then or {}, side):
            yield forbidden(f"{path}.{side}", f"pod-level resource {side} cannot be removed")
    if _masked(now, then or {}) != _filled(then or {}):
        yield forbidden("spec", "only cpu and memory resources are mutable at pod-level")


def _others(given: Part, before: Part, group: str) -> Problems:
    path, now, then = f"spec.{group}", given.get(group) or (), before.get(group) or ()
    if len(now) != len(then):
        yield forbidden(path, f"{group} may not be added or removed on resize")
        return
    for index, (new, old) in enumerate(zip(now, then, strict=True)):
        if new.get("name") != old.get("name"):
            yield forbidden(f"{path}[{index}].name", f"{group} may not be renamed or reordered on resize")


def _sizes(given: Part, before: Part) -> Problems:
    for group in reversed(_GROUPS):
        for index, (new, old) in enumerate(_pairs(given, before, group)):
            for side in ("requests", "limits"):
                if _is_removed(new.get("resources") or {}, old.get("resources") or {}, side):
                    yield forbidden(f"spec.{group}[{index}].resources.{side}", f"resource {side} cannot be removed")
    for new, old in _pairs(given, before, "containers"):
        if not _is_same_but_for_sizes(new, old):
            yield forbidden("spec", _MUTABLE)
    for index, (new, old) in enumerate(_pairs(given, before, "initContainers")):
        yield from _of_init(new, old, f"spec.initContainers[{index}]")


def _of_init(new: Part, old: Part, path: str) -> Problems:
    if not _is_same_but_for_sizes(new, old):
        yield forbidden(path, "only cpu and memory resources for init or sidecar containers are mutable")
    if new == old or new.get("restartPolicy") == "Always":
        return
    for policy in new.get("resizePolicy") or ():
        if policy.get("restartPolicy") == "RestartContainer":
            why = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
            yield forbidden(path, why)


def _pairs(given: Part, before: Part, group: str) -> Sequence[tuple[Part, Part]]:
    return list(zip(given.get(group) or (), before.get(group) or (), strict=True))


def _is_removed(now: Part, then: Part, side: str) -> bool:
    return bool((then.get(side) or {}).keys() - (now.get(side) or {}).keys())


def _is_same_but_for_sizes(new: Part, old: Part) -> bool:
    now, then = new.get("resources") or {}, old.get("resources") or {}
    sizes = {side: now.get(side) for side in ("requests", "limits")}
    return {**new, "resources": _masked(sizes, then)} == {**old, "resources": _filled(then)}


def _masked(now: Part, then: Part) -> dict[str, Any]:
    """The new resources, with the old ones' processors and memory."""
    sides = {}
    for side in ("requests", "limits"):
        kept = {item: amount for item, amount in (now.get(side) or {}).items() if item not in _SIZES}
        sides[side] = kept | {item: amount for item, amount in (then.get(side) or {}).items() if item in _SIZES}
    return _filled({**now, **sides})


def _filled(resources: Part) -> dict[str, Any]:
    return {field: value for field, value in resources.items() if value}
