"""Bodies in Kubernetes' protobuf form → objects as JSON: what typed clients in Go send (kubectl since 1.32, informers, controllers).

The words are those of Go's generated decoders. A field that is no pointer and is empty is not there: Go writes it all the same.

Source: apimachinery pkg/runtime/serializer/protobuf/protobuf.go, pkg/runtime/generated.proto (the envelope), the generated
`Unmarshal` of all types (gogo/protobuf), metav1 time_proto.go and micro_time_proto.go.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from netproxy.core.errors import NetproxyError
from netproxy.objects.gojson import SyntaxFaultError, parsed, plain
from netproxy.objects.meta import Object

PREFIX = b"k8s\x00"
DELETE_OPTIONS = "apis.meta.v1.DeleteOptions"
MOST_NESTED = 100
"""How deep messages may be in one another; schemas of custom resources are the only ones that nest at will."""

_VARINT, _FIXED64, _BYTES, _BEGIN, _END, _FIXED32 = range(6)
_EOF, _OVERFLOW, _NEGATIVE = (
    "unexpected EOF",
    "proto: integer overflow",
    "proto: negative length found during unmarshaling",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_Field = tuple[str, str, str]
"""Its name in JSON, its name in Go, its code (see tools/generate_protobuf.py)."""


class ProtobufError(NetproxyError):
    """The bytes are no such message, in Go's words."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is around every object: its apiVersion and kind ("" for one that is not said), and its bytes."""

    api_version: str
    kind: str
    raw: bytes


def envelope(body: bytes) -> Envelope:
    """Open a request's body.

    >>> envelope(b"k8s\\x00\\x0a\\x0b\\x0a\\x02v1\\x12\\x05Event\\x12\\x00")
    Envelope(api_version='v1', kind='Event', raw=b'')

    Raises ProtobufError.
    """
    if not body:
        raise ProtobufError("empty data")
    if not body.startswith(PREFIX):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    if len(body) == len(PREFIX):
        raise ProtobufError("empty body")
    found = _message(memoryview(body)[len(PREFIX) :], "runtime.Unknown", 0, {})
    version = found.get("apiVersion", "")
    return Envelope(version if version.count("/") < 2 else "", found.get("kind", ""), found.get("raw", b""))


def message(raw: bytes, of: str) -> Object:
    """The fields of an object of the type OF (`type_of`). Raises ProtobufError.

    >>> message(b"\\x0a\\x03\\x0a\\x01a", type_of("v1", "ConfigMap"))
    {'metadata': {'name': 'a'}}
    """
    return _message(memoryview(raw), of, 0, {})


def type_of(api_version: str, kind: str) -> str:
    """The type of a kind; empty for one that has no protobuf form here."""
    return str(_data()["kinds"].get(f"{api_version}/{kind}", ""))


@cache
def _data() -> dict[str, Any]:
    import json
    import lzma

    found: dict[str, Any] = json.loads(lzma.decompress(files(__package__).joinpath("protobuf.json.xz").read_bytes()))
    return found


@cache
def _fields(of: str) -> Mapping[int, _Field]:
    own = _OWN.get(of)
    if own is not None:
        return own
    return {int(number): (name, go, code) for number, (name, go, code) in _data()["types"][of].items()}


_OWN: Mapping[str, Mapping[int, _Field]] = {
    "runtime.Unknown": {
        1: ("", "TypeMeta", "=runtime.TypeMeta"), 2: ("raw", "Raw", "B"), 3: ("encoding", "ContentEncoding", "s"),
        4: ("type", "ContentType", "s"),
    },
    "v1.Timestamp": {1: ("seconds", "Seconds", "&i"), 2: ("nanos", "Nanos", "&w")},
    "resource.Quantity": {1: ("string", "String_", "s")},
    "intstr.IntOrString": {1: ("type", "Type", "i"), 2: ("int", "IntVal", "w"), 3: ("text", "StrVal", "s")},
    "runtime.RawExtension": {1: ("raw", "Raw", "B")},
    "v1.FieldsV1": {1: ("raw", "Raw", "B")},
    "v1.ExtraValue": {1: ("items", "Items", "[]s")},
    "v1.JSONSchemaPropsOrArray": {
        1: ("one", "Schema", "&:apis.apiextensions.v1.JSONSchemaProps"),
        2: ("list", "JSONSchemas", "[]:apis.apiextensions.v1.JSONSchemaProps"),
    },
    "v1.JSONSchemaPropsOrBool": {
        1: ("plain", "Allows", "&b"), 2: ("one", "Schema", "&:apis.apiextensions.v1.JSONSchemaProps"),
    },
    "v1.JSONSchemaPropsOrStringArray": {
        1: ("one", "Schema", "&:apis.apiextensions.v1.JSONSchemaProps"), 2: ("list", "Property", "[]s"),
    },
}  # fmt: skip
"""Types whose JSON is not that of their fields. The code B: bytes as they are."""


