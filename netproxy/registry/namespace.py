"""Namespaces: Terminating until a controller has emptied them and taken their finalizer away.

Source: kubernetes pkg/registry/core/namespace, plugin/pkg/admission/lifecycle (in staging/src/k8s.io/apiserver).
"""

from __future__ import annotations

from netproxy.core.errors import ApiError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import NAMESPACES, Resource
from netproxy.objects.meta import Object, is_deleting, name, spec, status
from netproxy.registry.strategy import Strategy
from netproxy.store.transaction import Transaction

IMMORTAL = frozenset(("default", "kube-public", "kube-system"))
"""Namespaces that every cluster has: they cannot be deleted, and objects may be made in them before they are there."""


class NamespaceStrategy(Strategy):
    """Its finalizers are in its spec, and only the subresource `finalize` writes them."""

    def first_status(self) -> Object:
        """It is open."""
        return {"phase": "Active"}

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """Nothing that was written down elsewhere about its end counts."""
        return super().new({**obj, "spec": {**spec(obj), "finalizers": ["kubernetes"]}})

    def kept(self, obj: Object, old: Object) -> Object:
        """The finalizers."""
        return {**obj, "spec": {**spec(obj), "finalizers": spec(old).get("finalizers") or []}}

    def is_held(self, obj: Object) -> bool:
        """Until it is empty."""
        return bool(spec(obj).get("finalizers"))

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
        raise NotFoundError(f'namespaces "{at.namespace}" not found')
    if found is not None and is_deleting(found):
        why = f"unable to create new content in namespace {at.namespace} because it is being terminated"
        raise ApiError(403, "Forbidden", f'{resource.group_resource} "{at.name}" is forbidden: {why}')
