"""Pods: bound once, changed hardly, ended gracefully.

Source: kubernetes pkg/registry/core/pod/strategy.go and storage/storage.go (binding), pkg/apis/core/validation.
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, metadata, spec, status
from netproxy.registry.deletion import Options
from netproxy.registry.disabled import without_disabled_reports
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.podadmission import Classes, admitted, first_status, tolerations, with_armor
from netproxy.registry.strategy import Strategy


class PodStrategy(Strategy):
    """Its node finishes the deletion."""

    def __init__(self, resource: Resource, classes: Classes, now: Callable[[], str]) -> None:
        super().__init__(resource)
        self._classes = classes
        self._now = now

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """With what admission adds; it waits for a node."""
        pod = admitted(super().new(obj, with_status=with_status), self._classes())
        said = status(pod) if with_status else {}
        return {**pod, "status": {**first_status(pod, self._now()), **said}}

    def kept(self, obj: Object, old: Object) -> Object:
        """With its priority."""
        before = {field: spec(old)[field] for field in ("priority", "preemptionPolicy") if field in spec(old)}
        return {**obj, "spec": {**before, **spec(obj)}}

    def updated(self, obj: Object, old: Object) -> Object:
        """With tolerations for a node that is lost, which it has from its creation on."""
        new = super().updated(obj, old)
        return {**new, "spec": {**spec(new), "tolerations": tolerations(spec(new).get("tolerations") or [])}}

    def settled(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> Object:
        """A new one's annotations of AppArmor become fields."""
        new = super().settled(new, old, options)
        return new if old is not None else with_armor(new, options.warn)

    def reported(self, obj: Object, old: Object) -> Object:
        """Its owners, and what it is promised, are not said by its status; what was observed is not forgotten."""
        new = super().reported(obj, old)
        meta = {field: value for field, value in metadata(new).items() if field != "ownerReferences"}
        if metadata(old).get("ownerReferences"):
            meta["ownerReferences"] = metadata(old)["ownerReferences"]
        kept = {field: status(old)[field] for field in ("qosClass", "observedGeneration") if field in status(old)}
        return {**new, "metadata": meta, "status": {**kept, **without_disabled_reports(status(new))}}

    def grace_s(self, obj: Object, options: Options) -> int | None:
        """What is asked for, or its own; none when nothing of it runs."""
        if not spec(obj).get("nodeName") or status(obj).get("phase") in ("Succeeded", "Failed"):
            return 0
        grace_s = options.grace_s
        if grace_s is None:
            grace_s = spec(obj).get("terminationGracePeriodSeconds") or 0
        return 1 if grace_s < 0 else grace_s
