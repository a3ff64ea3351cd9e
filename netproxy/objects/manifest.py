"""YAML or JSON text in, objects out; every mistake names its file and place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.kinds import IDLE, KINDS, RESOURCES, resource_of
from netproxy.objects.meta import Object, describe


@dataclass(frozen=True, slots=True)
class Loaded:
    """One object and the file it came from."""

    obj: Object
    source: str


def parse_manifests(text: str | bytes, source: str) -> list[Loaded]:
    """Split a text (YAML with any number of documents, or JSON) into its objects; a `List` is unpacked.

    Raises ManifestError with the line of a syntax error, or for a document that is no object.
    """
    from netproxy.objects.document import documents  # here: the agent reads no manifests

    return [Loaded(obj, source) for value in documents(text, source) for obj in _flatten(value, source)]


def load(sources: Iterable[tuple[str, str | bytes]], check: Callable[[Object], list[Problem]]) -> list[Loaded]:
    """Parse all (source, text) pairs and CHECK every object; all problems are raised together."""
    loaded: list[Loaded] = []
    problems: list[Problem] = []
    for source, text in sources:
        try:
            loaded += parse_manifests(text, source)
        except ManifestError as error:
            problems += error.problems
    for item in loaded:
        problems += placed(check(item.obj), item)
    if problems:
        raise ManifestError(problems)
    return loaded


def placed(problems: Iterable[Problem], item: Loaded) -> list[Problem]:
    """Add the object's name and its file to problems that know only a field."""
    return [Problem(p.path, p.message, describe(item.obj), item.source, p.reason) for p in problems]


def _flatten(document: Any, source: str, path: str = "") -> Iterator[Object]:
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from _flatten(item, source, f"{path}[{index}]")
        return
    if not isinstance(document, dict):
        shown = "null" if document is None else repr(document)
        shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "..."
        why = f"Invalid value: {shown}: must be an object; begin it with apiVersion and kind"
        raise ManifestError([Problem(path or "document", why, source=source, reason="FieldValueTypeInvalid")])
    kind = document.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and "items" in document:
        yield from _items(document, kind, source, path)
        return
    for field in ("kind", "apiVersion"):
        _check_word(document.get(field), f"{path}.{field}".removeprefix("."), source)
    if not isinstance(document.get("metadata", {}) or {}, dict):
        why = f"Invalid value: {document['metadata']!r:.{SHOWN}}: must be of type object, such as {{name: web}}"
        raise ManifestError([Problem("metadata", why, describe({"kind": kind}), source, "FieldValueTypeInvalid")])
    yield document


SHOWN = 80
"""How much of a wrong value a message repeats, in characters."""


def _items(listed: Object, kind: str, source: str, path: str) -> Iterator[Object]:
    """The objects of a list; an `items` of null is empty, as for kubectl."""
    items = listed["items"] if listed["items"] is not None else []
    at = f"{path}.items".removeprefix(".")
    if not isinstance(items, list):
        why = f"Invalid value: {items!r:.{SHOWN}}: must be of type array"
        raise ManifestError([Problem(at, why, source=source, reason="FieldValueTypeInvalid")])
    for index, item in enumerate(items):
        if isinstance(item, dict) and "kind" not in item and kind != "List":
            item = {"apiVersion": listed.get("apiVersion"), "kind": kind.removesuffix("List"), **item}
        yield from _flatten(item, source, f"{at}[{index}]")


def _check_word(value: Any, path: str, source: str) -> None:
    if value is None or value == "":
        raise ManifestError([Problem(path, "Required value", source=source, reason="FieldValueRequired")])
    if not isinstance(value, str):
        why = f"Invalid value: {value!r:.{SHOWN}}: must be of type string; put it into quotes"
        raise ManifestError([Problem(path, why, source=source, reason="FieldValueTypeInvalid")])


OWN_GROUPS = frozenset(resource.group for resource in RESOURCES if "." in resource.group)
"""Groups with a dot whose kinds are Kubernetes' or netproxy's own; one without a dot can be nobody else's."""


def unknown_kind(obj: Object) -> tuple[Problem | None, Problem | None]:
    """(error, warning) for a kind that netproxy does not know; a likely mistake is an error, the rest is left out.

    A kind of another group is somebody else's, whatever its name: Knative has a Service, too.
    """
    kind, version = str(obj["kind"]), str(obj["apiVersion"])
    if resource_of(obj):
        return None, None
    group = version.rpartition("/")[0]
    is_own = "." not in group or group in OWN_GROUPS
    near = KINDS.get(kind)
    if near and is_own:
        why = f"Unsupported value: {version}, {kind}: did you mean apiVersion {near.api_version}?"
        return Problem("apiVersion", why), None
    close = difflib.get_close_matches(kind[:SHOWN], KINDS, 1, 0.8)
    if not near and close and version in (KINDS[close[0]].api_version, "v1"):
        return Problem("kind", f'Unsupported value: {version}, {kind}: did you mean "{close[0]}"?'), None
    return None, Problem("kind", f"{version}, {kind} is a kind that netproxy does not use: left out")


def idle_kind(obj: Object) -> Problem | None:
    """A warning for an object that will be there and that nothing acts on."""
    if resource_of(obj) not in IDLE:
        return None
    return Problem("kind", f"{obj['apiVersion']}, {obj['kind']} is kept and shown, but nothing acts on it here yet")
