"""A URL's path as a value: which resource, where, which object, which part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netproxy.core.errors import NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import PODS, REVIEWS, Resource, by_path

Lookup = Callable[[str, str], Resource | None]
"""The resource of a group and version and a plural."""

UNKNOWN = "the server could not find the requested resource"
_TABLELESS = frozenset(("binding", "ephemeralcontainers", "eviction", "finalize", "resize", "token"))


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    is_watch: bool = False
    """The old way to ask for a watch: `/api/v1/watch/pods`."""

    @property
    def key(self) -> NamespacedName:
        """The object."""
        return NamespacedName(self.namespace if self.resource.namespaced else "", self.name)

    @property
    def has_table(self) -> bool:
        """Whether what is answered there can be shown as a table."""
        return self.subresource not in _TABLELESS and self.resource not in REVIEWS


def target_of(path: str, lookup: Lookup = by_path) -> Target | None:
    """Read `/api/v1/namespaces/NS/pods/NAME/status` and its relatives; None for a path that names no resource.

    >>> target_of("/api/v1/namespaces/a/pods/b/status").key
    NamespacedName(namespace='a', name='b')

    Raises NotFoundError for a resource or a part of it that is not served.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) >= 3:
        version, rest = parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) >= 4:
        version, rest = f"{parts[1]}/{parts[2]}", parts[3:]
    else:
        return None
    is_watch = rest[0] == "watch" and len(rest) > 1
    rest = rest[1:] if is_watch else rest
    at = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("finalize", "status"):
        at, rest = rest[1], rest[2:]
    if at and version == "v1" and rest == ["bindings"]:
        return Target(PODS, at, "", "binding", is_watch)
    resource = lookup(version, rest[0])
    name, sub = rest[1] if len(rest) > 1 else "", rest[2] if len(rest) > 2 else ""
    if resource is not None and resource.custom is not None and sub and sub not in resource.subresources:
        missing = NotFoundError(f'{resource.group_resource} "{name}" not found')
        raise missing.with_details(**resource.details(name))
    if (
        resource is None
        or (rest[3:] and sub != "proxy")
        or (sub and sub not in resource.subresources)
        or (at and not resource.namespaced)
    ):
        raise NotFoundError(UNKNOWN)
    return Target(resource, at, name, sub, is_watch)


def unserved(path: str) -> Target | None:
    """What a path would name if that were served; None for one that names no resource.

    >>> unserved("/api/v1/namespaces/a/foos/b").resource.group_resource, unserved("/apis/example.com/v1"), unserved("/healthz")
    ('foos', None, None)
    """
    parts = [part for part in path.split("/") if part]
    core = parts[:1] == ["api"]
    if not (core or parts[:1] == ["apis"]) or len(parts) < (3 if core else 4):
        return None
    group, version, rest = ("", parts[1], parts[2:]) if core else (parts[1], parts[2], parts[3:])
    is_watch = rest[0] == "watch" and len(rest) > 1
    rest = rest[1:] if is_watch else rest
    at = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        at, rest = rest[1], rest[2:]
    name, sub = (*rest[1:3], "", "")[:2]
    return Target(Resource(group, version, rest[0], rest[0], namespaced=bool(at)), at, name, sub, is_watch)


def meant(path: str, lookup: Lookup = by_path) -> Target | None:
    """What a path names, if that is served.

    >>> meant("/healthz"), meant("/api/v1/nonsense")
    (None, None)
    """
    try:
        return target_of(path.rstrip("/"), lookup)
    except NotFoundError:
        return None
