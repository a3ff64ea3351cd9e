"""What is refused about what containers mount.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateVolumeMounts, ValidateVolumeDevices; behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.objects.validation.paths import descending
from netproxy.objects.validation.words import Problems, forbidden, invalid, quoted, required, unsupported

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")

Part = Mapping[str, Any]


def not_found(path: str, value: str, why: str = "") -> Problem:
    """A name that nothing has."""
    text = f"Not found: {quoted(value)}" + (f": {why}" if why else "")
    return Problem(path, text, reason="FieldValueNotFound")


def mount_problems(container: Part, volumes: Mapping[str, Part], path: str) -> Problems:
    """What is wrong with the mounts of a container; the Pod has these volumes."""
    mounts, devices = container.get("volumeMounts") or (), container.get("volumeDevices") or ()
    device_names = {item.get("name") or "": item.get("devicePath") or "" for item in devices}
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        place = f"{path}.volumeMounts[{index}]"
        yield from _names(mount, place, volumes, device_names, seen)
        yield from _sub_path(mount, place, f"{path}.volumeMounts")
        yield from _ways(mount, container, f"{path}.volumeMounts")
    if devices:
        yield from _devices(container, volumes, f"{path}.volumeDevices")


def _names(mount: Part, path: str, volumes: Mapping[str, Part], devices: Mapping[str, str], seen: set[str]) -> Problems:
    name, target = mount.get("name") or "", mount.get("mountPath") or ""
    if not name:
        yield required(f"{path}.name")
    if name not in volumes:
        yield not_found(f"{path}.name", name)
    if not target:
        yield required(f"{path}.mountPath")
    if target in seen:
        yield invalid(f"{path}.mountPath", target, "must be unique")
    seen.add(target)
    if name in devices:
        yield invalid(f"{path}.name", name, "must not already exist in volumeDevices")
    if target in devices.values():
        yield invalid(f"{path}.mountPath", target, "must not already exist as a path in volumeDevices")


def _sub_path(mount: Part, path: str, all_paths: str) -> Problems:
    inner, expression = mount.get("subPath"), mount.get("subPathExpr")
    if inner:
        yield from descending(inner, f"{all_paths}.subPath")
    if expression:
        if inner:
            yield invalid(f"{path}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive")
        yield from descending(expression, f"{all_paths}.subPathExpr")


def _ways(mount: Part, container: Part, all_paths: str) -> Problems:
    propagation, recursive = mount.get("mountPropagation"), mount.get("recursiveReadOnly")
    if propagation is not None:
        if propagation not in _PROPAGATIONS:
            yield unsupported(f"{all_paths}.mountPropagation", propagation, _PROPAGATIONS)
        if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            why = "Bidirectional mount propagation is available only to privileged containers"
            yield forbidden(f"{all_paths}.mountPropagation", why)
    if recursive in ("Enabled", "IfPossible"):
        place = f"{all_paths}.recursiveReadOnly"
        if not mount.get("readOnly"):
            yield forbidden(place, "may only be specified when readOnly is true")
        if propagation not in (None, "None"):
            yield forbidden(place, "may only be specified when mountPropagation is None or not specified")
    elif recursive not in (None, "Disabled"):
        yield unsupported(f"{all_paths}.recursiveReadOnly", recursive, _RECURSIVE)


def _devices(container: Part, volumes: Mapping[str, Part], path: str) -> Problems:
    mounts = {item.get("name") or "": item.get("mountPath") or "" for item in container.get("volumeMounts") or ()}
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(container["volumeDevices"]):
        name, target = device.get("name") or "", device.get("devicePath") or ""
        yield from _device_name(name, f"{path}[{index}].name", volumes, names)
        yield from _device_path(target, f"{path}[{index}].devicePath", paths)
        if name in mounts:
            yield invalid(f"{path}[{index}].name", name, "must not already exist in volumeMounts")
        if target in mounts.values():
            why = "must not already exist as a path in volumeMounts"
            yield invalid(f"{path}[{index}].devicePath", target, why)


def _device_name(name: str, path: str, volumes: Mapping[str, Part], seen: set[str]) -> Problems:
    if not name:
        yield required(path)
    if name in seen:
        yield invalid(path, name, "must be unique")
    volume = volumes.get(name)
    if volume is None:
        yield not_found(path, name)
    elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
        why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        yield invalid(path, name, why)
    if name:
        seen.add(name)


def _device_path(target: str, path: str, seen: set[str]) -> Problems:
    if not target:
        yield required(path)
    if target in seen:
        yield invalid(path, target, "must be unique")
    if ".." in target.split("/"):
        yield invalid(path, target, "can not contain backsteps ('..')")
    else:
        seen.add(target)
