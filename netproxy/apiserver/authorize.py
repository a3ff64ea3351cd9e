"""Who may do what: roles and their bindings. Pure but for what it has read of the roles, which it reads again when they change.

Source: kubernetes 1.36 plugin/pkg/auth/authorizer/rbac/rbac.go and pkg/registry/rbac/validation/rule.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.apiserver.paths import Target
from netproxy.core.errors import ApiError
from netproxy.core.names import NamespacedName
from netproxy.core.user import MASTERS, User
from netproxy.objects.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from netproxy.objects.meta import Object, labels, name, namespace
from netproxy.objects.selector import label_selector, matches
from netproxy.store.store import Store

SERVICE_ACCOUNT = "system:serviceaccount:"
"""What the user name of a service account begins with."""
_WRITTEN = (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS)

Rule = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do: with a resource, or with a PATH that names none."""

    verb: str
    resource: str = ""
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole(self) -> str:
        """Resource and subresource."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def attributes(method: str, path: str, target: Target | None, *, watch: bool = False) -> Attributes:
    """What a request wants.

    >>> attributes("GET", "/healthz", None)
    Attributes(verb='get', resource='', group='', subresource='', namespace='', name='', path='/healthz')
    """
    if target is None:
        return Attributes(method.lower(), path=path)
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
    if not target.name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if verb in ("get", "list") and (watch or target.is_watch):
        verb = "watch"
    resource = target.resource
    return Attributes(verb, resource.plural, resource.group, target.subresource, target.namespace, target.name)


class Authorizer:
    """Asks the roles of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: tuple[int, ...] = ()
        self._bound: dict[tuple[str, str], list[Object]] = {}

    def allows(self, user: User, wanted: Attributes) -> bool:
        """Whether USER may do that."""
        if MASTERS in user.groups:
            return True
        return any(permits(rule, wanted) for rule in self.rules(user, wanted.namespace))

    def check(self, user: User, wanted: Attributes) -> None:
        """Raise ApiError (403), in the API server's words, when USER may not do that."""
        if not self.allows(user, wanted):
            raise forbidden(user, wanted)

    def rules(self, user: User, in_namespace: str) -> Iterator[Rule]:
        """Everything that USER may do in a namespace (empty: in none), role by role."""
        self._refresh()
        if MASTERS in user.groups and not self._bound.get(("Group", MASTERS)):
            yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            yield {"verbs": ["*"], "nonResourceURLs": ["*"]}
        for subject in _subjects(user):
            for binding in self._bound.get(subject, ()):
                if namespace(binding) in ("", in_namespace):
                    yield from self._rules_of(binding)

    def _refresh(self) -> None:
        """Sort the bindings by who has them, when roles or bindings have been written since the last time."""
        version = tuple(self._store.latest(resource) for resource in _WRITTEN)
        if version == self._version and self._bound:
            return
        self._version, self._bound = version, {}
        for resource in (CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS):
            for binding in self._store.list(resource):
                for subject in binding.get("subjects") or ():
                    self._bound.setdefault(_subject(subject), []).append(binding)

    def _rules_of(self, binding: Object) -> Iterator[Rule]:
        """What the role of a binding allows; nothing while there is no such role."""
        of = binding.get("roleRef") or {}
        if of.get("kind") == "Role":
            role = self._store.find(ROLES, NamespacedName(namespace(binding), str(of.get("name"))))
        else:
            role = self._store.find(CLUSTER_ROLES, NamespacedName("", str(of.get("name"))))
        if role is not None:
            yield from self._all_rules(role, {name(role)})

    def _all_rules(self, role: Object, seen: set[str]) -> Iterator[Rule]:
        yield from role.get("rules") or ()
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            terms = label_selector(selector)
            for other in self._store.list(CLUSTER_ROLES):
                if name(other) not in seen and matches(terms, labels(other)):
                    seen.add(name(other))
                    yield from self._all_rules(other, seen)


def _subjects(user: User) -> Iterator[tuple[str, str]]:
    yield "User", user.name
    for group in user.groups:
        yield "Group", group


def _subject(subject: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and name of who has a role; a service account is a user, too."""
    if subject.get("kind") == "ServiceAccount":
        return "User", f"{SERVICE_ACCOUNT}{subject.get('namespace', '')}:{subject.get('name')}"
    return str(subject.get("kind")), str(subject.get("name"))


def permits(rule: Rule, wanted: Attributes) -> bool:
    """Whether one rule allows what is wanted.

    >>> permits({"verbs": ["get"], "nonResourceURLs": ["/api/*"]}, Attributes("get", path="/api/v1"))
    True
    """
    if not _holds(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_is_below(wanted.path, pattern) for pattern in rule.get("nonResourceURLs") or ())
    if not _holds(rule.get("apiGroups"), wanted.group) or not _names_resource(rule.get("resources") or (), wanted):
        return False
    names = rule.get("resourceNames") or ()
    return not names or wanted.name in names


def _holds(listed: Iterable[str] | None, word: str) -> bool:
    return any(item in ("*", word) for item in listed or ())


def _names_resource(listed: Iterable[str], wanted: Attributes) -> bool:
    return any(
        item in ("*", wanted.whole) or (wanted.subresource and item == f"*/{wanted.subresource}") for item in listed
    )


def _is_below(path: str, pattern: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def forbidden(user: User, wanted: Attributes, why: str = "") -> ApiError:
    """The refusal, as the API server says it."""
    whom = f'User "{user.name}" cannot {wanted.verb}'
    if wanted.path:
        return ApiError(403, "Forbidden", f'forbidden: {whom} path "{wanted.path}"{why}').with_details()
    where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
    group = f".{wanted.group}" if wanted.group else ""
    what = f'{wanted.resource}{group} "{wanted.name}"' if wanted.name else f"{wanted.resource}{group}"
    said = f'{what} is forbidden: {whom} resource "{wanted.whole}" in API group "{wanted.group}" {where}{why}'
    return ApiError(403, "Forbidden", said)
