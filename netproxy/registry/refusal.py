"""How somebody is told that a thing may not be."""

from __future__ import annotations

from netproxy.core.errors import ApiError
from netproxy.objects.kinds import Resource


def forbidden(resource: Resource, named: str, why: str) -> ApiError:
    """Who wants this may not have it."""
    error = ApiError(403, "Forbidden", f'{resource.group_resource} "{named}" is forbidden: {why}')
    return error.with_details(**resource.details(named))
