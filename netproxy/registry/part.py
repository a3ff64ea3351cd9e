"""The parts of an object that are written by themselves: which part of what was sent comes into the stored one.

Source: kubernetes pkg/registry/core/pod/strategy.go (dropNonEphemeralContainerUpdates, dropNonResizeUpdates),
pkg/registry/core/namespace/strategy.go.
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.meta import Object, spec
from netproxy.registry.versions import with_fixed


def finalized(sent: Object, old: Object) -> Object:
    """A Namespace with the finalizers that were sent."""
    fields = {**spec(old), "finalizers": spec(sent).get("finalizers") or []}
    return {**with_fixed(sent, old), "spec": fields, "status": old.get("status") or {}}


def joined(sent: Object, old: Object) -> Object:
    """A Pod with the ephemeral containers that were sent."""
    fields = {field: value for field, value in spec(old).items() if field != "ephemeralContainers"}
    if spec(sent).get("ephemeralContainers"):
        fields["ephemeralContainers"] = spec(sent)["ephemeralContainers"]
    return {**old, "spec": fields}


def resized(sent: Object, old: Object) -> Object:
    """A Pod with the sizes that were sent; one with other containers is as it was sent, and will be refused."""
    groups = ("containers", "initContainers")
    if any(len(spec(sent).get(group) or ()) != len(spec(old).get(group) or ()) for group in groups):
        return {**sent, "metadata": old["metadata"]}
    fields = {**spec(old)}
    for group in groups:
        if group in fields:
            before = {item["name"]: item for item in fields[group]}
            fields[group] = [_resized(item, before.get(item.get("name"))) for item in spec(sent)[group]]
    if "resources" in spec(sent):
        fields["resources"] = spec(sent)["resources"]
    return {**old, "spec": fields}


def _resized(sent: Object, old: Object | None) -> Object:
    if old is None:
        return sent
    kept = {field: value for field, value in old.items() if field not in ("resources", "resizePolicy")}
    return {**kept, **{field: sent[field] for field in ("resources", "resizePolicy") if field in sent}}


PARTS: dict[str, Callable[[Object, Object], Object]] = {
    "finalize": finalized, "ephemeralcontainers": joined, "resize": resized,
}  # fmt: skip