def _message(data: memoryview, of: str, depth: int, result: Object) -> Object:
    """RESULT with the fields of one message."""
    if depth > MOST_NESTED:
        raise ProtobufError("proto: exceeded maximum recursion depth")
    fields, at = _fields(of), 0
    while at < len(data):
        begun = at
        tag, at = _varint(data, at)
        own = of.rpartition(".")[2]
        number, wire = _signed(tag >> 3, 32), tag & 7
        if wire == _END:
            raise ProtobufError(f"proto: {own}: wiretype end group for non-group")
        if number <= 0:
            raise ProtobufError(f"proto: {own}: illegal tag {number} (wire type {tag})")
        field = fields.get(number)
        at = _skip(data, begun) if field is None else _take(result, field, wire, data, at, depth)
    return result


def _take(result: Object, field: _Field, wire: int, data: memoryview, at: int, depth: int) -> int:
    """Put a field's value into RESULT; the place behind it."""
    name, go, code = field
    if code[:2] == "[]" and code[2] in _NUMBERS and wire == _BYTES:
        inside, at = _span(data, at)
        result.setdefault(name, []).extend(_packed(inside, _NUMBERS[code[2]]))
        return at
    plain_code = code.lstrip("&").removeprefix("[]")
    wanted = _VARINT if plain_code in _NUMBERS else _FIXED64 if plain_code == "f" else _BYTES
    if wire != wanted:
        raise ProtobufError(f"proto: wrong wireType = {wire} for field {go}")
    if wire == _BYTES:
        inside, at = _span(data, at)
        _put_long(result, field, inside, depth)
    else:
        value, at = _number(data, at, plain_code)
        _put(result, name, code, value)
    return at


def _put_long(result: Object, field: _Field, inside: memoryview, depth: int) -> None:
    """Put a value that has a length into RESULT: a struct into the one that is there, entries and items beside the others."""
    name, _, code = field
    if code[0] == "=":
        _message(inside, code[1:], depth + 1, result)
    elif code.lstrip("&")[0] == ":":
        result[name] = _message(inside, code.lstrip("&:"), depth + 1, result.get(name) or {})
    elif code[:2] == "{}":
        key, value = _entry(inside, code[2:], depth)
        result.setdefault(name, {})[key] = value
    else:
        _put(result, name, code, _value(inside, code.lstrip("&").removeprefix("[]"), depth))


def _put(result: Object, name: str, code: str, value: Any) -> None:
    if code[:2] == "[]":
        result.setdefault(name, []).append(value)
    elif value or code[0] in "&x":
        result[name] = value
    else:
        result.pop(name, None)


def _value(data: memoryview, code: str, depth: int) -> Any:
    """A value that has a length."""
    if code[0] == ":":
        return _message(data, code[1:], depth + 1, {})
    if code == "s":
        return bytes(data).decode(errors="replace")
    if code == "y":
        return b64encode(data).decode()
    return bytes(data) if code == "B" else _FORMS[code](data, depth)


def _number(data: memoryview, at: int, code: str) -> tuple[Any, int]:
    """A value that has none."""
    if code == "f":
        if at + 8 > len(data):
            raise ProtobufError(_EOF)
        return struct.unpack("<d", data[at : at + 8])[0], at + 8
    value, at = _varint(data, at)
    return _NUMBERS[code](value), at


