"""CustomResourceDefinitions: how they come in, and what the API server itself does about them: names, conditions, their end.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition/{strategy,etcd}.go and
pkg/controller/{status/naming_controller,establish/establishing_controller,finalizer/crd_finalizer,apiapproval/apiapproval_controller}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netproxy.core.errors import ConflictError
from netproxy.core.names import quoted
from netproxy.objects.custom.definition import is_accepted
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, annotations_of, is_deleting, metadata, name, spec, status
from netproxy.objects.validation.definition import APPROVED, approval, is_protected
from netproxy.registry.deletion import Mark, Options, Verdict
from netproxy.registry.options import WriteOptions
from netproxy.registry.refusal import forbidden
from netproxy.registry.strategy import Strategy

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""What keeps a definition until its objects are gone."""
OWN = WriteOptions(manager="kube-apiserver")
"""How the server itself writes."""
_NAMES = ("plural", "singular", "shortNames", "kind", "listKind", "categories")

Conditions = list[dict[str, Any]]


class DefinitionStrategy(Strategy):
    """Its status says which names it has got, and in which versions objects may be kept."""

    end_counts = False

    def __init__(self, resource: Resource, now: Callable[[], str]) -> None:
        super().__init__(resource)
        self._now = now

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """A new one; nothing that was written down elsewhere about its names counts."""
        return _with_stored_version(super().new(obj))

    def updated(self, obj: Object, old: Object) -> Object:
        """A new state of OLD, complete."""
        return _with_stored_version(super().updated(obj, old))

    def verdict(self, obj: Object, options: Options, now: float) -> Verdict:
        """At first it is only marked: its objects go before."""
        result = super().verdict(obj, options, now)
        if is_deleting(obj):
            return result
        present = tuple(metadata(obj).get("finalizers") or ())
        held = present if CLEANUP in present else (*present, CLEANUP)
        at = self._now() if result.mark is None else result.mark.at
        return Verdict(Mark(at, None, held))

    def check_meant(self, obj: Object, options: Options) -> None:
        """Raise ConflictError, in words of its own."""
        for what, given, there in (
            ("UID", options.uid, metadata(obj).get("uid")),
            ("ResourceVersion", options.resource_version, metadata(obj).get("resourceVersion")),
        ):
            if given and given != there:
                which = f'{self.resource.group_resource} "{name(obj)}"'
                why = f"Precondition failed: {what} in precondition: {given}, {what} in object meta: {there}"
                error = ConflictError(f"Operation cannot be fulfilled on {which}: {why}")
                raise error.with_details(**self.resource.details(name(obj)))

    def marked(self, obj: Object) -> Object:
        """What is said of it at once."""
        if is_deleting(obj):
            return {}
        why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
        return _with_condition(obj, "Terminating", "True", "InstanceDeletionPending", why, self._now())


def check_open(resource: Resource, named: str) -> None:
    """Raise ApiError (403) when no new object of a custom kind can be made, as the kind is about to go."""
    if resource.custom is not None and is_accepted(resource.custom.definition.obj, "Terminating"):
        why = "create not allowed while custom resource definition is terminating"
        raise forbidden(resource, named, why)


def _with_stored_version(obj: Object) -> Object:
    stored = next((each["name"] for each in spec(obj).get("versions") or () if each.get("storage")), None)
    there = status(obj).get("storedVersions") or []
    if stored is None or stored in there:
        return obj
    return {**obj, "status": {**status(obj), "storedVersions": [*there, stored]}}


# --- what the server does


def settled(obj: Object, all_of_them: Iterable[Object], now: str) -> Object | None:
    """The next state of a definition, if there is something to say of it; ALL_OF_THEM have names that it may want."""
    if is_deleting(obj):
        is_pending = any(each.get("reason") == "InstanceDeletionPending" for each in _conditions(obj))
        if not is_pending or CLEANUP not in (metadata(obj).get("finalizers") or ()):
            return None
        why = "CustomResource deletion is in progress"
        return {**obj, **_with_condition(obj, "Terminating", "True", "InstanceDeletionInProgress", why, now)}
    return _approved(obj, now) or _named(obj, all_of_them, now) or _established(obj, now)


def _approved(obj: Object, now: str) -> Object | None:
    """What is said of a definition in a group that belongs to Kubernetes."""
    if not is_protected(str(spec(obj).get("group"))):
        return None
    said, reason, why = approval(annotations_of(obj).get(APPROVED) or "")
    return _changed(obj, "KubernetesAPIApprovalPolicyConformant", said, reason, why, now)


def _established(obj: Object, now: str) -> Object | None:
    if not is_accepted(obj) or is_accepted(obj, "Established"):
        return None
    why = "the initial names have been accepted"
    return {**obj, **_with_condition(obj, "Established", "True", "InitialNamesAccepted", why, now)}


