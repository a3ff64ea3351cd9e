"""What is refused about annotations that mean something for a Pod.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePodSpecificAnnotations; behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netproxy.core.numbers import whole
from netproxy.objects.decoding import word
from netproxy.objects.gojson import parsed, plain
from netproxy.objects.validation.paths import descending
from netproxy.objects.validation.scheduling import toleration_problems
from netproxy.objects.validation.windows import visited
from netproxy.objects.validation.words import Problems, forbidden, invalid, quoted

MIRROR = "kubernetes.io/config.mirror"
_COST = "controller.kubernetes.io/pod-deletion-cost"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
ARMOR_IS_OLD = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerations"
_DEFAULTS = ("runtime/default", "docker/default")
_is_cost = re.compile(r"0|-?[1-9][0-9]*").fullmatch

_FIELDS: dict[str, tuple[str, type, str]] = {
    "key": ("key", str, "string"),
    "operator": ("operator", str, "core.TolerationOperator"),
    "value": ("value", str, "string"),
    "effect": ("effect", str, "core.TaintEffect"),
    "tolerationseconds": ("tolerationSeconds", int, "int64"),
}
"""The fields of a toleration, and their types in Go."""

Part = Mapping[str, Any]


def pod_annotation_problems(annotations: Mapping[str, str] | None, spec: Part, path: str) -> Problems:
    """What is wrong with the annotations of a Pod with this spec, or of its template."""
    if not annotations:
        return
    if MIRROR in annotations and not spec.get("nodeName"):
        why = "must set spec.nodeName if mirror pod annotation is set"
        yield invalid(f"{path}[{MIRROR}]", annotations[MIRROR], why)
    cost = annotations.get(_COST)
    if cost is not None and not (_is_cost(cost) and -(1 << 31) <= whole(cost) < 1 << 31):
        yield invalid(f"{path}[{_COST}]", cost, "must be a 32bit integer")
    if annotations.get(_TOLERATIONS):
        yield from _tolerations(annotations[_TOLERATIONS], path)
    for key, value in annotations.items():
        if key == SECCOMP_POD or key.startswith(SECCOMP_CONTAINER):
            yield from _seccomp(value, f"{path}.{key}")
    for key, value in annotations.items():
        if key.startswith(APP_ARMOR):
            yield from _app_armor(key, value, spec, f"{path}[{key}]")


def _tolerations(text: str, path: str) -> Problems:
    try:
        found = _read(plain(parsed(text.encode())[0]))
    except ValueError as error:
        yield invalid(path, _TOLERATIONS, str(error))
    else:
        yield from toleration_problems(found, f"{path}.{_TOLERATIONS}")


def _read(value: Any) -> list[dict[str, Any]]:
    """The tolerations in a JSON value, whose keys are written in any way. Raises ValueError in Go's words."""
    if value is not None and not isinstance(value, list):
        raise ValueError(f"json: cannot unmarshal {word(value)} into Go value of type []core.Toleration")
    return [_toleration(item, f".{index}") for index, item in enumerate(value or ())]


def _toleration(item: Any, path: str) -> dict[str, Any]:
    if item is not None and not isinstance(item, dict):
        raise ValueError(f"json: cannot unmarshal {word(item)} into {path} of type core.Toleration")
    result: dict[str, Any] = {}
    for key, value in (item or {}).items():
        field, kind, wanted = _FIELDS.get(key.lower(), (key, object, ""))
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            shown = f"number {value}" if kind is int and isinstance(value, float) else word(value)
            raise ValueError(f"json: cannot unmarshal {shown} into Go struct field {path}.{key} of type {wanted}")
        result[field] = value
    return result


def _seccomp(value: str, path: str) -> Problems:
    if value.startswith("localhost/"):
        yield from descending(value.removeprefix("localhost/"), path)
    elif value not in (*_DEFAULTS, "unconfined"):
        yield invalid(path, value, "must be a valid seccomp profile")


def _app_armor(key: str, value: str, spec: Part, path: str) -> Problems:
    container = key.removeprefix(APP_ARMOR)
    if all(item.get("name") != container for item, _ in visited(spec, "")):
        yield invalid(path, container, "container not found")
    if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
        yield invalid(path, value, f"invalid AppArmor profile name: {quoted(value)}")


def armor_field(value: str) -> dict[str, Any] | None:
    """The field that an annotation of AppArmor stands for."""
    if value.startswith("localhost/"):
        return {"type": "Localhost", "localhostProfile": value.removeprefix("localhost/")}
    kind = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}.get(value)
    return {"type": kind} if kind else None


def matching_problems(meta: Part, spec: Part, path: str) -> Problems:
    """Whether annotations and fields that say the same thing say the same."""
    annotations = meta.get("annotations")
    if not annotations:
        return
    own = spec.get("securityContext") or {}
    if own.get("seccompProfile") is not None and SECCOMP_POD in annotations:
        place = f"{path}.securityContext.seccompProfile"
        yield from _same(annotations[SECCOMP_POD], own["seccompProfile"], place, "seccomp", _DEFAULTS)
    for item, place in visited(spec, path):
        field = (item.get("securityContext") or {}).get("seccompProfile")
        said = annotations.get(SECCOMP_CONTAINER + (item.get("name") or ""))
        if field is not None and said is not None:
            yield from _same(said, field, f"{place}.securityContext.seccompProfile", "seccomp", _DEFAULTS)
    if (spec.get("os") or {}).get("name") == "windows":
        return
    for item, place in visited(spec, path):
        field = (item.get("securityContext") or {}).get("appArmorProfile") or own.get("appArmorProfile")
        said = annotations.get(APP_ARMOR + (item.get("name") or ""))
        if field is not None and said is not None:
            place = f"{place}.securityContext.appArmorProfile"
            yield from _same(said, field, place, "apparmor", _DEFAULTS[:1])


def _same(said: str, field: Part, path: str, what: str, defaults: tuple[str, ...]) -> Problems:
    kind, local = field.get("type"), field.get("localhostProfile")
    wanted = {"Unconfined": ("unconfined",), "RuntimeDefault": defaults}.get(kind or "")
    if (wanted and said not in wanted) or (kind == "Localhost" and not said.startswith("localhost/")):
        yield forbidden(f"{path}.type", f"{what} type in annotation and field must match")
    elif kind == "Localhost" and said.removeprefix("localhost/") != local:
        yield forbidden(f"{path}.localhostProfile", f"{what} profile in annotation and field must match")
