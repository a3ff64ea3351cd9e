"""What a request wants beside the object: options in its query or body, checked.

Source: kubernetes apimachinery pkg/apis/meta/v1/validation, pkg/apis/meta/internalversion/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netproxy.apiserver.body import PROTOBUF, YAML, check_size, media_type
from netproxy.apiserver.listing import integer
from netproxy.apiserver.request import Request
from netproxy.apiserver.status import InvalidOptionsError, bad_request
from netproxy.core.errors import Problem
from netproxy.objects.decoding import DecodingError, read
from netproxy.objects.gojson import SyntaxFaultError, parsed
from netproxy.registry.deletion import PROPAGATIONS, Options
from netproxy.registry.options import WriteOptions

MANAGER_BYTES = 128
"""How long the name of a manager may be."""
VALIDATIONS = ("", "Ignore", "Strict", "Warn")
APPLY = "application/apply-patch+yaml"

_KINDS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
_DELETE_OPTIONS = "apis.meta.v1.DeleteOptions"
_OPTIONS_SCHEME = '"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"'


def write_options(request: Request) -> WriteOptions:
    """How the body of a request is to be written.

    Raises InvalidOptionsError for options that are none.
    """
    query, dry_run = request.query, request.values("dryRun")
    wrong = [*_patch_problems(request), *_manager_problems(query.get("fieldManager", "")), *_dry_run_problems(dry_run)]
    validation = query.get("fieldValidation", "")
    if validation not in VALIDATIONS:
        wrong.append(_unsupported("fieldValidation", validation, ", ".join(f'"{word}"' for word in VALIDATIONS)))
    if wrong:
        raise InvalidOptionsError(_KINDS[request.method], wrong)
    return WriteOptions(
        manager=manager_of(request), dry_run=bool(dry_run), force=_is_true(query.get("force")), field_validation=validation or "Warn",
        user=request.user, warn=request.warn, is_read=True,
    )  # fmt: skip


def _is_true(given: str | None) -> bool:
    """A boolean of a query, as the API server reads one."""
    return given is not None and given.lower() not in ("false", "0")


def _patch_problems(request: Request) -> Iterator[Problem]:
    if request.method != "PATCH":
        return
    if request.content_type.partition(";")[0].strip() == APPLY:
        if not request.query.get("fieldManager"):
            why = "Required value: is required for apply patch"
            yield Problem("fieldManager", why, reason="FieldValueRequired")
    elif "force" in request.query:
        yield _forbidden("force", "may not be specified for non-apply patch")


def _manager_problems(manager: str) -> Iterator[Problem]:
    if len(manager.encode()) > MANAGER_BYTES:
        yield Problem(
            "fieldManager", f"Too long: may not be more than {MANAGER_BYTES} bytes", reason="FieldValueTooLong"
        )
    place = 0
    for char in manager:
        if not char.isprintable():
            why = f"invalid character U+{ord(char):04X} (at position {place})"
            yield Problem("fieldManager", f'Invalid value: "{_go_quoted(manager)}": {why}')
        place += len(char.encode())


def _go_quoted(text: str) -> str:
    known = {"\n": r"\n", "\t": r"\t", "\r": r"\r", '"': r"\"", "\\": r"\\"}
    return "".join(known.get(char) or (char if char.isprintable() else f"\\x{ord(char):02x}") for char in text)


def _dry_run_problems(given: tuple[Any, ...]) -> Iterator[Problem]:
    if any(item != "All" for item in given):
        listed = ",".join(f'"{item}"' for item in given)
        yield _unsupported_shown("dryRun", f"[{listed}]", '"All"')


def manager_of(request: Request) -> str:
    """Who manages the fields that a request writes: who it says, or the program that asks.

    >>> manager_of(Request("PUT", "/", user_agent="kubectl/v1.36.2 (linux/amd64)"))
    'kubectl'

    Source: kubernetes apiserver pkg/endpoints/handlers/create.go, managerOrUserAgent.
    """
    given = request.query.get("fieldManager")
    if given:
        return given
    word = "".join(char for char in request.user_agent.partition("/")[0] if char.isprintable())
    return word.encode()[:MANAGER_BYTES].decode(errors="ignore")


def delete_options(request: Request) -> tuple[Options, WriteOptions]:
    """The options of a DELETE: those of its body, or of its query. Raises ApiError for what is none."""
    given = _body_options(request) if request.body else _query_options(request)
    options = WriteOptions(manager_of(request), bool(given.get("dryRun")), user=request.user, warn=request.warn)
    return deletion_of(given), options


def deletion_of(given: dict[str, Any]) -> Options:
    """What DeleteOptions ask for. Raises InvalidOptionsError."""
    wrong = []
    propagation, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if propagation is not None and orphan is not None:
        why = f'Invalid value: "{propagation}": orphanDependents and deletionPropagation cannot be both set'
        wrong.append(Problem("propagationPolicy", why))
    if propagation is not None and propagation not in PROPAGATIONS:
        listed = ", ".join(f'"{item}"' for item in ("Foreground", "Background", "Orphan", "nil"))
        wrong.append(_unsupported("propagationPolicy", propagation, listed))
    wrong += _dry_run_problems(tuple(given.get("dryRun") or ()))
    if wrong:
        raise InvalidOptionsError("DeleteOptions", wrong)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    wanted = given.get("preconditions") or {}
    return Options(
        given.get("gracePeriodSeconds"), propagation, wanted.get("uid"), wanted.get("resourceVersion"),
        is_cascade=orphan is False,
    )  # fmt: skip


def _body_options(request: Request) -> dict[str, Any]:
    kind = media_type(request)
    check_size(request)
    if kind == PROTOBUF:
        return _protobuf_options(request.body)
    if kind == YAML:
        from netproxy.apiserver.yamlbody import yaml_value  # few send it

        value, is_plain = yaml_value(request.body)[0], True
    else:
        try:
            value, is_plain = parsed(request.body)
        except SyntaxFaultError as error:
            raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    try:
        found: dict[str, Any] = read({} if value is None else value, _DELETE_OPTIONS, is_plain=is_plain).obj
    except DecodingError as error:
        raise bad_request(str(error)) from error
    _check_options_kind(found)
    return found


def _protobuf_options(body: bytes) -> dict[str, Any]:
    from netproxy.apiserver.protobuf import DELETE_OPTIONS, ProtobufError, envelope, message  # few send it

    try:
        sent = envelope(body)
        _check_options_kind({"kind": sent.kind, "apiVersion": sent.api_version})
        return message(sent.raw, DELETE_OPTIONS)
    except ProtobufError as error:
        raise bad_request(str(error)) from error


def _check_options_kind(found: dict[str, Any]) -> None:
    if (kind := found.get("kind") or "DeleteOptions") != "DeleteOptions":
        version = found.get("apiVersion") or "v1"
        raise bad_request(f'no kind "{kind}" is registered for version "{version}" in scheme {_OPTIONS_SCHEME}')


def _query_options(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {}
    query = request.query
    if "gracePeriodSeconds" in query:
        given["gracePeriodSeconds"] = integer(query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        given["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        given["orphanDependents"] = query["orphanDependents"].lower() not in ("false", "0")
    if "dryRun" in query:
        given["dryRun"] = list(request.values("dryRun"))
    return given


def _forbidden(field: str, why: str) -> Problem:
    return Problem(field, f"Forbidden: {why}", reason="FieldValueForbidden")


def _unsupported(field: str, value: str, supported: str) -> Problem:
    return _unsupported_shown(field, f'"{value}"', supported)


def _unsupported_shown(field: str, value: str, supported: str) -> Problem:
    return Problem(field, f"Unsupported value: {value}: supported values: {supported}", reason="FieldValueNotSupported")
