"""What a PATCH brings, by the type of its content: its value, and what was wrong with its text that can be overlooked.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go; sigs.k8s.io/json (strict errors).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netproxy.apiserver.status import bad_request
from netproxy.apiserver.yamlbody import yaml_value
from netproxy.objects.decoding import word
from netproxy.objects.gojson import Pairs, SyntaxFaultError, parsed, plain
from netproxy.registry.options import WriteOptions
from netproxy.registry.patch import JSON, MERGE

_DECODING = "error decoding patch: "
_MAP = "map[string]interface {}"
_BAD_MERGE = "Invalid JSON Patch"
_OPERATION = ("op", "path", "from", "value")


def configuration(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """What is to be applied, and what was wrong with its text. Raises ApiError when it cannot be read."""
    try:
        value, told = yaml_value(body)
    except ValueError as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from error
    if value is not None and not isinstance(value, dict):
        what = f"json: cannot unmarshal {word(value)} into Go value of type {_MAP}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {what}")
    return value, told


def patch_body(body: bytes, kind: str, options: WriteOptions) -> tuple[Any, tuple[str, ...]]:
    """The patch itself, and what was wrong with its text. Raises ApiError when it cannot be read."""
    is_strict = options.field_validation != "Ignore"
    try:
        value, is_plain = parsed(body)
    except SyntaxFaultError as error:
        if kind == MERGE and not is_strict:
            raise bad_request(_BAD_MERGE) from error
        raise bad_request((_DECODING if kind == JSON and is_strict else _before(kind)) + str(error)) from error
    told = () if is_plain or not is_strict else tuple(_repeated(value, ""))
    value = value if is_plain else plain(value)
    if kind == JSON:
        return _operations(value, is_strict=is_strict), _told_of_operations(value, told) if is_strict else ()
    return _merged(value, kind, is_strict=is_strict), told


def _before(kind: str) -> str:
    return _DECODING if kind == MERGE else ""


def _merged(value: Any, kind: str, *, is_strict: bool) -> Any:
    if isinstance(value, dict):
        return value
    if kind != MERGE:
        if value is None:
            return {}
    elif value is None or (not is_strict and not isinstance(value, list)):
        raise bad_request(_BAD_MERGE)
    elif not is_strict:
        return value
    raise bad_request(f"{_before(kind)}json: cannot unmarshal {word(value)} into Go value of type {_MAP}")


def _operations(value: Any, *, is_strict: bool) -> list[Any]:
    """The operations of a JSON patch."""
    before, whole, one = (
        (_DECODING, "[]handlers.jsonPatchOp", "handlers.jsonPatchOp") if is_strict
        else ("", "jsonpatch.Patch", "jsonpatch.Operation")
    )  # fmt: skip
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_request(f"{before}json: cannot unmarshal {word(value)} into Go value of type {whole}")
    for item in value:
        if item is not None and not isinstance(item, dict):
            raise bad_request(f"{before}json: cannot unmarshal {word(item)} into Go value of type {one}")
        for field in ("op", "path", "from"):
            text = (item or {}).get(field) or ""
            if is_strict and not isinstance(text, str):
                what = f"json: cannot unmarshal {word(text)} into Go struct field jsonPatchOp.{field} of type string"
                raise bad_request(before + what)
    return value


def _told_of_operations(value: Any, told: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [
        f'unknown field "[{index}].{field}"'
        for index, item in enumerate(value or ())
        for field in item or ()
        if field not in _OPERATION
    ]
    return tuple(f"json patch {text}" for text in (*told, *unknown))


def _repeated(value: Any, path: str) -> Iterator[str]:
    """The fields that are there twice, in the order of the text."""
    if isinstance(value, list) and not isinstance(value, Pairs):
        for index, item in enumerate(value):
            yield from _repeated(item, f"{path}[{index}]")
        return
    seen = set()
    for key, item in value if isinstance(value, Pairs) else value.items() if isinstance(value, dict) else ():
        here = f"{path}.{key}" if path else key
        if key in seen:
            yield f'duplicate field "{here}"'
        seen.add(key)
        yield from _repeated(item, here)
