"""In which form a client wants its answer: JSON or YAML, the object itself, its metadata only, or a table.

Source: kubernetes apiserver pkg/endpoints/handlers/negotiation/negotiate.go, pkg/endpoints/handlers/response.go,
munnerz/goautoneg (order of what is accepted), go-restful (what no route produces).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from netproxy.apiserver.request import JSON, Request, Response
from netproxy.apiserver.status import bad_request
from netproxy.apiserver.yamlform import yaml_text
from netproxy.core.errors import ApiError
from netproxy.core.names import quoted
from netproxy.objects.kinds import Resource

YAML, PROTOBUF = "application/yaml", "application/vnd.kubernetes.protobuf"
_STREAMS = tuple(f"{media};stream=watch" for media in (JSON, PROTOBUF))
_MADE = (JSON, YAML, PROTOBUF)
"""What the API server says that it makes; we make no protobuf and take the next that is asked for."""
_META = "meta.k8s.io"
_SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_INCLUDES = ("", "None", "Metadata", "Object")
_PACKAGES = {"": "core", "events": "core"}
"""Where Go's types of a group are, when its name does not say so."""
_HUMANS = ("curl", "Wget", "Mozilla/5.0")
_ANY = ("", JSON, "*/*")
_TRUE = ("1", "t", "T", "true", "TRUE", "True")


@dataclass(frozen=True, slots=True)
class Form:
    """A form of answers."""

    media: str = JSON
    shape: str = ""
    """Table, PartialObjectMetadata or PartialObjectMetadataList; empty for the object itself."""
    version: str = "v1"
    """Of meta.k8s.io."""
    include: str = "Metadata"
    """What a table says of an object beside its cells: None, Metadata or Object."""
    headers: bool = True
    """Whether a table has its column definitions."""
    pretty: bool = False

    @property
    def is_table(self) -> bool:
        return self.shape == "Table"

    @property
    def api_version(self) -> str:
        """Of tables and metadata."""
        return f"{_META}/{self.version}"

    def response(self, value: Any, code: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
        """VALUE in this form's language."""
        return Response(code, self.text(value), self.media, headers)

    def text(self, value: Any) -> bytes:
        """VALUE as JSON or YAML."""
        if self.media == YAML:
            return yaml_text(value)
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if self.pretty else orjson.OPT_APPEND_NEWLINE)


PLAIN = Form()


@dataclass(frozen=True, slots=True)
class Clause:
    """One alternative of an Accept header."""

    media: str
    quality: float
    options: Mapping[str, str]


def accepted(
    request: Request, *, streams: bool = False, shapes: bool = True, tables: bool = True, routed: bool = True
) -> Form:  # fmt: skip
    """The form in which a request wants its answer.

    STREAMS: the path has a watch, too. SHAPES: objects are answered, which can be shown as tables and as metadata;
    not TABLES: as metadata only. ROUTED: the path is one whose media types are looked at before anything else.
    Raises ApiError: 406 when nothing of it can be made, 400 for options of a table that are none.
    """
    header = request.accept
    if header in _ANY:
        return replace(PLAIN, pretty=True) if _is_pretty(request, {}) else PLAIN
    if routed:
        check_named(request, _MADE, _STREAMS if streams else ())
    for clause in clauses(header):
        form = _form(clause, shapes=shapes)
        if form is not None and (tables or not form.is_table):
            form = replace(form, pretty=_is_pretty(request, clause.options))
            return _with_options(form, request) if form.is_table else form
    raise not_acceptable(_MADE)


def check_named(request: Request, made: tuple[str, ...], streams: tuple[str, ...] = ()) -> None:
    """Raise ApiError (406) when a request accepts none of what is MADE, whatever else it says of it."""
    named = [part.partition(";")[0].strip() for part in (request.accept or "*/*").split(",")]
    if not any(name in ("*/*", *made) for name in named):
        message = f"406: Not Acceptable\n\nAvailable representations: {', '.join((*made, *streams))}"
        raise ApiError(406, "NotAcceptable", message).with_details()


