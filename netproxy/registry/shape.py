"""How the parts of an object are owned: as a whole, by field, by item. A value, so that every kind can bring its own.

Source: sigs.k8s.io/structured-merge-diff v6 schema (atoms and their relationship), kubernetes 1.36 OpenAPI (x-kubernetes-*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any

from netproxy.objects.meta import Object
from netproxy.objects.schema import atomic_types, encoding_of, fields_of, is_atomic, key_defaults, list_type, type_of

_NO_FIELDS: Mapping[str, Shape] = {}


class Owned(Enum):
    """In which parts a value is owned."""

    WHOLE = "a scalar, or an atomic list or map"
    FIELDS = "a map or an object, by its keys"
    ITEMS = "a list of objects, by their keys"
    VALUES = "a list of scalars, by their values"
    AS_FOUND = "whatever it is: objects by their keys, all else as a whole"
    PLACES = "a list within something that is owned as a whole"


class Shape:
    """How a value is owned, and what is in it. Types may contain themselves: what is in it may be told later."""

    __slots__ = ("_fields", "defaults", "inside", "is_closed", "items", "keys", "owned", "scalar")

    def __init__(
        self, owned: Owned, *, items: Shape | None = None, keys: tuple[str, ...] = (),
        defaults: Mapping[str, Any] | None = None, fields: Callable[[], Mapping[str, Shape]] | None = None,
        inside: Shape | None = None, scalar: str = "", is_closed: bool = False,
    ) -> None:  # fmt: skip
        self.owned = owned
        self.items = items
        """Of what shape the values of keys that are no named fields are, or the items of a list."""
        self.keys = keys
        """By which fields the items of a list are told apart; sorted."""
        self.defaults = defaults or {}
        """What those fields are when an item does not say."""
        self.inside = inside
        """What a list or map that is owned as a whole would be otherwise."""
        self.scalar = scalar
        """`string`, `numeric` or `boolean`; empty for any of them, and for what is no scalar."""
        self.is_closed = is_closed
        """There are no fields but the named ones."""
        self._fields: Callable[[], Mapping[str, Shape]] | Mapping[str, Shape] = fields or _NO_FIELDS

    @property
    def fields(self) -> Mapping[str, Shape]:
        """The named fields."""
        if not isinstance(self._fields, Mapping):
            self._fields = self._fields()
        return self._fields

    def within(self, field: str) -> Shape:
        """The shape of what is under a key."""
        return self.fields.get(field) or self.items or FOUND


WHOLE = Shape(Owned.WHOLE)
FOUND = Shape(Owned.AS_FOUND)
_SCALARS = {
    code: Shape(Owned.WHOLE, scalar=word)
    for code, word in (("s", "string"), ("i", "numeric"), ("n", "numeric"), ("b", "boolean"))
}
ANY = Shape(Owned.WHOLE, scalar="any")
_KINDS = {"string": "s", "integer": "i", "number": "n", "boolean": "b"}
_READ_BY_THEMSELVES = "qtuxd"
"""Codes of times, quantities and the like, which may be written in more than one way."""


def scalar(kind: str) -> Shape:
    """The shape of a `string`, `integer`, `number` or `boolean`."""
    return _SCALARS[_KINDS[kind]]


def shape_of(obj: Object) -> Shape:
    """How an object of an official kind is owned; of one without a schema, as it is found.

    >>> shape_of({"apiVersion": "v1", "kind": "Pod"}).within("spec").within("containers").keys
    ('name',)
    """
    of = type_of(obj)
    return _of_type(of) if of else FOUND


@cache
def _of_type(of: str) -> Shape:
    def fields() -> Mapping[str, Shape]:
        return {field: _of_field(of, field, code) for field, code in fields_of(of).items()}

    return Shape(Owned.FIELDS, fields=fields, is_closed=True)


_IN_PARTS = (("core.v1.PersistentVolumeSpec", "claimRef"),)
"""Objects that are owned field by field though others of their type are owned as a whole."""


def _of_field(of: str, field: str, code: str) -> Shape:
    if (of, field) in _IN_PARTS:
        return _of_type(code[1:])
    if is_atomic(of, field):
        return as_whole(_of_type(code[1:]) if code.startswith(":") else _of_code(code))
    what = encoding_of(of).get(field, "").lstrip("!&")
    if not code.startswith("[]"):
        return _of_code(code, what)
    kind, item = list_type(of, field), code[2:]
    if kind == "atomic":
        return _of_code(code, what)
    if kind == "set":
        return Shape(Owned.VALUES, items=_of_code(item))
    keys = tuple(sorted(kind.split(",")))
    return Shape(Owned.ITEMS, items=_of_code(item), keys=keys, defaults=key_defaults(item.partition(":")[2], keys))


def _of_code(code: str, what: str = "") -> Shape:
    if code.startswith(":"):
        shape = _of_type(code[1:])
        return as_whole(shape) if code[1:] in atomic_types() else shape
    if code.startswith("{}"):
        return Shape(Owned.FIELDS, items=_of_code(code[2:], what))
    if code.startswith("[]"):
        return as_whole(Shape(Owned.PLACES, items=_of_code(code[2:], what)))
    return ANY if what[:1] in _READ_BY_THEMSELVES and what else _SCALARS.get(code, WHOLE)


def as_whole(shape: Shape) -> Shape:
    """The same, owned as a whole."""
    return Shape(Owned.WHOLE, inside=shape)
