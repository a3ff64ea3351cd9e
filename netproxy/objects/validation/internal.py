"""Pods in the form in which the API server keeps them itself: some refusals show that form.

Source: kubernetes pkg/apis/core/types.go (as generated data), apimachinery pkg/util/diff (behaviour).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.objects.schema import internal_fields
from netproxy.objects.validation.gostructs import escaped

_OF_SPEC = {
    "HostNetwork": "hostNetwork", "HostPID": "hostPID", "HostIPC": "hostIPC",
    "ShareProcessNamespace": "shareProcessNamespace", "HostUsers": "hostUsers",
}  # fmt: skip
"""What a Pod has in its spec, and the server in the security context."""
_ZERO: dict[str, Any] = {"s": "", "i": 0, "b": False, "q": "0", "x": 0}
_EMBEDDING = ("PodTemplateSpec", "PersistentVolumeClaimTemplate")
"""Types whose metadata is a part of themselves."""

Part = Mapping[str, Any]


def internal(kind: str, given: Part) -> dict[str, Any]:
    """A part of a Pod in the server's own form.

    >>> internal("PodOS", {"name": "linux"})
    {'Name': 'linux'}
    """
    result: dict[str, Any] = {}
    if kind in _EMBEDDING:
        meta = given.get("metadata") or {}
        result |= {
            field: dict(sorted(value.items())) if isinstance(value, Mapping) else value for field, value in meta.items()
        }
    for shown, field, code in internal_fields(kind):
        value = given.get(field)
        if kind == "PodSpec" and shown == "SecurityContext" and value is not None:
            value = {**value, **{own: given[own] for own in _OF_SPEC.values() if own in given}}
        result[shown] = _written(given.get(_OF_SPEC.get(shown, "")) if not field else value, code)
    return result


def _written(value: Any, code: str) -> Any:
    if code.startswith(("[]", "{}", "*")):
        if value is None:
            return None
        inner = code.lstrip("*") if code[0] == "*" else code[2:]
        if code.startswith("[]"):
            return [_written(item, inner) for item in value]
        if code.startswith("{}"):
            return {key: _written(item, inner) for key, item in sorted(value.items())}
        return _written(value, inner)
    if code.startswith(":"):
        return internal(code[1:], value or {})
    if code == "j":
        return _selector(value)
    return _ZERO.get(code) if value is None else value


def _selector(given: Part) -> dict[str, Any]:
    """A selector of labels, which the server keeps as it is sent."""
    result: dict[str, Any] = {}
    if given.get("matchLabels"):
        result["matchLabels"] = dict(sorted(given["matchLabels"].items()))
    if given.get("matchExpressions"):
        result["matchExpressions"] = [
            {"key": item.get("key", ""), "operator": item.get("operator", "")}
            | ({"values": item["values"]} if item.get("values") else {})
            for item in given["matchExpressions"]
        ]
    return result


def internal_diff(old: Part, new: Part, kind: str = "PodSpec") -> str:
    """How two specs of Pods, or two parts of them, differ, line by line, as Go's difflib says it."""
    before, after = (_lines(internal(kind, part)) for part in (old, new))
    return "".join(_hunks(difflib.unified_diff(before, after)))


def _lines(value: Any) -> list[str]:
    return [f"{line}\n" for line in escaped(json.dumps(value, indent=1, ensure_ascii=False)).split("\n")]


def _hunks(lines: Iterable[str]) -> Iterable[str]:
    """Without the names of the files, of which there are none."""
    for index, line in enumerate(lines):
        if index > 1:
            yield line
