"""What is refused about roles and their bindings.

Source: kubernetes pkg/apis/rbac/validation/validation.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netproxy.objects.meta import Object
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import dns_subdomain, path_segment
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import Problems, invalid, invalids, required, unsupported

_GROUP = "rbac.authorization.k8s.io"
_REFERENCE = {"APIGroup": "apiGroup", "Kind": "kind", "Name": "name"}


def _role(obj: Object, meta: Found) -> Problems:
    yield from meta
    for index, rule in enumerate(obj.get("rules") or ()):
        yield from _rule(rule, f"rules[{index}]", namespaced=True)


def _cluster_role(obj: Object, meta: Found) -> Problems:
    yield from meta
    for index, rule in enumerate(obj.get("rules") or ()):
        yield from _rule(rule, f"rules[{index}]", namespaced=False)
    aggregation = obj.get("aggregationRule")
    if aggregation is None:
        return
    path, selectors = "aggregationRule.clusterRoleSelectors", aggregation.get("clusterRoleSelectors") or ()
    if not selectors:
        yield required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
    for index, selector in enumerate(selectors):
        wrong = list(selector_problems(selector, f"{path}[{index}]"))
        yield from wrong
        if wrong:
            yield invalid(f"{path}[{index}]", None, "invalid label selector.")


def _rule(rule: Mapping[str, Any], path: str, *, namespaced: bool) -> Problems:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        place = f"{path}.nonResourceURLs"
        if namespaced:
            yield invalid(place, urls, "namespaced rules cannot apply to non-resource URLs")
        if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
            yield invalid(place, urls, "rules cannot apply to both regular resources and non-resource URLs")
        return
    for field, what in (("apiGroups", "api group"), ("resources", "resource")):
        if not rule.get(field):
            yield required(f"{path}.{field}", f"resource rules must supply at least one {what}")


def _binding(obj: Object, kinds: Sequence[str]) -> Problems:
    role = obj.get("roleRef") or {}
    if (role.get("apiGroup") or "") != _GROUP:
        yield unsupported("roleRef.apiGroup", role.get("apiGroup") or "", (_GROUP,), plain=True)
    if role.get("kind") not in kinds:
        yield unsupported("roleRef.kind", role.get("kind") or "", kinds, plain=True)
    if name := role.get("name"):
        yield from invalids("roleRef.name", name, path_segment(name))
    else:
        yield required("roleRef.name")
    for index, subject in enumerate(obj.get("subjects") or ()):
        yield from _subject(subject, f"subjects[{index}]", namespaced="Role" in kinds)


def _subject(subject: Mapping[str, Any], path: str, *, namespaced: bool) -> Problems:
    kind, name, group = (subject.get(field) or "" for field in ("kind", "name", "apiGroup"))
    if not name:
        yield required(f"{path}.name")
    if kind == "ServiceAccount":
        if name:
            yield from invalids(f"{path}.name", name, dns_subdomain(name))
        if group:
            yield unsupported(f"{path}.apiGroup", group, ("",), plain=True)
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
    elif kind in ("User", "Group"):
        if group != _GROUP:
            yield unsupported(f"{path}.apiGroup", group, (_GROUP,), plain=True)
    else:
        yield unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group"), plain=True)


def _role_binding(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _binding(obj, ("Role", "ClusterRole"))


def _cluster_role_binding(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _binding(obj, ("ClusterRole",))


def _role_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _role(new, meta.whole)
    yield from meta.change


def _cluster_role_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _cluster_role(new, meta.whole)
    yield from meta.change


def _role_binding_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _role_binding(new, meta.whole)
    yield from meta.change
    yield from _same_role(new, old)


def _cluster_role_binding_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _cluster_role_binding(new, meta.whole)
    yield from meta.change
    yield from _same_role(new, old)


def _same_role(new: Object, old: Object) -> Problems:
    role = new.get("roleRef") or {}
    if role != (old.get("roleRef") or {}):
        yield invalid(
            "roleRef", {go: role.get(field) or "" for go, field in _REFERENCE.items()}, "cannot change roleRef"
        )


ROLE = Rules(create=_role, update=_role_update, name=path_segment)
CLUSTER_ROLE = Rules(create=_cluster_role, update=_cluster_role_update, name=path_segment)
ROLE_BINDING = Rules(create=_role_binding, update=_role_binding_update, name=path_segment)
CLUSTER_ROLE_BINDING = Rules(create=_cluster_role_binding, update=_cluster_role_binding_update, name=path_segment)
