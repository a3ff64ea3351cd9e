"""What is refused about the environment variables of containers.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateEnv, ValidateEnvFrom, validateObjectFieldSelector; behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.validation.names import config_key, dns_label, dns_subdomain, is_prefix_of_name, qualified
from netproxy.objects.validation.paths import no_back_steps
from netproxy.objects.validation.podnames import variable_name
from netproxy.objects.validation.words import Problems, invalid, invalids, required, unsupported

_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_CONVERTIBLE = frozenset(
    (*_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host")
)
_RESOURCES = tuple(
    f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_HUGE = ("limits.hugepages-", "requests.hugepages-")
_SIZES = ("1", *(f"1{unit}" for unit in "kMGTPE"), *(f"1{unit}i" for unit in "KMGTPE"))
_DIVISORS = {
    "cpu": (("1m", "1"), "1m and 1", "cpu"),
    "memory": (_SIZES, ", ".join(_SIZES), "memory"),
    "ephemeral-storage": (_SIZES, ", ".join(_SIZES), "local ephemeral storage"),
}
_SUBSCRIPT = re.compile(r"(.+)\['(.*)'\]", re.S)
_KINDS = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")

Part = Mapping[str, Any]


def env_problems(variables: Sequence[Part], path: str) -> Problems:
    """What is wrong with a container's own variables."""
    for index, item in enumerate(variables):
        name = item.get("name") or ""
        if not name:
            yield required(f"{path}[{index}].name")
        else:
            yield from invalids(f"{path}[{index}].name", name, variable_name(name))
        if item.get("valueFrom") is not None:
            yield from _value_from(item, f"{path}[{index}].valueFrom")


def _value_from(item: Part, path: str) -> Problems:
    source = item["valueFrom"]
    found = [kind for kind in _KINDS if source.get(kind) is not None]
    for kind in found:
        place = f"{path}.{kind}"
        if kind == "fieldRef":
            yield from field_problems(source[kind], place, _FIELDS)
        elif kind == "resourceFieldRef":
            yield from resource_problems(source[kind], place, in_volume=False)
        elif kind == "fileKeyRef":
            yield from _file_key(source[kind], place)
        else:
            yield from _key(source[kind], place)
    if not found:
        listed = ", ".join(f"`{kind}`" for kind in _KINDS[:4])
        yield invalid(path, "", f"must specify one of: {listed} or `fileKeyRef`")
    elif item.get("value"):
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif len(found) > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def env_from_problems(sources: Sequence[Part], path: str) -> Problems:
    """What is wrong with where a container takes whole sets of variables from."""
    for index, item in enumerate(sources):
        prefix = item.get("prefix")
        if prefix:
            yield from invalids(f"{path}[{index}].prefix", prefix, variable_name(prefix))
        found = [kind for kind in ("configMapRef", "secretRef") if item.get(kind) is not None]
        for kind in found:
            name, place = item[kind].get("name") or "", f"{path}[{index}].{kind}.name"
            if name:
                yield from invalids(place, name, is_prefix_of_name(name, dns_subdomain))
            else:
                yield required(place)
        if not found:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(found) > 1:
            yield invalid(path, "", "may not have more than one field specified at a time")


def _key(source: Part, path: str) -> Problems:
    name, key = source.get("name") or "", source.get("key") or ""
    yield from invalids(f"{path}.name", name, dns_subdomain(name))
    if key:
        yield from invalids(f"{path}.key", key, config_key(key))
    else:
        yield required(f"{path}.key")


def _file_key(source: Part, path: str) -> Problems:
    key, volume, file = (source.get(field) or "" for field in ("key", "volumeName", "path"))
    yield from invalids(f"{path}.key", key, variable_name(key)) if key else (required(f"{path}.key"),)
    yield from (
        invalids(f"{path}.volumeName", volume, dns_label(volume)) if volume else (required(f"{path}.volumeName"),)
    )
    yield from no_back_steps(file, f"{path}.path") if file else (required(f"{path}.path"),)


def field_problems(source: Part, path: str, known: tuple[str, ...]) -> Problems:
    """What is wrong with a reference to a field of the Pod."""
    field = source.get("fieldPath") or ""
    if not field:
        yield required(f"{path}.fieldPath")
        return
    found = _SUBSCRIPT.fullmatch(field)
    base = found[1] if found else field
    if source.get("apiVersion", "v1") != "v1":
        why = f"unsupported pod version: {source['apiVersion']}"
        yield invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {why}")
    elif (found and base not in ("metadata.annotations", "metadata.labels")) or (
        not found and field not in _CONVERTIBLE
    ):
        yield invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {_unconvertible(field, bool(found))}")
    elif found:
        subscript = found[2].lower() if base == "metadata.annotations" else found[2]
        yield from invalids(path, subscript, qualified(subscript))
    else:
        field = "spec.nodeName" if field == "spec.host" else field
        if field not in known:
            yield unsupported(f"{path}.fieldPath", field, known)


def _unconvertible(field: str, subscripted: bool) -> str:
    if subscripted:
        return f"field label does not support subscript: {field}"
    return f"field label not supported: {field}"


def resource_problems(source: Part, path: str, *, in_volume: bool) -> Problems:
    """What is wrong with a reference to an amount of a container's resources."""
    name = source.get("resource") or ""
    if in_volume and not source.get("containerName"):
        yield required(f"{path}.containerName")
    elif not name:
        yield required(f"{path}.resource")
    elif name not in _RESOURCES and not name.startswith(_HUGE):
        yield unsupported(f"{path}.resource", name, _RESOURCES)
    yield from _divisor(name, source.get("divisor", "0"), f"{path}.divisor")


def _divisor(name: str, divisor: str, path: str) -> Problems:
    if divisor == "0":
        return
    what = name.partition(".")[2]
    known = _DIVISORS.get(what) if name in _RESOURCES else None
    if name.startswith(_HUGE):
        known = (_SIZES, ", ".join(_SIZES), "hugepages")
    if known and divisor not in known[0]:
        why = "only divisor's values " + known[1] + f" are supported with the {known[2]} resource"
        yield invalid(path, name, why)
