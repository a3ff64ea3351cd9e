"""Namespaces: Terminating until a controller has emptied them and taken their finalizer away.

Source: kubernetes pkg/registry/core/namespace, plugin/pkg/admission/lifecycle (in staging/src/k8s.io/apiserver).
"""

from __future__ import annotations

from dataclasses import replace

from netproxy.core.errors import ApiError, ConflictError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import NAMESPACES, Resource
from netproxy.objects.meta import Object, is_deleting, metadata, name, spec, status
from netproxy.registry.deletion import Options, Verdict, verdict
from netproxy.registry.habits import habits_of
from netproxy.registry.strategy import Strategy
from netproxy.store.transaction import Transaction

IMMORTAL = frozenset(("default", "kube-public", "kube-system"))
"""Namespaces that every cluster has: they cannot be deleted, and objects may be made in them before they are there."""


_FINALIZER = "kubernetes"


class NamespaceStrategy(Strategy):
    """Its finalizers are in its spec, and only the subresource `finalize` writes them."""

    def first_status(self) -> Object:
        """It is open."""
        return {"phase": "Active"}

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """Nothing that was written down elsewhere about its end counts."""
        finalizers = spec(obj).get("finalizers") or []
        if _FINALIZER not in finalizers:
            finalizers = [*finalizers, _FINALIZER]
        return super().new({**obj, "spec": {**spec(obj), "finalizers": finalizers}})

    def kept(self, obj: Object, old: Object) -> Object:
        """The finalizers."""
        return {**obj, "spec": {**spec(obj), "finalizers": spec(old).get("finalizers") or []}}

    def is_held(self, obj: Object) -> bool:
        """Until it is empty."""
        return bool(spec(obj).get("finalizers"))

    def verdict(self, obj: Object, options: Options, now: float) -> Verdict:
        """At first it is only marked; while its finalizers are there, nothing more happens."""
        if not is_deleting(obj):
            result = verdict(obj, options, 0, now, habits_of(self.resource))
            return Verdict(replace(result.mark, grace_s=None) if result.mark else None)
        return Verdict(is_pending=True) if self.is_held(obj) else super().verdict(obj, options, now)

    def check_meant(self, obj: Object, options: Options) -> None:
        """Raise ConflictError, in words of its own."""
        for what, given, there in (
            ("UID", options.uid, metadata(obj).get("uid")),
            ("ResourceVersion", options.resource_version, metadata(obj).get("resourceVersion")),
        ):
            if given and given != there:
                raise ConflictError(
                    f'Operation cannot be fulfilled on namespaces "{name(obj)}": Precondition failed: {what} in precondition: '
                    f"{given}, {what} in object meta: {there}"
                )

    def marked(self, obj: Object) -> Object:
        """It takes nothing new."""
        return {"status": {**status(obj), "phase": "Terminating"}}

    def check_deletion(self, obj: Object) -> None:
        """Some are there for ever."""
        if name(obj) in IMMORTAL:
            raise ApiError(
                403, "Forbidden", f'namespaces "{name(obj)}" is forbidden: this namespace may not be deleted'
            )


def check_namespace(change: Transaction, resource: Resource, at: NamespacedName) -> None:
    """Raise NotFoundError or ApiError when nothing can be created in this namespace."""
    if not resource.namespaced:
        return
    found = change.find(NAMESPACES, NamespacedName("", at.namespace))
    if found is None and at.namespace not in IMMORTAL:
        missing = NotFoundError(f'namespaces "{at.namespace}" not found')
        raise missing.with_details(name=at.namespace, kind="namespaces")
    if found is not None and is_deleting(found):
        why = f"unable to create new content in namespace {at.namespace} because it is being terminated"
        cause = {
            "reason": "NamespaceTerminating", "message": f"namespace {at.namespace} is being terminated",
            "field": "metadata.namespace",
        }  # fmt: skip
        error = ApiError(403, "Forbidden", f'{resource.group_resource} "{at.name}" is forbidden: {why}')
        raise error.with_details(**resource.details(at.name), causes=[cause])
