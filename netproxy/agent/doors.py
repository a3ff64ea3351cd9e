"""The doors below /netproxy/: typed requests in, typed answers out; wrong input is a Status of 400 that names the field."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from netproxy.agent.paths import Scope
from netproxy.agent.plane import ControlPlane
from netproxy.apiserver.request import Request, Response, json_response
from netproxy.apiserver.status import status
from netproxy.core.errors import ManifestError, NotFoundError, Problem
from netproxy.objects import messages
from netproxy.objects.kinds import resource_of
from netproxy.objects.manifest import Loaded
from netproxy.objects.messages import Nothing
from netproxy.objects.meta import Object, describe
from netproxy.objects.schema import field_problems
from netproxy.objects.typed import Message, shown
from netproxy.objects.validate import problems

PREFIX = "/netproxy/"


@dataclass(frozen=True, slots=True)
class Door:
    """One path and method: the type of its request, and who answers it."""

    request: type[Message]
    answer: Callable[[Any, Any], Awaitable[Message]]


Doors = Mapping[str, Mapping[str, Door]]
"""Every path with its methods."""


async def answered(plane: ControlPlane, all_doors: Doors, request: Request) -> Response:
    """Answer one request below /netproxy/. Raises NetproxyError."""
    doors = all_doors.get(request.path.removeprefix(PREFIX))
    if doors is None:
        there = ", ".join(PREFIX + path for path in all_doors)
        why = (
            "" if plane.scope is Scope.CLUSTER else f": it was started with --{plane.scope}-only, so nothing runs in it"
        )
        raise NotFoundError(f"the agent has no {request.path}{why}; there are {there}")
    door = doors.get(request.method)
    if door is None:
        return status(405, "MethodNotAllowed", f"{request.path} takes {' and '.join(doors)}, not {request.method}")
    try:
        asked = _asked(door.request, request)
    except ManifestError as error:
        return _bad_request(error)
    return json_response((await door.answer(plane, asked)).to_json())


def _asked(kind: type[Message], request: Request) -> Message:
    """What a request asks: in the query of a GET, in the body of a POST."""
    if request.method == "GET":
        return kind.from_query(request.query)
    if request.query:
        raise ManifestError(
            [Problem("query", f"Invalid value: {shown(dict(request.query))}: what a POST asks is in its body")]
        )
    try:
        return kind.from_json(orjson.loads(request.body or b"{}"))
    except orjson.JSONDecodeError as error:
        raise ManifestError([Problem("body", f"Invalid value: it is not JSON: {error}")]) from error


def _bad_request(error: ManifestError) -> Response:
    causes = [
        {"reason": p.reason, "message": p.message, "field": p.path, "object": "", "source": ""} for p in error.problems
    ]
    return status(400, "BadRequest", str(error), {"causes": causes})


def well_formed(asked: messages.ApplyRequest) -> list[Loaded]:
    """The objects of a request, if each can be looked at. Raises ManifestError."""
    items = [Loaded(item.obj, item.source) for item in asked.items]
    wrong = [
        Problem(p.path, p.message, _described(item.obj), item.source, p.reason)
        for item in items
        for p in _shape_problems(item.obj)
    ]
    if wrong:
        raise ManifestError(wrong)
    return items


_READ_FIRST = ("Cluster", "Node", "KubeProxyConfiguration")
"""Kinds that the agent reads itself, before they are admitted like all others."""


def _shape_problems(obj: Object) -> list[Problem]:
    """What must be right before an object can be looked at at all; admission says the rest."""
    found = [
        Problem(
            field, "Required value" if not obj.get(field) else f"Invalid value: {shown(obj[field])}: must be a string"
        )
        for field in ("apiVersion", "kind")
        if not obj.get(field) or not isinstance(obj[field], str)
    ]
    if found:
        return found
    if resource_of(obj) is None:
        return [Problem("kind", f'Unsupported value: no kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')]
    found = [
        Problem(field, f"Invalid value: {shown(obj[field])}: must be an object")
        for field in ("metadata", "spec", "status")
        if not isinstance(obj.get(field) or {}, dict)
    ]
    if found or obj["kind"] not in _READ_FIRST:
        return found
    return field_problems(obj)[0] or list(problems(obj))


def _described(obj: Object) -> str:
    """As far as it can be told: the kind, and the name when it has one."""
    return describe(obj) if isinstance(obj.get("metadata") or {}, dict) else str(obj.get("kind"))


# --- what every control plane answers


async def listen(plane: ControlPlane, _: Nothing) -> Message:
    """Serve the API over HTTPS from now on."""
    return messages.ListenAnswer(await plane.listen_https())


async def down(plane: ControlPlane, _: Nothing) -> Message:
    """End, and leave nothing."""
    plane.remove_cluster()
    return messages.DownAnswer(os.getpid())
