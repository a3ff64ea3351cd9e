"""An object as Go's decoder and encoder leave it: what is empty is not there, what always is, is there, values are in one form.

After this, a field that nobody set is absent: an empty string or list of a field that is no pointer says nothing.

Source: kubernetes staging/src/k8s.io/api (the tags of the fields, as generated data), encoding/json, metav1.Time and MicroTime.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.amount import amount, quantity_text
from netproxy.objects.meta import Object
from netproxy.objects.moments import MICROSECONDS, moment
from netproxy.objects.schema import encoding_of, fields_of, root_of

_KEPT = ("policies",)
"""Lists of which an empty one is something else than none, for those who fill them."""

_NULL = {
    "core.v1.TypedLocalObjectReference": "apiGroup", "core.v1.TypedObjectReference": "apiGroup",
    "core.v1.AzureFilePersistentVolumeSource": "secretNamespace",
}  # fmt: skip
"""Pointers that may be nothing, and are written even then."""

_Step = Callable[[Any], Any]
_ABSENT: Any = object()
_PLAIN_TIME = re.compile(r"[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}Z")
"""Most of the times that stay as they are."""


def canonical(obj: Object) -> Object:
    """The object in the form in which it is stored and answered; of a kind without a schema, as it is.

    Its types must be right. Raises ManifestError for a quantity or a time that is none.

    >>> pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {}}, "spec": {"hostNetwork": False}}
    >>> canonical(pod)["metadata"], canonical(pod)["spec"]
    ({'name': 'a'}, {'containers': None})
    """
    root = root_of(obj)
    if not root or not encoding_of(root):
        return obj
    try:
        return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **_struct(root)(obj)}
    except ValueError as error:
        raise ManifestError([Problem("", str(error), reason="FieldValueTypeInvalid")]) from error


def empty_field(obj: Object, field: str) -> Any:
    """What Go writes for a field of the object's that nobody set; None for one that is then left out.

    >>> empty_field({"apiVersion": "apps/v1", "kind": "ReplicaSet"}, "status")
    {'replicas': 0}
    """
    root = root_of(obj)
    encoding = encoding_of(root).get(field, "").partition("~")[0]
    if not encoding.startswith("!"):
        return None
    zero = _zero(fields_of(root)[field], encoding[1:])
    return zero() if callable(zero) else zero


def canonical_field(obj: Object, field: str, value: Any) -> Any:
    """A value of a field of the object's in the form in which it would be stored.

    >>> canonical_field({"apiVersion": "apps/v1", "kind": "ReplicaSet"}, "status", {"replicas": 0, "readyReplicas": 0})
    {'replicas': 0}
    """
    root = root_of(obj)
    return _field(fields_of(root)[field], encoding_of(root).get(field, "").partition("~")[0])(value)


@cache
def _struct(of: str) -> _Step:
    """How a value of a struct's type is written. The steps of its fields are found when the first value comes."""
    codes, encodings = fields_of(of), encoding_of(of)
    steps: dict[str, _Step] = {}
    shown: dict[str, Any] = {}

    def step(value: Mapping[str, Any]) -> Object:
        if not steps:
            _fill(steps, shown, codes, encodings)
            shown.update(dict.fromkeys([_NULL[of]] if of in _NULL else ()))
        result: Object = {}
        for field, item in value.items():
            how = steps.get(field)
            written = _ABSENT if how is None else how(item)
            if written is not _ABSENT:
                result[field] = written
        for field, zero in shown.items():
            if field not in result:
                result[field] = zero() if callable(zero) else zero
        return result

    return step


def _fill(
    steps: dict[str, _Step], shown: dict[str, Any], codes: Mapping[str, str], encodings: Mapping[str, str]
) -> None:
    """Find how each field is written, and what those say that are always there."""
    for field, code in codes.items():
        encoding = "&" if field in _KEPT else encodings.get(field, "").partition("~")[0]
        steps[field] = _field(code, encoding)
        if encoding.startswith("!"):
            shown[field] = _zero(code, encoding[1:])


def _field(code: str, encoding: str) -> _Step:
    """How a field is written; the step says `_ABSENT` for one that is left out."""
    how = _value(code, encoding.lstrip("!&"))
    if encoding.startswith("&"):
        return lambda value: _ABSENT if value is None else how(value)
    if encoding.startswith("!"):
        if code[:2] in ("[]", "{}"):  # one that is empty comes back from the store as one that is not there
            return lambda value: how(value) if value else None
        zero = _zero(code, encoding[1:])
        return lambda value: (zero() if callable(zero) else zero) if value is None else how(value)
    if code in ("s", "i", "b", "n") and how is _same:
        return lambda value: value or _ABSENT
    if encoding in ("t", "u"):  # an empty one is no time
        return lambda value: _ABSENT if value is None else how(value)
    return lambda value: how(value) if value else _ABSENT


def _value(code: str, what: str) -> _Step:
    """How a value that is there is written."""
    if code.startswith("[]"):
        return _list(_value(code[2:], what))
    if code.startswith("{}"):
        return _map(_resource if what == "q" else _value(code[2:], what))
    if code.startswith(":"):
        return _struct(code[1:])
    return _FORMS.get(what, _same)


def _zero(code: str, what: str) -> Any:
    """What is written for a field that is always there and was not set; a function where it is an object of its own."""
    if code.startswith(":"):
        return lambda: _struct(code[1:])({})
    if code[:2] in ("[]", "{}"):
        return None
    if what:
        return {"q": "0", "x": 0, "w": 0, "d": "0s"}.get(what)
    return {"s": "", "i": 0, "n": 0, "b": False}.get(code)


def _same(value: Any) -> Any:
    return value


def _list(how: _Step) -> _Step:
    return (lambda value: value) if how is _same else lambda value: [how(item) for item in value]


def _map(how: _Step) -> _Step:
    return (lambda value: value) if how is _same else lambda value: {key: how(item) for key, item in value.items()}


def _quantity(value: Any) -> str:
    return str(amount(quantity_text(value)))


def _resource(value: Any) -> str:
    """An amount of a resource: not finer than thousandths."""
    return str(amount(quantity_text(value)).to_milli())


def _time(value: Any) -> str | None:
    """RFC 3339 in UTC, whole seconds."""
    if value is None or _PLAIN_TIME.fullmatch(value):
        return value  # type: ignore[no-any-return]
    return moment(value)


def _micro_time(value: Any) -> str | None:
    return moment(value, MICROSECONDS)


_FORMS: dict[str, _Step] = {"q": _quantity, "t": _time, "u": _micro_time}
