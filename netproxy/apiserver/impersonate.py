"""Somebody who acts as somebody else (`kubectl --as`): whom the headers of a request name, and whether the one who asks may.

There are ways that hold only for what is asked (`impersonate-on:…`, by the kind of user), and the old one, that holds for everything.

Source: kubernetes 1.36 apiserver pkg/endpoints/filters/impersonation (behaviour; what it remembers of earlier requests is left out).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote

from netproxy.apiserver.authorize import Attributes, Authorizer, forbidden
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ApiError
from netproxy.core.names import quoted
from netproxy.core.user import ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNT, SERVICE_ACCOUNTS, User
from netproxy.objects.validation.names import dns_label, dns_subdomain

USER, GROUP, UID, EXTRA = "impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-"
NODE, NODES = "system:node:", "system:nodes"
_UNAUTHENTICATED = ANONYMOUS.groups[0]
_GROUP = "authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to become somebody: the verb that is asked for each part of the user, and where users and groups belong."""

    mode: str = ""

    @property
    def verb(self) -> str:
        return f"impersonate:{self.mode}" if self.mode else "impersonate"

    @property
    def group(self) -> str:
        return _GROUP if self.mode else ""


def wanted_user(headers: Iterable[tuple[str, str]]) -> User | None:
    """Whom the headers of a request name; None when they name nobody. Raises ApiError for groups, a uid or more of nobody.

    >>> wanted_user([("Impersonate-User", "jane"), ("Impersonate-Extra-Scopes", "view")])
    User(name='jane', groups=(), uid='', extra={'scopes': ('view',)})
    """
    found = [(name.lower(), value) for name, value in headers if name[:12].lower() == "impersonate-"]
    if not found:
        return None
    first = dict(reversed(found))
    groups = tuple(value for name, value in found if name == GROUP)
    extra: dict[str, tuple[str, ...]] = {}
    for name, value in found:
        if name.startswith(EXTRA):
            key = unquote(name.removeprefix(EXTRA))
            extra[key] = (*extra.get(key, ()), value)
    user = User(first.get(USER, ""), groups, first.get(UID, ""), extra)
    if user.name:
        return user
    if groups or user.uid or extra:
        raise bad_request(f"requested {_in_go(user)} without impersonating a user name")
    return None


def acting(user: User, wanted: User, asked: Attributes, authorizer: Authorizer) -> User:
    """The user that USER becomes for what is asked. Raises ApiError (403), the first way's, when there is no way."""
    refusals: list[ApiError] = []
    for way in _ways(wanted):
        refusal = _refusal(way, user, wanted, asked, authorizer)
        if refusal is None:
            return _whole(way, wanted)
        refusals.append(refusal)
    raise refusals[0]


def _ways(wanted: User) -> Iterator[_Way]:
    is_bare = not (wanted.groups or wanted.uid or wanted.extra)
    if _node(wanted.name):
        if is_bare:
            yield _Way("arbitrary-node")
    elif _account(wanted.name):
        if is_bare:
            yield _Way("serviceaccount")
    else:
        yield _Way("user-info")
    yield _Way()


def _refusal(way: _Way, user: User, wanted: User, asked: Attributes, authorizer: Authorizer) -> ApiError | None:
    if way.mode:
        on = replace(asked, verb=f"impersonate-on:{way.mode}:{asked.verb}")
        if not authorizer.allows(user, on):
            return forbidden(user, on)
    for part in _parts(way, wanted):
        if not authorizer.allows(user, part):
            about = {"name": part.name, "group": part.group, "kind": part.resource}
            return forbidden(user, part).with_details(**{field: value for field, value in about.items() if value})
    return None


def _parts(way: _Way, wanted: User) -> Iterator[Attributes]:
    """What has to be allowed of the user."""
    account = _account(wanted.name)
    if account:
        yield Attributes(way.verb, "serviceaccounts", way.group, namespace=account[0], name=account[1])
    elif way.mode and _node(wanted.name):
        yield Attributes(way.verb, "nodes", way.group, name=_node(wanted.name))
    else:
        yield Attributes(way.verb, "users", way.group, name=wanted.name)
    if wanted.uid:
        yield Attributes(way.verb, "uids", _GROUP, name=wanted.uid)
    for group in wanted.groups:
        yield Attributes(way.verb, "groups", way.group, name=group)
    for key, value in sorted((key, value) for key, values in wanted.extra.items() for value in values):
        yield Attributes(way.verb, "userextras", _GROUP, subresource=key, name=value)


def _whole(way: _Way, wanted: User) -> User:
    """The user with the groups that it has by being what it is."""
    groups, account = wanted.groups, _account(wanted.name)
    if not groups and account:
        groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{account[0]}")
    elif way.mode and _node(wanted.name):
        groups = (NODES,)
    if wanted.name == ANONYMOUS.name:
        more = _UNAUTHENTICATED
    elif _UNAUTHENTICATED in groups:
        return replace(wanted, groups=groups)
    else:
        more = AUTHENTICATED
    return replace(wanted, groups=groups if more in groups else (*groups, more))


def _node(username: str) -> str:
    """The node whose user that is."""
    found = username.removeprefix(NODE) if username.startswith(NODE) else ""
    return "" if dns_subdomain(found) else found


def _account(username: str) -> tuple[str, ...]:
    """Namespace and name of the service account whose user that is."""
    parts = tuple(username.removeprefix(SERVICE_ACCOUNT).split(":"))
    return (
        parts
        if username.startswith(SERVICE_ACCOUNT)
        and len(parts) == 2
        and not (dns_label(parts[0]) or dns_subdomain(parts[1]))
        else ()
    )


def _in_go(user: User) -> str:
    """A user as Go prints one."""
    groups = f"[]string{{{', '.join(map(quoted, user.groups))}}}" if user.groups else "[]string(nil)"
    listed = (f"{quoted(key)}:[]string{{{', '.join(map(quoted, user.extra[key]))}}}" for key in sorted(user.extra))
    extra = f"map[string][]string{{{', '.join(listed)}}}" if user.extra else "map[string][]string(nil)"
    return f"&user.DefaultInfo{{Name:{quoted(user.name)}, UID:{quoted(user.uid)}, Groups:{groups}, Extra:{extra}}}"
