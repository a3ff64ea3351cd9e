"""What a request wants beside the object: options in its query or body, checked.

Source: kubernetes apimachinery pkg/apis/meta/v1/validation, pkg/apis/meta/internalversion/validation.
"""

from __future__ import annotations

from typing import Any

import orjson

from netproxy.apiserver.fields import check_continue, check_fields, integer
from netproxy.apiserver.request import Request
from netproxy.apiserver.status import InvalidOptionsError, bad_request
from netproxy.core.errors import Problem
from netproxy.objects.kinds import Resource
from netproxy.objects.schema import field_problems
from netproxy.registry.deletion import PROPAGATIONS, Options
from netproxy.registry.options import Warn, WriteOptions

MANAGER_BYTES = 128
"""How long the name of a manager may be."""

_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}
MATCH = "resourceVersionMatch"


def write_options(request: Request, warn: Warn) -> WriteOptions:
    """How the body of a request is to be written; WARN takes what the client should know.

    Raises InvalidOptionsError for options that are none.
    """
    query = request.query
    return WriteOptions(
        manager=manager_of(request), dry_run=_is_all(list(request.values("dryRun")), _OPTIONS[request.method]),
        force=request.flag("force"), field_validation=query.get("fieldValidation") or "Warn", user=request.user, warn=warn,
    )  # fmt: skip


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


def _is_all(given: list[Any], kind: str) -> bool:
    if any(item != "All" for item in given):
        shown = " ".join(str(item) for item in given)
        why = f'Unsupported value: ["{shown}"]: supported values: "All"'
        raise InvalidOptionsError(kind, [Problem("dryRun", why, reason="FieldValueNotSupported")])
    return bool(given)


def delete_options(request: Request) -> tuple[Options, WriteOptions]:
    """The options of a DELETE: those of its body, or of its query. Raises ApiError for what is none."""
    given = _body_options(request) if request.body.strip() else _query_options(request)
    wrong = []
    propagation, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if propagation is not None and orphan is not None:
        wrong.append(
            Problem(
                "propagationPolicy",
                f'Invalid value: "{propagation}": orphanDependents and deletionPropagation cannot be both set',
            )
        )
    elif propagation is not None and propagation not in PROPAGATIONS:
        listed = ", ".join(f'"{item}"' for item in (*PROPAGATIONS, "nil"))
        why = f'Unsupported value: "{propagation}": supported values: {listed}'
        wrong.append(Problem("propagationPolicy", why, reason="FieldValueNotSupported"))
    if wrong:
        raise InvalidOptionsError("DeleteOptions", wrong)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    wanted = given.get("preconditions") or {}
    dry_run = _is_all(given.get("dryRun") or [], "DeleteOptions")
    options = Options(given.get("gracePeriodSeconds"), propagation, wanted.get("uid"), wanted.get("resourceVersion"))
    return options, WriteOptions(manager_of(request), dry_run, user=request.user)


def _body_options(request: Request) -> dict[str, Any]:
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(given, dict):
        raise bad_request("couldn't get version/kind; json parse error: DeleteOptions is an object")
    wrong, _ = field_problems({**given, "apiVersion": "v1", "kind": "DeleteOptions"})
    if wrong:
        said = "; ".join(f"{problem.path}: {problem.message}" for problem in wrong)
        raise bad_request(f'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: {said}')
    return given


def _query_options(request: Request) -> dict[str, Any]:
    given: dict[str, Any] = {}
    query = request.query
    if "gracePeriodSeconds" in query:
        given["gracePeriodSeconds"] = integer(query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        given["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        given["orphanDependents"] = query["orphanDependents"] in ("1", "true")
    if "dryRun" in query:
        given["dryRun"] = list(request.values("dryRun"))
    return given


# --- lists and watches


def version_of(text: str) -> int:
    """A resourceVersion of a list or a watch; empty is 0. Raises ApiError for what is none."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        why = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise bad_request(f"invalid resource version: resourceVersion: {why}")
    return int(text)


def check_selection(request: Request, resource: Resource) -> None:
    """Raise ApiError when what a list, a watch or the deletion of many is picked by cannot be read."""
    for field in ("limit", "timeoutSeconds"):
        if field in request.query:
            integer(request.query[field])
    check_fields(resource, request.query.get("fieldSelector", ""))


def check_list(request: Request, resource: Resource) -> None:
    """Raise ApiError when the options of a list cannot be read, InvalidOptionsError when they do not go together."""
    check_selection(request, resource)
    match, version = request.query.get(MATCH, ""), request.query.get("resourceVersion", "")
    wrong = []
    if "sendInitialEvents" in request.query:
        wrong.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match and request.query.get("continue"):
        wrong.append(_forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    elif match and not version:
        wrong.append(_forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    elif match not in ("", "Exact", "NotOlderThan"):
        wrong.append(_unsupported(MATCH, match, '"Exact", "NotOlderThan", ""'))
    elif match == "Exact" and version == "0":
        wrong.append(_forbidden(MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if wrong:
        raise InvalidOptionsError("ListOptions", wrong)
    if request.query.get("continue"):
        check_continue(request.query["continue"])


def check_watch(request: Request, resource: Resource) -> None:
    """Raise ApiError when the options of a watch cannot be read, InvalidOptionsError when they do not go together."""
    check_selection(request, resource)
    match = request.query.get(MATCH, "")
    wrong = []
    if request.query.get("continue"):
        wrong.append(_forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    elif "sendInitialEvents" in request.query:
        if match != "NotOlderThan":
            wrong.append(_forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
        if match not in ("", "NotOlderThan"):
            wrong.append(_unsupported(MATCH, match, '"NotOlderThan"'))
    elif match:
        wrong.append(
            _forbidden(MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        )
    if wrong:
        raise InvalidOptionsError("ListOptions", wrong)


def _forbidden(field: str, why: str) -> Problem:
    return Problem(field, f"Forbidden: {why}", reason="FieldValueForbidden")


def _unsupported(field: str, value: str, supported: str) -> Problem:
    return Problem(
        field, f'Unsupported value: "{value}": supported values: {supported}', reason="FieldValueNotSupported"
    )
