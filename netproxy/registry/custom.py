"""How objects of custom kinds come in: as the schema of the version that their writer uses says.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/{strategy,status_strategy,validator}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from netproxy.core.errors import ApiError, ManifestError, Problem
from netproxy.objects.custom.check import NONE, NOWHERE, schema_problems
from netproxy.objects.custom.definition import Scale, Version, group_kind
from netproxy.objects.custom.lists import embedded_problems, list_problems
from netproxy.objects.custom.numbers import go_number
from netproxy.objects.custom.rules import BLOCKING, UNCHECKED, has_rules, rule_problems
from netproxy.objects.decoding import DecodingError
from netproxy.objects.meta import Object, metadata
from netproxy.objects.validation.metadata import STANDARD_FINALIZERS, metadata_changes, metadata_problems
from netproxy.objects.validation.names import path_segment, qualified
from netproxy.objects.validation.words import invalid, quoted
from netproxy.registry.gotext import go_text, go_type
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.strategy import Strategy

_MOST_COPIES = (1 << 31) - 1


class CustomStrategy(Strategy):
    """Objects of one version of a custom kind, which are seen in that version."""

    def __init__(self, version: Version) -> None:
        super().__init__(version.resource)
        self._version = version
        self._has_rules = has_rules(version.schema)

    def defaulted(self, obj: Object) -> Object:
        """With what the schema fills in."""
        return self._version.defaulted(obj)

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """A new object; without the status, where that is written by itself."""
        if self.has_status and not with_status:
            return {field: value for field, value in obj.items() if field != "status"}
        return obj

    def updated(self, obj: Object, old: Object) -> Object:
        """A new state of OLD; its status stays, where that is written by itself."""
        return _with_status(obj, old) if self.has_status else obj

    def reported(self, obj: Object, old: Object) -> Object:
        """OLD with the status of OBJ, and with nothing else of it."""
        return _with_status(old, obj)

    def settled(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> Object:
        """Nothing is handed out."""
        return new

    def check(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> None:
        """Raise ManifestError with everything that is wrong with a new object, or with a new state of OLD."""
        meta, scale = metadata(new), self._version.scale
        found: list[Problem] = []
        if old is None:
            found += metadata_problems(meta)
        else:
            change = list(metadata_changes(meta, metadata(old)))
            found += [
                *(metadata_problems(meta, path_segment) if list(metadata_problems(meta)) else ()),
                *change,
                *change,
            ]
        found += schema_problems(new, self._version.schema, NONE if old is None else old)
        if scale is not None:
            found += [*_wanted_problems(new, scale), *_there_problems(new, scale)]
        found += embedded_problems(new, self._version.schema)
        self._check(found, new, old, options)

    def check_status(self, new: Object, old: Object) -> None:
        """Raise ManifestError with everything that is wrong with a new status."""
        meta, scale = metadata(new), self._version.scale
        change = list(metadata_changes(meta, metadata(old)))
        found = [*change, *change]
        schema = (self._version.schema.get("properties") or {}).get("status")
        if "status" in new and schema is not None:
            found += schema_problems(new["status"], schema, old.get("status", NONE), "status")
        if scale is not None:
            found += _there_problems(new, scale)
        self._check(found, new, old, PLAIN)

    def _check(self, found: list[Problem], new: Object, old: Object | None, options: WriteOptions) -> None:
        schema = self._version.schema
        twice = list(list_problems(new, schema))
        if twice and (old is None or not list(list_problems(old, schema))):
            found = [*found, *twice]
        if self._has_rules:
            found += self._rule_problems(found, new, old, options)
        if not found and old is None:
            found = list(metadata_problems(metadata(new), path_segment))
        if found:
            raise ManifestError(found)

    def _rule_problems(
        self, found: list[Problem], new: Object, old: Object | None, options: WriteOptions
    ) -> list[Problem]:  # fmt: skip
        if any(problem.reason in BLOCKING for problem in found):
            return [Problem(NOWHERE, f"Invalid value: null: {UNCHECKED}")]
        return rule_problems(new, self._version.schema, NONE if old is None else old, options.warn)

    def warnings(self, new: Object, old: Object | None) -> Iterable[str]:
        """Finalizers that others may use, too."""
        before = metadata(old or {}).get("finalizers") or ()
        return _finalizer_warnings(set(metadata(new).get("finalizers") or ()).difference(before))

    def status_warnings(self, new: Object, old: Object) -> Iterable[str]:
        """There are none."""
        return ()


def strategy_of(version: Version) -> CustomStrategy:
    """How objects of a version come in."""
    return version.made("strategy", CustomStrategy)


def given_custom(obj: Object, version: Version) -> Object:
    """The object without what its schema does not know, in a namespace where it needs one. Raises ManifestError, ApiError."""
    wrong = [
        invalid(field, obj.get(field), f"must be {wanted}")
        for field, wanted in (("kind", version.kind), ("apiVersion", version.api_version))
        if obj.get(field) != wanted
    ]
    if wrong:
        group, kind = group_kind(obj)
        raise ManifestError(wrong).with_details(group=group, kind=kind, name=str(metadata(obj).get("name") or ""))
    try:
        found = version.read({**obj, "metadata": metadata(obj)}).obj
    except DecodingError as error:
        raise ApiError(400, "BadRequest", str(error)) from error
    meta = {field: value for field, value in metadata(found).items() if field != "selfLink"}
    if version.definition.is_namespaced:
        meta["namespace"] = meta.get("namespace") or "default"
    else:
        meta.pop("namespace", None)
    return {**found, "metadata": meta}


def _with_status(obj: Object, other: Object) -> Object:
    made = {field: value for field, value in obj.items() if field != "status"}
    return {**made, "status": other["status"]} if "status" in other else made


def _finalizer_warnings(added: Iterable[str]) -> Iterator[str]:
    for finalizer in sorted(added):
        where = f"metadata.finalizers: {quoted(finalizer)}"
        yield from (f"{where}: {why}" for why in qualified(finalizer))
        if "/" not in finalizer and finalizer not in STANDARD_FINALIZERS:
            path = "including a path (/) " if "." in finalizer else ""
            yield f"{where}: prefer a domain-qualified finalizer name {path}to avoid accidental conflicts with other finalizer writers"


# --- scales


class WrongTypeError(ValueError):
    """There is something else where a number or a text should be."""


def value_at(obj: Object, path: tuple[str, ...], kind: type, wanted: str) -> Any:
    """What is at a place; None when nothing is there. Raises WrongTypeError in Kubernetes' words.

    Source: kubernetes apimachinery pkg/apis/meta/v1/unstructured/helpers.go.
    """
    here: Any = obj
    for field in path:
        if not isinstance(here, dict):
            if here is None:
                return None
            raise _wrong_type(path, here, "map[string]interface{}")
        if field not in here:
            return None
        here = here[field]
    if type(here) is not kind:
        raise _wrong_type(path, here, wanted)
    return here


def _wrong_type(path: tuple[str, ...], value: Any, wanted: str) -> WrongTypeError:
    shown = go_number(value) if isinstance(value, float) else go_text(value)
    where = "." + ".".join(path)
    return WrongTypeError(f"{where} accessor error: {shown} is of the type {go_type(value)}, expected {wanted}")


def copies(obj: Object, path: tuple[str, ...]) -> int | None:
    """How many copies an object says at a place. Raises WrongTypeError."""
    found: int | None = value_at(obj, path, int, "int64")
    return found


def _wanted_problems(obj: Object, scale: Scale) -> Iterator[Problem]:
    yield from _copies_problems(obj, scale.wanted)


def _there_problems(obj: Object, scale: Scale) -> Iterator[Problem]:
    yield from _copies_problems(obj, scale.there)
    if scale.selector:
        try:
            value_at(obj, scale.selector, str, "string")
        except WrongTypeError as error:
            yield invalid("." + ".".join(scale.selector), "", str(error))


def _copies_problems(obj: Object, path: tuple[str, ...]) -> Iterator[Problem]:
    where = "." + ".".join(path)
    try:
        count = copies(obj, path) or 0
    except WrongTypeError as error:
        yield invalid(where, 0, str(error))
        return
    if count < 0:
        yield invalid(where, count, "should be a non-negative integer")
    elif count > _MOST_COPIES:
        yield invalid(where, count, f"should be less than or equal to {_MOST_COPIES}")
