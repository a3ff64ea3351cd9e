"""JSON → an object of a Kubernetes type, as Go's strict decoder reads it: unknown fields are dropped and told, and so are repeated ones.

Source: sigs.k8s.io/json (strict errors and their paths); encoding/json decode.go (messages about types).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from netproxy.core.errors import NetproxyError
from netproxy.objects.amount import amount, quantity_text
from netproxy.objects.gojson import Pairs, plain
from netproxy.objects.moments import MICROSECONDS, SECONDS, moment
from netproxy.objects.schema import encoding_of, fields_of

MOST_TOLD = 100
_PLAIN_TYPES: dict[str, type | tuple[type, ...]] = {"s": str, "b": bool, "n": (int, float)}
_GO_NAMES = {"s": "string", "b": "bool", "n": "float64"}

_BYTES = {("core.v1.Secret", "data"), ("core.v1.ConfigMap", "binaryData")}
"""Fields whose strings stand for bytes."""
_EMBEDDED: dict[str, tuple[str, frozenset[str]]] = {
    "core.v1.Volume": ("VolumeSource", frozenset(("name",))),
    "core.v1.EphemeralContainer": ("EphemeralContainerCommon", frozenset(("targetContainerName",))),
    "core.v1.Probe": ("ProbeHandler", frozenset((
        "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold",
        "terminationGracePeriodSeconds",
    ))),
    "core.v1.ConfigMapKeySelector": ("LocalObjectReference", frozenset(("key", "optional"))),
    "core.v1.SecretKeySelector": ("LocalObjectReference", frozenset(("key", "optional"))),
    "core.v1.ConfigMapEnvSource": ("LocalObjectReference", frozenset(("optional",))),
    "core.v1.SecretEnvSource": ("LocalObjectReference", frozenset(("optional",))),
    "core.v1.ConfigMapVolumeSource": ("LocalObjectReference", frozenset(("items", "defaultMode", "optional"))),
    "core.v1.ConfigMapProjection": ("LocalObjectReference", frozenset(("items", "optional"))),
    "core.v1.SecretProjection": ("LocalObjectReference", frozenset(("items", "optional"))),
}  # fmt: skip
"""Structs with another one inside whose fields are written as their own: its Go name, and the fields that are not its."""


class DecodingError(NetproxyError):
    """The value is not of the type."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An object that was read, and what a strict reader would have refused it for."""

    obj: Any
    told: tuple[str, ...] = ()


def read(value: Any, of: str, *, is_plain: bool = True) -> Reading:
    """Read a parsed JSON value as an object of the type OF. IS_PLAIN: no key in it is there twice.

    >>> read({"metadata": {"name": "a", "lables": {}}, "data": {"a": "1"}}, "core.v1.ConfigMap")
    Reading(obj={'metadata': {'name': 'a'}, 'data': {'a': '1'}}, told=('unknown field "metadata.lables"',))

    Raises DecodingError for a wrong type.
    """
    if is_plain and type(value) is dict and _fits(value, _checks(of)):
        return Reading(value)
    reader = _Reader()
    obj = reader.struct(value, of, "")
    if reader.wrong:
        raise DecodingError(reader.wrong)
    return Reading(obj, tuple(dict.fromkeys(reader.told))[:MOST_TOLD])


# --- a fast yes for what has nothing to tell, which is nearly everything

_Check = type | Callable[[Any], bool]
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def _fits(value: dict[str, Any], checks: Mapping[str, _Check]) -> bool:
    for field, item in value.items():
        check = checks.get(field)
        if check is None:
            return False
        if type(check) is type:
            if type(item) is not check:
                return False
        elif not check(item):
            return False
    return True


@cache
def _checks(of: str) -> Mapping[str, _Check]:
    encodings = encoding_of(of)
    return {field: _check(code, _what(of, field, encodings).partition("~")[0]) for field, code in fields_of(of).items()}


def _check(code: str, what: str) -> _Check:
    if code.startswith(":"):
        inner = code[1:]
        return lambda value: type(value) is dict and _fits(value, _checks(inner))
    if code.startswith(("[]", "{}")):
        return _check_all(_check(code[2:], what), list if code.startswith("[]") else dict)
    if what == "y":
        return lambda value: type(value) is str and _BASE64.fullmatch(value) is not None
    if what in ("q", "x"):
        return lambda value: type(value) is str or (type(value) is int and -_LARGE <= value < _LARGE)
    if code == "i":
        most = _LARGE if what == "w" else _LARGE << 32
        return lambda value: type(value) is int and -most <= value < most
    if what in ("t", "u", "d"):
        return str
    return _TYPES[code]


