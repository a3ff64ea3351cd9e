"""Nobody gives away what he does not have: what is asked of whoever writes roles and bindings, beside whether he may.

Source: kubernetes 1.36 pkg/registry/rbac/{escalation_check.go,*/policybased/storage.go,validation/rule.go,policy_compact.go},
staging/src/k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from netproxy.apiserver.authorize import Attributes, Authorizer, Rule
from netproxy.core.errors import NotFoundError
from netproxy.core.names import quoted
from netproxy.core.user import MASTERS, User
from netproxy.objects.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource
from netproxy.objects.meta import Object, metadata, name, namespace
from netproxy.registry.refusal import forbidden

GUARDED = frozenset((ROLES, CLUSTER_ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS))
"""Resources that give somebody something."""
MOST_PARTS = 20_000
"""Of one rule: each is looked for in all rules that its writer has."""
_ALL: tuple[Rule, ...] = (
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]},
)  # fmt: skip
_OF_GARBAGE = frozenset(("ownerReferences", "finalizers", "managedFields"))
_FIELDS = ("apiGroups", "resources", "nonResourceURLs", "resourceNames", "verbs")


def check_grant(authorizer: Authorizer, user: User, resource: Resource, new: Object, old: Object | None) -> None:
    """Raise ApiError (403) when USER may not write this role or binding; NotFoundError for a binding of no role."""
    if MASTERS in user.groups or (old is not None and _is_alike(new, old)):
        return
    if resource in (ROLES, CLUSTER_ROLES):
        _check_role(authorizer, user, resource, new, old)
    else:
        _check_binding(authorizer, user, resource, new)


def _is_alike(new: Object, old: Object) -> bool:
    """Whether nothing changes but what the collection of garbage changes."""
    return _bare(new) == _bare(old)


def _bare(obj: Object) -> Object:
    return {**obj, "metadata": {key: value for key, value in metadata(obj).items() if key not in _OF_GARBAGE}}


def _check_role(authorizer: Authorizer, user: User, resource: Resource, new: Object, old: Object | None) -> None:
    wish = Attributes(
        "escalate", resource.plural, resource.group, namespace=namespace(new), name=name(old) if old else ""
    )
    if authorizer.allows(user, wish):
        return
    _check_rules(authorizer, user, resource, new, new.get("rules") or ())
    gathers = any((role.get("aggregationRule") or {}).get("clusterRoleSelectors") for role in (new, old or {}))
    if gathers and list(_uncovered(authorizer.rules(user, namespace(new)), _ALL)):
        raise forbidden(resource, name(new), "must have cluster-admin privileges to use the aggregationRule")


def _check_binding(authorizer: Authorizer, user: User, resource: Resource, binding: Object) -> None:
    of = binding.get("roleRef") or {}
    role = {"Role": ROLES, "ClusterRole": CLUSTER_ROLES}.get(str(of.get("kind")))
    if role is None:  # which is refused for itself
        return
    wish = Attributes(
        "bind", role.plural, of.get("apiGroup") or "", namespace=namespace(binding), name=of.get("name") or ""
    )
    if authorizer.allows(user, wish):
        return
    try:
        given = list(authorizer.rules_of(binding))
    except NotFoundError as error:
        called = str(of.get("name"))
        gone = NotFoundError(f"{resource.group_resource} {quoted(called)} not found")
        raise gone.with_details(**resource.details(called)) from error
    _check_rules(authorizer, user, resource, binding, given)


def _check_rules(authorizer: Authorizer, user: User, resource: Resource, obj: Object, given: Iterable[Rule]) -> None:
    wrong = list(_uncovered(authorizer.rules(user, namespace(obj)), given))
    if wrong:
        listed = "\n".join(sorted({_shown(rule) for rule in _compact(wrong)}))
        why = f"user {quoted(user.name)} (groups={_list(user.groups)}) is attempting to grant RBAC permissions not currently held:"
        raise forbidden(resource, name(obj), f"{why}\n{listed}")


# --- rules


def _uncovered(own: Iterable[Rule], given: Iterable[Rule]) -> Iterator[Rule]:
    """The smallest parts of what is given that none of one's own rules has."""
    mine = list(own)
    for rule in given:
        if _count(rule) > MOST_PARTS:
            yield next(_parts(rule))  # stands for the rule: who may not escalate has to write it as several
            continue
        for part in _parts(rule):
            if not any(_covers(other, part) for other in mine):
                yield part


def _count(rule: Rule) -> int:
    groups, kinds, names, urls, verbs = (
        len(rule.get(field) or ()) for field in ("apiGroups", "resources", "resourceNames", "nonResourceURLs", "verbs")
    )
    return (groups * kinds * max(1, names) + urls) * verbs


def _parts(rule: Rule) -> Iterator[Rule]:
    verbs = rule.get("verbs") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                one = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames") or ()
                yield from [{**one, "resourceNames": [item]} for item in names] or [one]
    for url in rule.get("nonResourceURLs") or ():
        yield from ({"nonResourceURLs": [url], "verbs": [verb]} for verb in verbs)


def _covers(own: Rule, part: Rule) -> bool:
    names = own.get("resourceNames") or ()
    return (
        _has(own.get("verbs"), part["verbs"])
        and _has(own.get("apiGroups"), part.get("apiGroups", ()))
        and all(_has_resource(own.get("resources") or (), item) for item in part.get("resources", ()))
        and all(_has_url(own.get("nonResourceURLs") or (), item) for item in part.get("nonResourceURLs", ()))
        and (not names or ("resourceNames" in part and part["resourceNames"][0] in names))
    )


def _has(own: Iterable[str] | None, wanted: Iterable[str]) -> bool:
    found = set(own or ())
    return "*" in found or found.issuperset(wanted)


def _has_resource(own: Iterable[str], wanted: str) -> bool:
    _, slash, part = wanted.partition("/")
    return any(item in ("*", wanted) or (slash and item == f"*/{part}") for item in own)


def _has_url(own: Iterable[str], wanted: str) -> bool:
    return any(item == wanted or (item.endswith("*") and wanted.startswith(item.rstrip("*"))) for item in own)


def _compact(rules: Iterable[Rule]) -> Iterator[Rule]:
    """The rules, with one for all verbs of a resource."""
    simple: dict[tuple[str, ...], dict[str, Any]] = {}
    for rule in rules:
        if "resources" not in rule:
            yield rule
            continue
        about = (rule["apiGroups"][0], rule["resources"][0], *rule.get("resourceNames", ()))
        kept = simple.setdefault(about, {**rule, "verbs": []})
        kept["verbs"].extend(rule["verbs"])
    yield from simple.values()


def _shown(rule: Mapping[str, Any]) -> str:
    parts = [f"{field[0].upper()}{field[1:]}:{_list(rule[field])}" for field in _FIELDS if rule.get(field)]
    return "{" + ", ".join(parts).replace("ApiGroups:", "APIGroups:") + "}"


def _list(items: Iterable[str]) -> str:
    return f"[{' '.join(map(quoted, items))}]"