def _named(obj: Object, all_of_them: Iterable[Object], now: str) -> Object | None:
    """With the names that nobody else has."""
    wanted, accepted = spec(obj)["names"], status(obj).get("acceptedNames") or {}
    if {field: wanted.get(field) for field in _NAMES if wanted.get(field)} == {f: v for f, v in accepted.items() if v}:
        return None
    others = [each for each in all_of_them if spec(each).get("group") == spec(obj)["group"] and name(each) != name(obj)]
    names, reason, why = _names(wanted, accepted, others)
    said = "False" if reason else "True"
    made = _with_condition(obj, "NamesAccepted", said, reason or "NoConflicts", why or "no conflicts found", now)
    named: Object = {**obj, "status": {**made["status"], "acceptedNames": names}}
    if not is_accepted(obj, "Established"):
        telling = ("NotAccepted", "not all names are accepted") if reason else _INSTALLING
        named = {**named, **_with_condition(named, "Established", "False", *telling, now)}
    before = [each for each in _conditions(obj) if each.get("type") == "NamesAccepted"]
    after = [each for each in _conditions(named) if each.get("type") == "NamesAccepted"]
    same = [{**each, "lastTransitionTime": ""} for each in before] == [{**e, "lastTransitionTime": ""} for e in after]
    return None if same and names == accepted else named


_INSTALLING = ("Installing", "the initial names have been accepted")


def _names(wanted: Mapping[str, Any], accepted: Mapping[str, Any], others: list[Object]) -> tuple[Object, str, str]:
    """The names that a definition has from now on, and why not those that it wants: a reason and a message."""
    theirs = [status(each).get("acceptedNames") or {} for each in others]
    words = {each.get(field) for each in theirs for field in ("plural", "singular")}
    words |= {short for each in theirs for short in each.get("shortNames") or ()}
    kinds = {each.get(field) for each in theirs for field in ("kind", "listKind")}
    made, reason, why = dict(accepted), "", ""
    for field, used in (
        ("plural", words),
        ("singular", words),
        ("shortNames", words),
        ("kind", kinds),
        ("listKind", kinds),
    ):
        taken = _taken(wanted.get(field), accepted.get(field), used)
        if taken:
            reason, why = f"{field[0].upper()}{field[1:]}Conflict", taken
        else:
            made[field] = wanted.get(field)
    made["categories"] = wanted.get("categories")
    kept = {field: made[field] for field in _NAMES if made.get(field) or field in ("plural", "kind")}
    return kept, reason, why


def _taken(wanted: Any, accepted: Any, used: set[Any]) -> str:
    """Why a name, or a list of them, cannot be had; empty when it can."""
    if not isinstance(wanted, list):
        return f"{quoted(wanted)} is already in use" if wanted and wanted != accepted and wanted in used else ""
    found = [f"{quoted(each)} is already in use" for each in wanted if each not in (accepted or ()) and each in used]
    return found[0] if len(found) == 1 else f"[{', '.join(dict.fromkeys(found))}]" if found else ""


def without_instances(obj: Object, now: str, *, had_any: bool) -> Object:
    """A definition of which no objects are left: nothing of the server's keeps it any more."""
    reason, why = ("InstanceDeletionCompleted", "removed all instances") if had_any else (
        "NeverEstablished", "resource was never established"
    )  # fmt: skip
    left = [each for each in metadata(obj).get("finalizers") or () if each != CLEANUP]
    meta = {field: value for field, value in metadata(obj).items() if field != "finalizers"}
    said = _with_condition(obj, "Terminating", "False", reason, why, now)
    return {**obj, **said, "metadata": {**meta, "finalizers": left} if left else meta}


# --- conditions


def _conditions(obj: Object) -> Conditions:
    return list(status(obj).get("conditions") or ())


def _changed(obj: Object, kind: str, said: str, reason: str, why: str, now: str) -> Object | None:
    """The definition with a condition that it has not yet."""
    for each in _conditions(obj):
        if (each.get("type"), each.get("status"), each.get("reason"), each.get("message")) == (kind, said, reason, why):
            return None
    return {**obj, **_with_condition(obj, kind, said, reason, why, now)}


def _with_condition(obj: Object, kind: str, said: str, reason: str, why: str, now: str) -> Object:
    """The status of a definition, with a condition."""
    made = {"type": kind, "status": said, "lastTransitionTime": now, "reason": reason, "message": why}
    conditions = _conditions(obj)
    for at, each in enumerate(conditions):
        if each.get("type") == kind:
            since = each.get("lastTransitionTime") if each.get("status") == said else now
            conditions[at] = {**each, **made, "lastTransitionTime": since}
            break
    else:
        conditions.append(made)
    return {"status": {**status(obj), "conditions": conditions}}
