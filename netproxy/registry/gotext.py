"""Values as Go prints them in messages, and the failures that have only a message."""

from __future__ import annotations

from typing import Any

import orjson

from netproxy.core.errors import ApiError

_TYPES = {
    bool: "bool", int: "int64", float: "float64", str: "string", dict: "map[string]interface {}", list: "[]interface {}",
    type(None): "%!s(<nil>)",
}  # fmt: skip


def failed(why: str) -> ApiError:
    """A failure of the server's, though it is the client's fault."""
    return ApiError(500, "", why)


def malformed(why: str) -> ApiError:
    """The request cannot be understood."""
    return ApiError(400, "BadRequest", why)


def go_type(value: Any) -> str:
    """The Go type of a JSON value.

    >>> go_type({}), go_type(5)
    ('map[string]interface {}', 'int64')
    """
    return _TYPES[type(value)]


def go_quoted(text: str) -> str:
    """A string as Go prints it with `%q`."""
    return orjson.dumps(text).decode()


def go_text(value: Any) -> str:
    """A value as Go prints it with `%v`.

    >>> go_text({"b": [1, "x"], "a": None})
    'map[a:<nil> b:[1 x]]'
    """
    match value:
        case dict():
            return f"map[{' '.join(f'{key}:{go_text(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(go_text, value))}]"
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
    return str(value)


def go_syntax(value: Any) -> str:
    """A value as Go prints it with `%#v`."""
    match value:
        case dict():
            return f"map[string]interface {{}}{{{', '.join(f'{go_quoted(key)}:{go_syntax(value[key])}' for key in sorted(value))}}}"
        case list():
            return f"[]interface {{}}{{{', '.join(map(go_syntax, value))}}}"
        case str():
            return go_quoted(value)
        case None:
            return "interface {}(nil)"
    return go_text(value)
