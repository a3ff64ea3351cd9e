"""Why a tree of plain values is no object of a type, in the words of Kubernetes' converter.

Source: kubernetes 1.36 staging/src/k8s.io/apimachinery/pkg/runtime/converter.go (FromUnstructured).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netproxy.objects.decoding import NO_QUANTITY
from netproxy.objects.schema import encoding_of, fields_of

_KINDS = {bool: "bool", int: "int64", float: "float64", str: "string", dict: "map", list: "slice"}
_READS_ITSELF = "qtuxd"


def fault(value: Any, of: str) -> str:
    """What is wrong with a value of the type OF; empty when nothing is.

    >>> fault({"spec": {"replicas": "x"}}, "apps.v1.Deployment")
    'unrecognized type: int32'
    """
    if not isinstance(value, dict):
        return f"cannot restore struct from: {_KINDS[type(value)]}"
    encodings = encoding_of(of)
    return _first(
        _fault(value[field], code, encodings.get(field, "").lstrip("!&"))
        for field, code in fields_of(of).items()
        if field in value
    )


def _first(faults: Iterable[str]) -> str:
    return next(filter(None, faults), "")


def _fault(value: Any, code: str, what: str) -> str:
    if value is None or (code == "*" and not what):
        return ""
    if code.startswith("[]"):
        if not isinstance(value, list):
            return f"cannot restore slice from {_KINDS[type(value)]}"
        return _first(_fault(item, code[2:], what) for item in value)
    if code.startswith("{}"):
        if not isinstance(value, dict):
            return f"cannot restore map from {_KINDS[type(value)]}"
        return _first(_fault(value[key], code[2:], what) for key in sorted(value))
    if code.startswith(":"):
        return fault(value, code[1:])
    return _itself(value, what) if what[:1] in _READS_ITSELF and what else _scalar(value, code, what)


def _itself(value: Any, what: str) -> str:
    """A type that reads itself from JSON says itself what is wrong."""
    if isinstance(value, str) or (what == "q" and type(value) in (int, float)) or (what == "x" and type(value) is int):
        return ""
    if what == "q":
        return NO_QUANTITY
    word = "string" if what != "x" else "int32"
    names = {bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
    return f"json: cannot unmarshal {names[type(value)]} into Go value of type {word}"


def _scalar(value: Any, code: str, what: str) -> str:
    own = what.partition("~")[2]
    kind, types = {
        "s": ("string", (str,)), "b": ("bool", (bool,)), "n": ("float64", (int, float)),
        "i": ("int32" if what.startswith("w") else "int64", (int,)),
    }[code]  # fmt: skip
    if type(value) in types:
        return ""
    converts = (code == "s" and type(value) is int) or (code == "i" and type(value) is float)
    return f"cannot convert {_KINDS[type(value)]} to {own or kind}" if converts else f"unrecognized type: {kind}"
