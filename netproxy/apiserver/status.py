"""Errors as `v1 Status`, with the reasons, codes and details that clients test for.

Source: kubernetes apimachinery pkg/api/errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netproxy.apiserver.request import Response, json_response
from netproxy.core.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ExpiredError,
    ManifestError,
    NetproxyError,
    NotFoundError,
    Problem,
    UnavailableError,
    UnsupportedError,
)
from netproxy.core.names import quoted
from netproxy.objects.kinds import CUSTOM_RESOURCE_DEFINITIONS, Resource, stored_resource

Object = dict[str, Any]

_CODES: tuple[tuple[type[NetproxyError], int, str], ...] = (
    (NotFoundError, 404, "NotFound"),
    (AlreadyExistsError, 409, "AlreadyExists"),
    (ConflictError, 409, "Conflict"),
    (UnsupportedError, 415, "UnsupportedMediaType"),
)


class InvalidOptionsError(ApiError):
    """The options of a request are not possible together, or at all."""

    def __init__(self, kind: str, problems: Iterable[Problem]) -> None:
        self.kind = kind
        self.problems = tuple(problems)
        super().__init__(422, "Invalid", f'{kind}.meta.k8s.io "" is invalid: {_listed(self.problems)}')


def bad_request(message: str) -> ApiError:
    """The request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def status_object(code: int, reason: str, message: str, details: Object | None = None) -> Object:
    """A failure."""
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message}
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    return {**body, "code": code}


def status(
    code: int, reason: str, message: str, details: Object | None = None, *, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """A failure as an answer."""
    return json_response(status_object(code, reason, message, details), code, headers)


def success(resource: Resource, obj: Object, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """What a deletion answers when the object is gone."""
    meta = obj["metadata"]
    details = {**resource.details(meta["name"]), "uid": meta.get("uid", "")}
    return json_response(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}, headers=headers
    )


def not_allowed() -> ApiError:
    """Nothing is done in this way with what the path names."""
    why = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", why).with_details()


def warning(text: str) -> str:
    """The value of a Warning header.

    >>> warning('say "a"')
    '299 - "say \\\\"a\\\\""'

    Source: kubernetes apimachinery pkg/util/net/http.go, NewWarningHeader.
    """
    quoted = "".join(" " if ord(char) < 32 else char for char in text).replace("\\", r"\\").replace('"', r"\"")
    return f'299 - "{quoted}"'


def status_of(error: Exception, resource: Resource | None = None, name: str = "") -> Response:
    """The failure that an error stands for; of the object NAME, when a request was about one."""
    match error:
        case ManifestError():
            return _invalid(error, resource, name)
        case InvalidOptionsError():
            details = {"group": "meta.k8s.io", "kind": error.kind, "causes": _causes(error.problems)}
            return status(422, error.reason, str(error), details)
        case UnavailableError():
            return status(error.code or 503, error.reason, str(error), _details(error), headers=_again(error))
        case ApiError():
            about = resource.details(name) if resource and error.code == 403 else None
            return status(error.code, error.reason, str(error), _details(error, about))
        case ExpiredError():
            said = status_object(410, "Expired", str(error))
            return json_response({**said, "metadata": {"continue": error.token}} if error.token else said, 410)
    for kind, code, reason in _CODES:
        if isinstance(error, kind):
            about = resource.details(name) if resource and name else {}
            return status(code, reason, str(error), _details(error, about))
    return status(500, "InternalError", str(error) or type(error).__name__, {"causes": [{"message": str(error)}]})


def _details(error: Exception, usual: Object | None = None) -> Object | None:
    """What is said about an error: what it says itself, or what is usual for its type."""
    own = error.details if isinstance(error, NetproxyError) else None
    return usual if own is None else dict(own)


def _again(error: UnavailableError) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(int(error.retry_after_s))),) if error.retry_after_s else ()


def _invalid(error: ManifestError, resource: Resource | None, name: str) -> Response:
    """The object is wrong; outside of the Kubernetes API, many of them may be: then each cause says which."""
    if resource is None:
        causes = [
            {"reason": p.reason, "message": p.message, "field": p.path, "object": p.object_name, "source": p.source}
            for p in error.problems
        ]
        return status(422, "Invalid", str(error), {"causes": causes})
    by_schema = resource.custom is not None or resource is CUSTOM_RESOURCE_DEFINITIONS
    if not by_schema and any(problem.reason == "FieldValueTypeInvalid" for problem in error.problems):
        said = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        return status(400, "BadRequest", said + _listed(error.problems))
    about = {"name": name, "group": stored_resource(resource).group, "kind": resource.kind, **(error.details or {})}
    kind = f"{about['kind']}.{about['group']}" if about["group"] else about["kind"]
    said = f"{kind} {quoted(about['name'])} is invalid: {_listed(error.problems)}"
    details = {field: value for field, value in about.items() if value} | {"causes": _causes(error.problems)}
    return status(422, "Invalid", said, details)


def _causes(problems: Iterable[Problem]) -> list[Object]:
    return [{"reason": p.reason, "message": p.message, "field": p.path} for p in problems]


def _listed(problems: Iterable[Problem]) -> str:
    texts = list(dict.fromkeys(f"{p.path}: {p.message}" if p.path else p.message for p in problems))
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
