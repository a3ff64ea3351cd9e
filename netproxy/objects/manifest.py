"""YAML or JSON text in, objects out; every mistake names its file and place."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.kinds import KINDS, resource_of
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
    return [Loaded(obj, source) for document in _documents(text, source) for obj in _flatten(document, source)]


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


def _documents(text: str | bytes, source: str) -> Iterator[Any]:
    stripped = text.lstrip()[:1]
    if stripped in ("{", "[", b"{", b"["):
        import orjson

        try:
            yield orjson.loads(text)
            return
        except orjson.JSONDecodeError:
            pass  # YAML's flow style also begins with a brace
    yield from _yaml(text, source)


def _yaml(text: str | bytes, source: str) -> Iterator[Any]:
    import yaml

    try:
        for document in yaml.load_all(text, Loader=_loader()):
            if document is not None:
                yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "YAML"
        raise ManifestError([Problem(line, str(error.problem or error.context), source=source)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ManifestError([Problem("YAML", str(error), source=source)]) from error


def _loader() -> Any:
    """The fast safe loader, with dates left as the text they are (Kubernetes has no date type)."""
    global _Loader
    if _Loader is None:
        import yaml

        base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

        class Loader(base):  # type: ignore[misc]  # the base is chosen at run time
            yaml_implicit_resolvers = {  # noqa: RUF012  # the library's own attribute
                first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
                for first, resolvers in base.yaml_implicit_resolvers.items()
            }

        _Loader = Loader
    return _Loader


_Loader: Any = None


def _flatten(document: Any, source: str) -> Iterator[Object]:
    if isinstance(document, list):
        for item in document:
            yield from _flatten(item, source)
        return
    if not isinstance(document, dict):
        raise ManifestError([Problem("document", f"Invalid value: {document!r}: must be an object", source=source)])
    kind = document.get("kind")
    if isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list):
        api_version = document.get("apiVersion")
        for item in document["items"]:
            if isinstance(item, dict) and "kind" not in item:
                item = {"apiVersion": api_version, "kind": kind.removesuffix("List"), **item}
            yield from _flatten(item, source)
        return
    if not kind or not document.get("apiVersion"):
        missing = "kind" if not kind else "apiVersion"
        raise ManifestError([Problem(missing, "Required value", source=source)])
    yield document


def unknown_kind(obj: Object) -> tuple[Problem | None, Problem | None]:
    """(error, warning) for a kind that netproxy does not know; a likely misspelling is an error, the rest is left out."""
    kind, version = str(obj["kind"]), str(obj["apiVersion"])
    if resource_of(obj):
        return None, None
    near = KINDS.get(kind)
    if near:
        why = f"Unsupported value: {version}, {kind}: did you mean apiVersion {near.api_version}?"
        return Problem("apiVersion", why), None
    close = difflib.get_close_matches(kind, KINDS, 1, 0.8)
    if close and version in (KINDS[close[0]].api_version, "v1"):
        return Problem("kind", f'Unsupported value: {version}, {kind}: did you mean "{close[0]}"?'), None
    return None, Problem("kind", f"{version}, {kind} is a kind that netproxy does not use: left out")