def not_acceptable(made: tuple[str, ...]) -> ApiError:
    """Nothing of what is accepted can be made."""
    return ApiError(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(made)}")


def in_form(request: Request, answer: Response) -> Response:
    """An answer that knows of no forms in the language in which the request wants it; as it is when there is none."""
    if answer.content_type != JSON or (request.accept in _ANY and not _is_pretty(request, {})):
        return answer
    for clause in clauses(request.accept or JSON):
        form = _form(replace(clause, options={}), shapes=False)
        if form is not None:
            form = replace(form, pretty=_is_pretty(request, clause.options))
            return answer if form == PLAIN else form.response(orjson.loads(answer.body), answer.status, answer.headers)
    return answer


def check_stream(form: Form) -> None:
    """Raise ApiError (406) when a form cannot be streamed."""
    if form.media == YAML:
        raise not_acceptable(_STREAMS)


def check_shape(form: Form, resource: Resource, *, is_list: bool) -> None:
    """Raise ApiError (406) when one object is wanted as metadata of many, or many as that of one."""
    group = resource.group.partition(".")[0]
    word = f"*{_PACKAGES.get(group, group)}.{resource.kind}"
    if form.shape == "PartialObjectMetadata" and is_list:
        why = f"you requested PartialObjectMetadata, but the requested object is a list ({word}List)"
        raise ApiError(406, "NotAcceptable", why)
    if form.shape == "PartialObjectMetadataList" and not is_list:
        why = f"you requested PartialObjectMetadataList, but the requested object is not a list ({word})"
        raise ApiError(406, "NotAcceptable", why)


def _form(clause: Clause, *, shapes: bool) -> Form | None:
    """The form of a clause; None when it is none that can be made."""
    media = {"*/*": JSON, "application/*": JSON}.get(clause.media, clause.media)
    options = clause.options
    if media not in (JSON, YAML) or options.get("stream", "watch") not in ("watch", ""):
        return None
    if options.get("sv", "") not in (("v1", "") if shapes else ("",)):
        return None
    if not any(key in options for key in ("as", "g", "v")):
        return Form(media)
    version = options.get("v", "")
    if not shapes or options.get("g") != _META or version not in ("v1", "v1beta1") or options.get("as") not in _SHAPES:
        return None
    return Form(media, options["as"], version)


def _with_options(form: Form, request: Request) -> Form:
    include = request.query.get("includeObject", "")
    if include not in _INCLUDES:
        why = f"""includeObject: Invalid value: {quoted(include)}: must be 'Metadata', 'Object', 'None', or empty"""
        raise bad_request(f"Unable to convert to Table as requested: {why}")
    return replace(form, include=include or "Metadata")


def _is_pretty(request: Request, options: Mapping[str, str]) -> bool:
    if options.get("pretty") == "1":
        return True
    wanted = request.query.get("pretty", "")
    return wanted in _TRUE if wanted else request.user_agent.startswith(_HUMANS)


# --- the header


def clauses(header: str) -> list[Clause]:
    """What a header accepts, the best first: by quality, then what is named before what is any.

    >>> [clause.media for clause in clauses("*/*;q=0.1, application/json;q=0.5, application/yaml")]
    ['application/yaml', 'application/json', '*/*']
    """
    return sorted(_parsed(header), key=lambda clause: (-clause.quality, clause.media.count("*")))


def _parsed(header: str) -> Iterator[Clause]:
    for part in header.split(","):
        media, *given = part.split(";")
        kind, slash, sub = media.strip(" ").partition("/")
        if "/" in sub or not (sub or kind == "*"):
            continue
        options = {key.strip(" "): value.strip(" ") for key, value in map(_option, given) if value}
        name = f"{kind.strip(' ')}/{sub.strip(' ')}" if slash else "*/*"
        yield Clause(name, _quality(options.pop("q", "1")), options)


def _option(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return (key, "") if "=" in value else (key, value)


def _quality(text: str) -> float:
    return float(text) if re.fullmatch(r"[0-9]*\.?[0-9]+", text) else 0.0
