"""What a PATCH brings, by the type of its content.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from typing import Any

import orjson

from netproxy.apiserver.options import APPLY
from netproxy.apiserver.request import Request
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ManifestError
from netproxy.objects.document import document


def patch_body(request: Request) -> Any:
    """The patch itself. Raises ApiError when it cannot be read."""
    if request.content_type.partition(";")[0].strip() == APPLY:
        try:
            return document(request.body, "")
        except ManifestError as error:
            raise bad_request(f"error decoding YAML: {error}") from error
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from error