_LARGE = 1 << 31
_TYPES: dict[str, _Check] = {"s": str, "b": bool, "*": lambda _: True, "n": lambda value: type(value) in (int, float)}


def _check_all(check: _Check, kind: type) -> _Check:
    """Every item of a list, or every value of a map."""

    def all_are(items: Iterable[Any]) -> bool:
        if type(check) is type:
            return all([type(item) is check for item in items])
        return all([check(item) for item in items])

    if kind is dict:
        return lambda value: type(value) is dict and all_are(value.values())
    return lambda value: type(value) is list and all_are(value)


# --- the whole story


class _Reader:
    """One reading: what was told so far, the first wrong type, and where in Go's structs it is."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.wrong = ""
        self._fields: list[str] = []
        self._struct = ""

    def struct(self, value: Any, of: str, path: str) -> Any:
        """The fields that the type has."""
        if not isinstance(value, dict | Pairs):
            return self._is_wrong(value, _go_name(of))
        fields, encodings = fields_of(of), encoding_of(of)
        inner, own = _EMBEDDED.get(of, ("", frozenset()))
        outer, result = self._struct, dict[str, Any]()
        for key, item in _pairs(value):
            code = fields.get(key)
            if code is None:
                self._tell("unknown", path, key)
                continue
            if key in result:
                self._tell("duplicate", path, key)
            names = (inner, key) if inner and key not in own else (key,)
            self._struct = of
            self._fields += names
            what = _what(of, key, encodings)
            result[key] = _joined(result.get(key), self._value(item, code, what, f"{path}.{key}" if path else key))
            del self._fields[-len(names) :]
        self._struct = outer
        return result

    def _value(self, value: Any, code: str, what: str, path: str) -> Any:
        if value is None:
            return None
        if code.startswith("[]"):
            return self._list(value, code, what, path)
        if code.startswith("{}"):
            return self._map(value, code, what, path)
        if code.startswith(":"):
            return self.struct(value, code[1:], path)
        return self._scalar(value, code, what)

    def _list(self, value: Any, code: str, what: str, path: str) -> Any:
        if type(value) is not list:
            return self._is_wrong(value, _go_type(code, what))
        items = [self._value(item, code[2:], what, f"{path}[{index}]") for index, item in enumerate(value)]
        return [{} if item is None else item for item in items] if code.startswith("[]:") else items

    def _map(self, value: Any, code: str, what: str, path: str) -> Any:
        if not isinstance(value, dict | Pairs):
            return self._is_wrong(value, _go_type(code, what))
        result: dict[str, Any] = {}
        for key, item in _pairs(value):
            if key in result:
                self._tell("duplicate", path, key)
            result[key] = self._value(item, code[2:], what, f"{path}.{key}")
        return result

    def _scalar(self, value: Any, code: str, what: str) -> Any:
        what, _, named = what.partition("~")
        if what in ("q", "t", "u", "d", "x"):
            return self._special(value, what)
        if what == "y":
            return self._bytes(value)
        if code == "i":
            return self._integer(value, 31 if what == "w" else 63, named)
        wanted = _PLAIN_TYPES.get(code)
        if wanted is None:
            return plain(value)
        if not isinstance(value, wanted) or (code == "n" and type(value) is bool):
            return self._is_wrong(value, named or _GO_NAMES[code])
        return value

    def _integer(self, value: Any, bits: int, named: str = "") -> Any:
        name = named or ("int32" if bits == 31 else "int64")
        if type(value) is not int:
            shown = f"number {value!r}" if isinstance(value, float) else ""
            return self._is_wrong(value, name, shown)
        return value if -1 << bits <= value < 1 << bits else self._is_wrong(value, name, f"number {value}")

    def _special(self, value: Any, what: str) -> Any:
        """A type that reads itself: a Quantity, a time, an IntOrString."""
        if isinstance(value, str) or (what == "q" and isinstance(value, int | float) and not isinstance(value, bool)):
            if reason := _reason(value, what):
                raise DecodingError(reason)
            return value
        if what == "q":
            raise DecodingError(NO_QUANTITY)
        if what == "x" and type(value) is int:
            return self._integer(value, 31)
        self.wrong = ""  # it is the last word: nothing is read after it
        shown = f"number {value!r}" if what == "x" and isinstance(value, float) else ""
        self._is_wrong(value, "int32" if what == "x" else "string", shown)
        raise DecodingError(self.wrong)

    def _bytes(self, value: Any) -> Any:
        if not isinstance(value, str):
            return self._is_wrong(value, "[]uint8")
        place = base64_fault(value)
        if place is not None and not self.wrong:
            self.wrong = f"illegal base64 data at input byte {place}"
        return value

    def _is_wrong(self, value: Any, wanted: str, shown: str = "") -> None:
        if not self.wrong:
            what = (
                f"Go struct field {self._struct.rpartition('.')[2]}.{'.'.join(self._fields)}"
                if self._fields
                else "Go value"
            )
            self.wrong = f"json: cannot unmarshal {shown or word(value)} into {what} of type {wanted}"

    def _tell(self, what: str, path: str, key: str) -> None:
        self.told.append(f'{what} field "{path}.{key}"' if path else f'{what} field "{key}"')


def _reason(value: Any, what: str) -> str:
    """Why a text is not of a type that reads itself."""
    try:
        if what == "q":
            amount(quantity_text(value))
        elif what in ("t", "u"):
            moment(value, MICROSECONDS if what == "u" else SECONDS)
    except ValueError as error:
        return str(error)
    return ""


NO_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def word(value: Any) -> str:
    """Go's word for a kind of JSON value.

    >>> [word(value) for value in ({}, [], "", True, 1)]
    ['object', 'array', 'string', 'bool', 'number']
    """
    if isinstance(value, dict | Pairs):
        return "object"
    return {list: "array", str: "string", bool: "bool"}.get(type(value), "number")


def from_base64(text: str) -> bytes:
    """What a text of base64 says; line breaks do not count, as in Go. Raises ValueError."""
    return b64decode(text.replace("\n", "").replace("\r", ""), validate=True)


def base64_fault(text: str) -> int | None:
    """Where Go's decoder finds a fault in a base64 text; None for a good one.

    >>> base64_fault("QQ=="), base64_fault("QQ"), base64_fault("a*b=")
    (None, 0, 1)
    """
    import string

    good = set(string.ascii_letters + string.digits + "+/")
    data = text.encode()
    held = 0
    for at, byte in enumerate(data):
        char = chr(byte)
        if char in "\r\n":
            continue
        if char == "=":
            return _padding_fault(data, at, held % 4)
        if char not in good:
            return at
        held += 1
    return None if held % 4 == 0 else len(data) - held % 4


def _padding_fault(data: bytes, at: int, held: int) -> int | None:
    """What is wrong at the first `=`, with HELD characters of its group before it."""
    if held < 2:
        return at
    rest = [(place, byte) for place, byte in enumerate(data[at + 1 :], at + 1) if byte not in b"\r\n"]
    if held == 2:
        if not rest:
            return len(data)
        if rest[0][1] != ord("="):
            return rest[0][0] - 1
        rest = rest[1:]
    return rest[0][0] if rest else None


def _pairs(value: Any) -> Iterable[tuple[str, Any]]:
    return value if isinstance(value, Pairs) else value.items()


def _joined(before: Any, now: Any) -> Any:
    """What a key that is there twice holds: fields of both, or the last."""
    return {**before, **now} if isinstance(before, dict) and isinstance(now, dict) else now


def _what(of: str, field: str, encodings: Mapping[str, str]) -> str:
    """What a field holds, where that matters, and after a `~` what Go calls it."""
    return "y" if (of, field) in _BYTES else encodings.get(field, "").lstrip("!&")


def _go_name(of: str) -> str:
    """The type as Go writes it.

    >>> _go_name("core.v1.ServicePort")
    'v1.ServicePort'
    """
    return ".".join(of.split(".")[-2:])


def _go_type(code: str, what: str) -> str:
    """The type of a field as Go writes it."""
    if code.startswith("[]"):
        return "[]" + _go_type(code[2:], what)
    if code.startswith("{}"):
        return "v1.ResourceList" if what == "q" else "map[string]" + _go_type(code[2:], what)
    if code.startswith(":"):
        return _go_name(code[1:])
    what, _, named = what.partition("~")
    if what == "y":
        return "[]uint8"
    if named:
        return named
    return ("int32" if what == "w" else "int64") if code == "i" else _GO_NAMES.get(code, "interface {}")
