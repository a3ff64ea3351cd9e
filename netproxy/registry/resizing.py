"""Which new sizes of a Pod its node can give.

Source: kubernetes 1.36 plugin/pkg/admission/{nodedeclaredfeatures,podresize},
staging/src/k8s.io/component-helpers/nodedeclaredfeatures (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.core.names import NamespacedName, quoted
from netproxy.objects.kinds import NODES, PODS
from netproxy.objects.meta import Object, labels, name, spec, status
from netproxy.objects.resources import added, amounts, asked, together
from netproxy.registry.refusal import forbidden
from netproxy.store.transaction import Transaction

_SYSTEM = "kubernetes.io/os"
_POD_FEATURE = "InPlacePodLevelResourcesVerticalScaling"
_INIT_FEATURE = "InPlacePodVerticalScalingInitContainers"

Part = Mapping[str, Any]


def check_resize(change: Transaction, pod: Object, old: Object) -> None:
    """Raise ApiError (403) for a Pod with a new size when its node does not know how, or is too small."""
    on = spec(pod).get("nodeName")
    if not on or spec(pod) == spec(old):
        return
    node = change.find(NODES, NamespacedName("", on))
    if node is None:
        raise forbidden(PODS, name(pod), f"node {quoted(on)} not found")
    has = status(node).get("declaredFeatures") or ()
    lacks = [feature for feature in _needed(spec(pod), spec(old)) if feature not in has]
    if lacks:
        why = f"pod update requires features {', '.join(lacks)} which are not available on node {quoted(on)}"
        raise forbidden(PODS, name(pod), why)
    system = labels(node).get(_SYSTEM, "linux")
    if system != "linux":
        why = f"pod resize is only supported on linux nodes, node {quoted(on)} is {quoted(system)}"
        raise _refused(pod, why, "UnsupportedPlatform")
    short = "; ".join(_missing(spec(pod), node))
    if short:
        raise _refused(pod, f"node didn't have enough allocatable resources: {short}", "NodeCapacity")


def _refused(pod: Object, why: str, reason: str) -> Exception:
    return forbidden(PODS, name(pod), why).with_details(**PODS.details(name(pod)), causes=[{"reason": reason}])


def _needed(given: Part, before: Part) -> Iterator[str]:
    """What a node must say that it can do."""
    if given.get("resources") != before.get("resources"):
        yield _POD_FEATURE
    pairs = zip(given.get("initContainers") or (), before.get("initContainers") or (), strict=True)
    if any(new != old and old.get("restartPolicy") != "Always" for new, old in pairs):
        yield _INIT_FEATURE


def _missing(given: Part, node: Object) -> Iterator[str]:
    """Of what the Pod asks for more than there is."""
    wanted = {**together(given, lambda container: asked(container, "requests")), **asked(given, "requests")}
    wanted = added(wanted, amounts(given.get("overhead")))
    there = amounts({"cpu": "0", "memory": "0", **(status(node).get("allocatable") or {})})
    for resource, unit in (("cpu", 10**6), ("memory", 10**9)):
        most, least = there[resource].nano, wanted[resource].nano if resource in wanted else 0
        if least > most:
            yield f"{resource}, requested: {-(-least // unit)}, allocatable: {-(-most // unit)}"
