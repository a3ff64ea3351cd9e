"""The tables of the core group but Pods and what routes traffic.

Source: kubernetes 1.36 pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.apiserver.tables.words import (
    NONE,
    UNKNOWN,
    UNSET,
    Cells,
    Column,
    Printer,
    age,
    age_of,
    columns,
    count,
    first,
    part,
    text,
)
from netproxy.objects.meta import Object, annotations_of, condition, is_deleting, labels, name, spec, status

_ROLE, _ROLES = "kubernetes.io/role", "node-role.kubernetes.io/"
_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_MODES = (("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP"))
_NOT_WRITTEN = "RulesNotWritten"


def _namespace(obj: Object, now: float) -> Cells:
    return [name(obj), text(status(obj), "phase"), age_of(obj, now)]


# --- nodes


def _node(obj: Object, now: float) -> Cells:
    info, addresses = part(status(obj), "nodeInfo"), status(obj).get("addresses") or ()
    kernel = text(info, "kernelVersion", UNKNOWN)
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    internal, external = (first(addresses, type=kind).get("address", NONE) for kind in ("InternalIP", "ExternalIP"))
    return [
        name(obj), node_status(obj), _roles(obj), age_of(obj, now), text(info, "kubeletVersion"), internal, external,
        text(info, "osImage", UNKNOWN), kernel, text(info, "containerRuntimeVersion", UNKNOWN),
    ]  # fmt: skip


def node_status(obj: Object) -> str:
    """The STATUS column: whether it is ready, and why not when our node proxy cannot write the rules of its Services."""
    ready, network = condition(obj, "Ready"), condition(obj, "NetworkUnavailable")
    if network.get("status") == "True" and network.get("reason") == _NOT_WRITTEN:
        shown = f"NotReady,{_NOT_WRITTEN}"
    elif not ready:
        shown = "Unknown"
    else:
        shown = "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if spec(obj).get("unschedulable") else shown


def _roles(obj: Object) -> str:
    found = {label.removeprefix(_ROLES) for label in labels(obj) if label.startswith(_ROLES)}
    return ",".join(sorted(found - {""} | {labels(obj).get(_ROLE) or ""} - {""})) or NONE


# --- configuration


def _secret(obj: Object, now: float) -> Cells:
    return [name(obj), text(obj, "type"), len(obj.get("data") or ()), age_of(obj, now)]


def _config_map(obj: Object, now: float) -> Cells:
    return [name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age_of(obj, now)]


def _quota(obj: Object, now: float) -> Cells:
    hard, used = part(status(obj), "hard"), part(status(obj), "used")
    shown = [(resource, f"{resource}: {used.get(resource, '0')}/{hard[resource]}") for resource in sorted(hard)]
    requests, limits = (
        ", ".join(said for resource, said in shown if resource.startswith("limits.") is is_limit)
        for is_limit in (False, True)
    )
    return [name(obj), requests, limits, age_of(obj, now)]


# --- events


def _event(obj: Object, now: float) -> Cells:
    about, source, series = part(obj, "involvedObject"), part(obj, "source"), part(obj, "series")
    since = age(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    until = age(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else since
    times = count(obj, "count") or 1
    if series:
        until, times = age(series.get("lastObservedTime"), now), count(series, "count")
    kind = text(about, "kind").lower()
    return [
        until, text(obj, "type"), text(obj, "reason"), f"{kind}/{about['name']}" if about.get("name") else kind,
        text(about, "fieldPath"), _source(obj, source), text(obj, "message").strip(), since, times, name(obj),
    ]  # fmt: skip


def _source(obj: Object, source: Mapping[str, Any]) -> str:
    component = text(source, "component") or text(obj, "reportingComponent")
    instance = text(source, "host") or text(obj, "reportingInstance")
    return f"{component}, {instance}" if instance else component


# --- volumes


def _volume(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    claim = wanted.get("claimRef")
    return [
        name(obj), text(part(wanted, "capacity"), "storage", "0"), _modes(wanted), text(wanted, "persistentVolumeReclaimPolicy"),
        _phase(obj), f"{text(claim, 'namespace')}/{text(claim, 'name')}" if claim else "", _class(obj),
        text(wanted, "volumeAttributesClassName", UNSET), text(state, "reason"), age_of(obj, now),
        text(wanted, "volumeMode", UNSET),
    ]  # fmt: skip


def _claim(obj: Object, now: float) -> Cells:
    wanted, state = spec(obj), status(obj)
    volume = text(wanted, "volumeName")
    return [
        name(obj), _phase(obj), volume, text(part(state, "capacity"), "storage", "0") if volume else "",
        _modes(state) if volume else "", _class(obj), text(wanted, "volumeAttributesClassName", UNSET), age_of(obj, now),
        text(wanted, "volumeMode", UNSET),
    ]  # fmt: skip


def _phase(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else text(status(obj), "phase")


def _modes(given: Mapping[str, Any]) -> str:
    there = given.get("accessModes") or ()
    return ",".join(short for mode, short in _MODES if mode in there)


def _class(obj: Object) -> str:
    return annotations_of(obj).get(_BETA_CLASS, text(spec(obj), "storageClassName"))


NAMESPACE = Printer(columns("Name,Status,Age"), _namespace)
NODE = Printer(
    columns("Name,Status,Roles,Age,Version", "Internal-IP,External-IP,OS-Image,Kernel-Version,Container-Runtime"), _node
)
SECRET = Printer(columns("Name,Type,Data,Age"), _secret)
SERVICE_ACCOUNT = Printer(columns("Name,Age"), lambda obj, now: [name(obj), age_of(obj, now)])
CONFIG_MAP = Printer(columns("Name,Data,Age"), _config_map)
RESOURCE_QUOTA = Printer(columns("Name,Request,Limit,Age"), _quota)
EVENT = Printer(
    (
        *columns("Last Seen,Type,Reason,Object", "Subobject,Source", named=False),
        Column("Message"),
        Column("First Seen", priority=1),
        Column("Count", priority=1),
        Column("Name", format="name", priority=1),
    ),
    _event,
)
PERSISTENT_VOLUME = Printer(
    columns(
        "Name,Capacity,Access Modes,Reclaim Policy,Status,Claim,StorageClass,VolumeAttributesClass,Reason,Age",
        "VolumeMode",
    ),
    _volume,
)
PERSISTENT_VOLUME_CLAIM = Printer(
    columns("Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age", "VolumeMode"), _claim
)
