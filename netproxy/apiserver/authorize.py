"""Who may do what: roles and their bindings. Pure but for what it has read of the roles, which it reads again when they change.

Source: kubernetes 1.36 plugin/pkg/auth/authorizer/rbac/rbac.go and pkg/registry/rbac/validation/rule.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from netproxy.apiserver.paths import Target
from netproxy.core.errors import ApiError, NotFoundError
from netproxy.core.names import NamespacedName, quoted
from netproxy.core.user import MASTERS, SERVICE_ACCOUNT, User
from netproxy.objects.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, ROLES
from netproxy.objects.meta import Object, labels, name, namespace
from netproxy.objects.selector import label_selector, matches
from netproxy.store.store import Store

"""What the user name of a service account begins with."""
_WRITTEN = (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS)

Rule = Mapping[str, Any]
Subject = Mapping[str, Any]


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


_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def attributes(method: str, path: str, target: Target | None, *, watch: bool = False, picked: str = "") -> Attributes:
    """What a request wants; PICKED is the one name that a list is to have.

    >>> attributes("GET", "/healthz", None)
    Attributes(verb='get', resource='', group='', subresource='', namespace='', name='', path='/healthz')
    """
    if target is None:
        return Attributes(method.lower(), path=path)
    verb = _VERBS.get(method, "")  # of any other method only who may do everything
    if not target.name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if verb in ("get", "list") and (watch or target.is_watch):
        verb = "watch"
    resource = target.resource
    named = target.name or (picked if verb in ("list", "watch", "deletecollection") else "")
    at = target.name if resource is NAMESPACES else target.namespace  # a namespace is in itself
    return Attributes(verb, resource.plural, resource.group, target.subresource, at, named)


class Authorizer:
    """Asks the roles of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: tuple[int, ...] = ()
        self._bound: dict[tuple[str, str], list[tuple[int, int, Object, Subject]]] = {}

    def allows(self, user: User, wanted: Attributes) -> bool:
        """Whether USER may do that."""
        return self.reason(user, wanted) is not None

    def reason(self, user: User, wanted: Attributes) -> str | None:
        """Why USER may do that, where there is more to say than who it is; None when USER may not."""
        if MASTERS in user.groups:
            return ""
        for binding, subject in self._bindings(user, wanted.namespace):
            if any(permits(rule, wanted) for rule in self._known_rules_of(binding)):
                return f"RBAC: allowed by {_described(binding, subject)}"
        return None

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
        for binding, _ in self._bindings(user, in_namespace):
            yield from self._known_rules_of(binding)

    def _bindings(self, user: User, in_namespace: str) -> Iterator[tuple[Object, Subject]]:
        """The bindings that USER has, those of the cluster first, each with the first of its subjects that USER is."""
        self._refresh()
        found: dict[int, tuple[int, Object, Subject]] = {}
        for subject in _subjects(user):
            for number, place, binding, said in self._bound.get(subject, ()):
                if namespace(binding) in ("", in_namespace) and place < found.get(number, (place + 1,))[0]:
                    found[number] = place, binding, said
        for number in sorted(found):
            yield found[number][1:]

    def _refresh(self) -> None:
        """Sort the bindings by who has them, when roles or bindings have been written since the last time."""
        version = tuple(self._store.latest(resource) for resource in _WRITTEN)
        if version == self._version and self._bound:
            return
        self._version, self._bound = version, {}
        bindings = [
            binding for resource in (CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS) for binding in self._store.list(resource)
        ]
        for number, binding in enumerate(bindings):
            for place, subject in enumerate(binding.get("subjects") or ()):
                who = _subject(subject, namespace(binding))
                self._bound.setdefault(who, []).append((number, place, binding, subject))

    def rules_of(self, binding: Object) -> Iterator[Rule]:
        """What the role of a binding allows. Raises NotFoundError when there is no such role."""
        of = binding.get("roleRef") or {}
        is_local = of.get("kind") == "Role"
        at = NamespacedName(namespace(binding) if is_local else "", str(of.get("name")))
        role = self._store.get(ROLES if is_local else CLUSTER_ROLES, at)
        yield from self._all_rules(role, {name(role)})

    def _known_rules_of(self, binding: Object) -> Iterator[Rule]:
        """What the role of a binding allows; nothing while there is no such role."""
        with suppress(NotFoundError):
            yield from self.rules_of(binding)

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


def _described(binding: Object, subject: Subject) -> str:
    """A binding, as reviews tell it."""
    local, of = namespace(binding), binding.get("roleRef") or {}
    kind, called = ("RoleBinding", f"{name(binding)}/{local}") if local else ("ClusterRoleBinding", name(binding))
    who = str(subject.get("name"))
    if subject.get("kind") == "ServiceAccount":
        who = f"{who}/{subject.get('namespace') or local}"
    return f"{kind} {quoted(called)} of {of.get('kind')} {quoted(str(of.get('name')))} to {subject.get('kind')} {quoted(who)}"


def _subject(subject: Subject, in_namespace: str) -> tuple[str, str]:
    """Kind and name of who has a role; a service account is a user, too."""
    if subject.get("kind") == "ServiceAccount":
        return "User", f"{SERVICE_ACCOUNT}{subject.get('namespace') or in_namespace}:{subject.get('name')}"
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
    named = {"name": wanted.name, "group": wanted.group, "kind": wanted.resource}
    return ApiError(403, "Forbidden", said).with_details(**{field: value for field, value in named.items() if value})