def _entry(data: memoryview, code: str, depth: int) -> tuple[str, Any]:
    """An entry of a map."""
    key, value, at = "", {} if code[0] == ":" else _EMPTY.get(code, ""), 0
    while at < len(data):
        begun = at
        tag, at = _varint(data, at)
        if tag >> 3 == 1:
            inside, at = _span(data, at)
            key = bytes(inside).decode(errors="replace")
        elif tag >> 3 == 2:
            inside, at = _span(data, at)
            value = _value(inside, code, depth)
        else:
            at = _skip(data, begun)
    return key, value


_EMPTY: Mapping[str, Any] = {"q": "0", "e": []}


# --- types whose JSON is not that of their fields


def _quantity(data: memoryview, depth: int) -> str:
    return _message(data, "resource.Quantity", depth, {}).get("string") or "0"


def _time(data: memoryview, depth: int) -> str | None:
    moment = _moment(data, depth)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def _micro_time(data: memoryview, depth: int) -> str | None:
    moment = _moment(data, depth)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None


def _moment(data: memoryview, depth: int) -> datetime | None:
    """The time that is meant; None for Go's zero time."""
    if not len(data):
        return None
    found = _message(data, "v1.Timestamp", depth, {})
    try:
        return _EPOCH + timedelta(seconds=found.get("seconds", 0), microseconds=found.get("nanos", 0) // 1000)
    except OverflowError:
        raise ProtobufError("Time.MarshalJSON: year outside of range [0,9999]") from None


def _int_or_string(data: memoryview, depth: int) -> int | str:
    found = _message(data, "intstr.IntOrString", depth, {})
    return str(found.get("text", "")) if found.get("type") else int(found.get("int", 0))


def _json_in(of: str) -> Callable[[memoryview, int], Any]:
    """What JSON in bytes says; nothing when it is none, as Go looks at it only when it is asked for."""

    def json_in(data: memoryview, depth: int) -> Any:
        try:
            return plain(parsed(_message(data, of, depth, {}).get("raw", b""))[0])
        except SyntaxFaultError:
            return None

    return json_in


def _strings(data: memoryview, depth: int) -> list[str]:
    return list(_message(data, "v1.ExtraValue", depth, {}).get("items", ()))


def _one_of(of: str) -> Callable[[memoryview, int], Any]:
    """A value that is a list, a schema or a boolean."""

    def one(data: memoryview, depth: int) -> Any:
        found = _message(data, of, depth + 1, {})
        return found.get("list") or found.get("one", found.get("plain"))

    return one


_FORMS: Mapping[str, Callable[[memoryview, int], Any]] = {
    "q": _quantity, "t": _time, "u": _micro_time, "x": _int_or_string, "e": _strings,
    "r": _json_in("runtime.RawExtension"), "v": _json_in("v1.FieldsV1"),
    "a": _one_of("v1.JSONSchemaPropsOrArray"), "o": _one_of("v1.JSONSchemaPropsOrBool"),
    "l": _one_of("v1.JSONSchemaPropsOrStringArray"),
}  # fmt: skip


# --- bytes


def _signed(value: int, bits: int) -> int:
    """The low bits as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


_NUMBERS: Mapping[str, Callable[[int], int]] = {
    "i": lambda value: _signed(value, 64), "w": lambda value: _signed(value, 32), "b": bool,
}  # fmt: skip


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if shift >= 64:
            raise ProtobufError(_OVERFLOW)
        if at >= len(data):
            raise ProtobufError(_EOF)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        shift += 7


def _span(data: memoryview, at: int) -> tuple[memoryview, int]:
    """What has a length, and the place behind it."""
    length, at = _varint(data, at)
    if length >> 63 or at + length >> 63:
        raise ProtobufError(_NEGATIVE)
    if at + length > len(data):
        raise ProtobufError(_EOF)
    return data[at : at + length], at + length


def _packed(data: memoryview, number: Callable[[int], int]) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield number(value)


def _skip(data: memoryview, at: int) -> int:
    """The place behind a field that nobody knows."""
    depth = 0
    while True:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            at = _varint(data, at)[1]
        elif wire == _BYTES:
            at = _span(data, at)[1]
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        elif wire == _BEGIN:
            depth += 1
        elif wire == _END:
            depth -= 1  # the first one begins a group: a field that ends one is refused before
        else:
            raise ProtobufError(f"proto: illegal wireType {wire}")
        if at > len(data):
            raise ProtobufError(_EOF)
        if not depth:
            return at
