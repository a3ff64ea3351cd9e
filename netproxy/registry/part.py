"""The parts of an object that are written by themselves: which part of what was sent comes into the stored one.

Source: kubernetes pkg/registry/core/pod/strategy.go (dropNonEphemeralContainerUpdates, dropNonResizeUpdates),
pkg/registry/core/namespace/strategy.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netproxy.objects.meta import Object, spec
from netproxy.registry.versions import with_fixed


def finalized(sent: Object, old: Object) -> Object:
    """A Namespace with the finalizers that were sent."""
    fields = {field: value for field, value in spec(old).items() if field != "finalizers"}
    if spec(sent).get("finalizers"):
        fields["finalizers"] = spec(sent)["finalizers"]
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
    fields = {field: value for field, value in spec(old).items() if field != "resources"}
    for group in groups:
        if group in fields:
            fields[group] = _resized(spec(sent)[group], fields[group])
    if "resources" in spec(sent):
        fields["resources"] = spec(sent)["resources"]
    return {**old, "spec": fields}


def _resized(sent: Sequence[Object], old: Sequence[Object]) -> Sequence[Object]:
    if any(new.get("name") != item.get("name") for new, item in zip(sent, old, strict=True)):
        return sent
    sizes = ("resources", "resizePolicy")
    kept = [{field: value for field, value in item.items() if field not in sizes} for item in old]
    return [
        {**item, **{field: new[field] for field in sizes if field in new}} for item, new in zip(kept, sent, strict=True)
    ]


PARTS: dict[str, Callable[[Object, Object], Object]] = {
    "finalize": finalized, "ephemeralcontainers": joined, "resize": resized,
}  # fmt: skip
