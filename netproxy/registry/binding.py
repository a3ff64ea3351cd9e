"""A Pod on its node, and what else is said of a Pod at once with it.

Source: kubernetes 1.36 pkg/registry/core/pod/storage/storage.go (BindingREST), pkg/api/pod/util.go (UpdatePodCondition).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import ApiError, ConflictError
from netproxy.objects.meta import Object, annotations_of, labels, metadata, name, spec, status


def check_binding(binding: Object, pod: str) -> None:
    """Raise ApiError for a binding that is not of this Pod, or to nothing."""
    if name(binding) != pod:
        raise ApiError(400, "BadRequest", "name in URL does not match name in Binding object")
    target = binding.get("target") or {}
    wrong = []
    if target.get("kind") not in (None, "", "Node"):
        wrong.append(f'target.kind: Unsupported value: "{target["kind"]}": supported values: "Node", "<empty>"')
    if not target.get("name"):
        wrong.append("target.name: Required value")
    if wrong:
        raise ApiError(500, "", wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")


def bound(
    pod: Object, node: str, now: str, binding: Object | None = None, where: Mapping[str, str] | None = None
) -> Object:
    """The Pod on its node, with the labels and annotations of its binding, and the labels that say WHERE the node is.

    Raises ConflictError when it has a node, waits for a gate, or is on its way out.
    """
    why = _hindrance(pod)
    if why:
        said = f'Operation cannot be fulfilled on pods/binding "{name(pod)}": pod {name(pod)} {why}'
        raise ConflictError(said).with_details(kind="pods/binding", name=name(pod))
    meta = dict(metadata(pod))
    for field, more in (
        ("annotations", annotations_of(binding or {})),
        ("labels", {**labels(binding or {}), **(where or {})}),
    ):
        if more:
            meta[field] = {**(meta.get(field) or {}), **more}
    seen = {field: value for field, value in status(pod).items() if field != "nominatedNodeName"}
    placed = {**pod, "metadata": meta, "spec": {**spec(pod), "nodeName": node}, "status": seen}
    return with_condition(placed, {"type": "PodScheduled", "status": "True"}, now)


def _hindrance(pod: Object) -> str:
    if metadata(pod).get("deletionTimestamp"):
        return "is being deleted, cannot be assigned to a host"
    if spec(pod).get("nodeName"):
        return f'is already assigned to node "{spec(pod)["nodeName"]}"'
    return "has non-empty .spec.schedulingGates" if spec(pod).get("schedulingGates") else ""


def with_condition(pod: Object, wanted: Mapping[str, Any], now: str) -> Object:
    """The Pod with a condition; it is in it since now, unless it was before."""
    there = list(status(pod).get("conditions") or ())
    at = next((index for index, item in enumerate(there) if item.get("type") == wanted["type"]), None)
    before = there[at] if at is not None else {}
    since = before.get("lastTransitionTime") if before.get("status") == wanted["status"] else now
    new = {"lastProbeTime": before.get("lastProbeTime"), "lastTransitionTime": since, **wanted}
    if at is None:
        there.append(new)
    else:
        there[at] = new
    return {**pod, "status": {**status(pod), "conditions": there}}
