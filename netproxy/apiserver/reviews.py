"""Questions about who may do what, and who somebody is: created, answered, not kept.

Source: kubernetes 1.36 pkg/registry/authorization and pkg/registry/authentication (behaviour).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netproxy.apiserver.authorize import Attributes, Authorizer, Rule
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ManifestError, Problem
from netproxy.core.user import User
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, metadata, namespace, spec

TokenUser = Callable[[str], User | None]
"""Whose a bearer token is; None for one that is good for nobody."""


def answered(
    resource: Resource, obj: Object, user: User, authorizer: Authorizer, token_user: TokenUser, *, now: str
) -> Object:
    """A review with its status. Raises ManifestError, ApiError."""
    match resource.kind:
        case "SelfSubjectReview":
            return {**obj, "metadata": {"creationTimestamp": now}, "status": {"userInfo": user_info(user)}}
        case "SelfSubjectAccessReview":
            return _access(obj, user, authorizer)
        case "SubjectAccessReview" | "LocalSubjectAccessReview":
            return _access(obj, _asked_about(resource, obj), authorizer)
        case "SelfSubjectRulesReview":
            return _rules(obj, user, authorizer)
        case _:
            return _token(obj, token_user)


def user_info(user: User) -> Object:
    """A user as the API shows one."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in sorted(user.extra.items())}
    return info


# --- may I, may she


def _access(obj: Object, user: User, authorizer: Authorizer) -> Object:
    wrong = list(_access_problems(obj))
    if wrong:
        raise ManifestError(wrong)
    return {**obj, "status": _status(authorizer.allows(user, _wanted(spec(obj))))}


def _status(allowed: bool) -> Object:
    return {"allowed": True} if allowed else {"allowed": False}


def _access_problems(obj: Object) -> Iterator[Problem]:
    asked = spec(obj)
    resource, path = asked.get("resourceAttributes"), asked.get("nonResourceAttributes")
    if resource is not None and path is not None:
        shown = json.dumps({"Path": path.get("path", ""), "Verb": path.get("verb", "")}, separators=(",", ":"))
        why = f"Invalid value: {shown}: cannot be specified in combination with resourceAttributes"
        yield Problem("spec.nonResourceAttributes", why)
    if resource is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield Problem("spec.resourceAttributes", f"Invalid value: null: {why}")
    if obj["kind"] != "SelfSubjectAccessReview" and not asked.get("user") and not asked.get("groups"):
        yield Problem("spec.user", 'Invalid value: "": at least one of user or group must be specified')
    kept = {
        key: value
        for key, value in metadata(obj).items()
        if value is not None and key not in ("managedFields", "namespace")
    }
    if kept:
        shown = json.dumps(_in_order(metadata(obj)), separators=(",", ":"))
        yield Problem("metadata", f"Invalid value: {shown}: must be empty")


def _in_order(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """As Go writes it: who manages fields comes last, and these are sorted."""
    entries = [{**entry, "fieldsV1": _sorted(entry.get("fieldsV1"))} for entry in meta.get("managedFields") or ()]
    rest = {field: value for field, value in meta.items() if field != "managedFields"}
    return {**rest, "managedFields": entries} if entries else rest


def _sorted(fields: Any) -> Any:
    return {key: _sorted(value) for key, value in sorted(fields.items())} if isinstance(fields, dict) else fields


def _asked_about(resource: Resource, obj: Object) -> User:
    """Whom a review asks about. Raises ApiError for a local one that is not of its own namespace."""
    asked = spec(obj)
    wanted = (asked.get("resourceAttributes") or {}).get("namespace", "")
    if resource.namespaced and wanted != namespace(obj):
        why = f"spec.resourceAttributes.namespace must match namespace: {namespace(obj)}"
        raise bad_request(why)
    extra = {key: tuple(values) for key, values in (asked.get("extra") or {}).items()}
    return User(asked.get("user") or "", tuple(asked.get("groups") or ()), asked.get("uid") or "", extra)


def _wanted(asked: Mapping[str, Any]) -> Attributes:
    path = asked.get("nonResourceAttributes")
    if path is not None:
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    given = asked["resourceAttributes"]
    fields = ("verb", "resource", "group", "subresource", "namespace", "name")
    return Attributes(**{field: given.get(field, "") for field in fields})


# --- what may I


def _rules(obj: Object, user: User, authorizer: Authorizer) -> Object:
    asked = spec(obj).get("namespace")
    if not asked:
        raise bad_request("no namespace on request")
    found = list(authorizer.rules(user, asked))
    status = {
        "resourceRules": [_resource_rule(rule) for rule in found if not rule.get("nonResourceURLs")],
        "nonResourceRules": [_path_rule(rule) for rule in found if rule.get("nonResourceURLs")],
        "incomplete": False,
    }
    return {**obj, "spec": {}, "status": status}


def _resource_rule(rule: Rule) -> Object:
    return {key: list(rule[key]) for key in ("verbs", "apiGroups", "resources", "resourceNames") if rule.get(key)}


def _path_rule(rule: Rule) -> Object:
    return {key: list(rule[key]) for key in ("verbs", "nonResourceURLs")}


# --- whose is this token


def _token(obj: Object, token_user: TokenUser) -> Object:
    token = spec(obj).get("token")
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    user = token_user(token)
    if user is None:
        return {**obj, "status": {"user": {}, "error": "invalid bearer token"}}
    audiences = spec(obj).get("audiences") or []
    return {
        **obj,
        "status": {"authenticated": True, "user": user_info(user), **({"audiences": audiences} if audiences else {})},
    }
