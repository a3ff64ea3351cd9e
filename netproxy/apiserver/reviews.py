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
            return _access(obj, _asked_about(obj), authorizer)
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
    reason = authorizer.reason(user, _wanted(spec(obj)))
    return {**obj, "status": {"allowed": reason is not None, **({"reason": reason} if reason else {})}}


def _access_problems(obj: Object) -> Iterator[Problem]:
    asked = spec(obj)
    resource, path = asked.get("resourceAttributes"), asked.get("nonResourceAttributes")
    is_local = obj["kind"] == "LocalSubjectAccessReview"
    shown = json.dumps(
        {"Path": (path or {}).get("path", ""), "Verb": (path or {}).get("verb", "")}, separators=(",", ":")
    )
    if resource is not None and path is not None:
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
        rest = " except for namespace" if is_local else ""
        said = json.dumps(_in_order(metadata(obj)), separators=(",", ":"))
        yield Problem("metadata", f"Invalid value: {said}: must be empty{rest}")
    if is_local:
        yield from _elsewhere(resource, namespace(obj))
    if is_local and path is not None:
        yield Problem("spec.nonResourceAttributes", f"Invalid value: {shown}: disallowed on this kind of request")


def _elsewhere(resource: Mapping[str, Any] | None, here: str) -> Iterator[Problem]:
    """Whether what is asked about is not of the review's own namespace."""
    asked = (resource or {}).get("namespace") or ""
    if resource is not None and asked != here:
        why = f"Invalid value: {json.dumps(asked)}: must match metadata.namespace"
        yield Problem("spec.resourceAttributes.namespace", why)


def _in_order(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """As Go writes it: who manages fields comes last, and these are sorted."""
    entries = [{**entry, "fieldsV1": _sorted(entry.get("fieldsV1"))} for entry in meta.get("managedFields") or ()]
    rest = {field: value for field, value in meta.items() if field != "managedFields"}
    return {**rest, "managedFields": entries} if entries else rest


def _sorted(fields: Any) -> Any:
    return {key: _sorted(value) for key, value in sorted(fields.items())} if isinstance(fields, dict) else fields


def _asked_about(obj: Object) -> User:
    """Whom a review asks about."""
    asked = spec(obj)
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
