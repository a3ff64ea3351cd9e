"""Errors as `v1 Status`, with the reasons and codes that clients test for.

Source: kubernetes apimachinery pkg/api/errors.
"""

from __future__ import annotations

from typing import Any

from netproxy.apiserver.request import Response, json_response
from netproxy.core.errors import (
    AlreadyExistsError,
    ApiError,
    ConflictError,
    ExpiredError,
    KernelError,
    ManifestError,
    NetproxyError,
    NotFoundError,
    UnsupportedError,
)


def status(code: int, reason: str, message: str, **details: Any) -> Response:
    """A failure."""
    body: dict[str, Any] = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    }  # fmt: skip
    if details:
        body["details"] = details
    return json_response(body, code)


def status_of(error: NetproxyError) -> Response:
    """The failure that an error stands for."""
    match error:
        case ManifestError():
            causes = [
                {"reason": p.reason, "message": p.message, "field": p.path, "object": p.object_name, "source": p.source}
                for p in error.problems
            ]
            return status(422, "Invalid", str(error), causes=causes)
        case NotFoundError():
            return status(404, "NotFound", str(error))
        case AlreadyExistsError():
            return status(409, "AlreadyExists", str(error))
        case ExpiredError():
            return status(410, "Expired", str(error))
        case ConflictError():
            return status(409, "Conflict", str(error))
        case UnsupportedError():
            return status(415, "UnsupportedMediaType", str(error))
        case ApiError():
            return status(error.code, error.reason, str(error))
        case KernelError():
            return status(500, "InternalError", str(error))
        case _:
            return status(500, "InternalError", str(error))
