"""How much an object uses of what a ResourceQuota limits, and which of them a quota is about.

Source: kubernetes 1.36 pkg/quota/v1/evaluator/core/{pods,services,persistent_volume_claims}.go,
staging/src/k8s.io/apiserver/pkg/quota/v1/generic/evaluator.go, staging/src/k8s.io/component-helpers/resource/helpers.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netproxy.core.clock import seconds
from netproxy.objects.amount import Amount, amount
from netproxy.objects.kinds import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICES,
    Resource,
)
from netproxy.objects.meta import Object, annotations_of, metadata, spec, status
from netproxy.objects.resources import Amounts, added, amounts, asked, greatest, is_huge_page, quality, together
from netproxy.objects.validation.resources import is_extended

UNCOUNTED = frozenset(("events",))
"""The keys of resources that no quota counts."""
_ONE, _NONE = amount("1"), amount("0")
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_OF_PODS = frozenset(
    ("pods", "count/pods", *_COMPUTE, *(f"{side}.{name}" for side in ("requests", "limits") for name in _COMPUTE))
)
_REQUIRED = frozenset((*_COMPUTE[:2], *(f"{side}.{name}" for side in ("requests", "limits") for name in _COMPUTE[:2])))
"""What every container has to say when a quota is about it."""
_OF_SERVICES = frozenset(("services", "count/services", "services.nodeports", "services.loadbalancers"))
_OF_CLAIMS = ("persistentvolumeclaims", "requests.storage")
_OF_CLASS = ".storageclass.storage.k8s.io/"
_DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"
_BY_ITS_NAME = (CONFIG_MAPS, RESOURCE_QUOTAS, REPLICATION_CONTROLLERS, SECRETS)
"""Resources that are counted under their own name, too."""

Requirement = Mapping[str, Any]


def count_of(resource: Resource) -> str:
    """What the number of objects is called.

    >>> from netproxy.objects.kinds import DEPLOYMENTS
    >>> count_of(DEPLOYMENTS)
    'count/deployments.apps'
    """
    return f"count/{resource.group_resource}"


def usage(resource: Resource, obj: Object, now: float) -> Amounts:
    """What an object uses. NOW is in seconds since the epoch."""
    measure = _MEASURES.get(resource)
    if measure is not None:
        return measure(obj, now)
    return dict.fromkeys((count_of(resource), *((resource.plural,) if resource in _BY_ITS_NAME else ())), _ONE)


def concerned(resource: Resource, names: Iterable[str]) -> list[str]:
    """Those of the names in a quota of which objects of this resource use something, sorted."""
    is_used = _USED.get(resource)
    if is_used is None:
        own = usage(resource, {}, 0)
        return sorted(name for name in names if name in own)
    return sorted(name for name in names if is_used(name))


def is_in_scope(resource: Resource, quota: Object, obj: Object) -> bool:
    """Whether an object is in all scopes of a quota."""
    wanted: list[Requirement] = [
        {"scopeName": scope, "operator": "Exists"} for scope in spec(quota).get("scopes") or ()
    ]
    wanted += (spec(quota).get("scopeSelector") or {}).get("matchExpressions") or ()
    matches = _MATCHES.get(resource)
    return all(matches is not None and matches(requirement, obj) for requirement in wanted)


def unsaid(names: Iterable[str], pod: Object) -> str:
    """What a Pod's containers must say for a quota of these names and do not, in the server's words; empty when nothing."""
    if _of_pod_alone(spec(pod), "requests") or _of_pod_alone(spec(pod), "limits"):
        return ""
    missing: dict[str, set[str]] = {}
    for group in ("containers", "initContainers"):
        for container in spec(pod).get(group) or ():
            said = _computed(asked(container, "requests"), asked(container, "limits"))
            for name in _REQUIRED.intersection(names) - said.keys():
                missing.setdefault(name, set()).add(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


def is_terminating(pod: Object) -> bool:
    """Whether a Pod is one that ends by itself, in the words of a quota's scopes."""
    return spec(pod).get("activeDeadlineSeconds") is not None


def overdue_at(pod: Object) -> float | None:
    """When a Pod that is to go should have gone for so long that nobody waits for it; None when it is not to go."""
    end, grace_s = metadata(pod).get("deletionTimestamp"), metadata(pod).get("deletionGracePeriodSeconds")
    return seconds(end) + grace_s if end and grace_s is not None else None


# --- Pods


def _pod(pod: Object, now: float) -> Amounts:
    counted = {"count/pods": _ONE}
    end = overdue_at(pod)
    if status(pod).get("phase") in ("Succeeded", "Failed") or (end is not None and now > end):
        return counted
    return {**counted, **_computed(_requests(pod), _limits(pod))}


def _computed(requests: Amounts, limits: Amounts) -> Amounts:
    result = {"pods": _ONE}
    for name in _COMPUTE:
        if name in requests:
            result[name] = result[f"requests.{name}"] = requests[name]
        if name in limits:
            result[f"limits.{name}"] = limits[name]
    for name, found in requests.items():
        if is_huge_page(name):
            result[name] = result[f"requests.{name}"] = found
        elif is_extended(name) or name.startswith(_DEVICE_CLASS):
            result[f"requests.{name}"] = found
    return result


def _requests(pod: Object) -> Amounts:
    def needed(container: Mapping[str, Any]) -> Amounts:
        run = _run(pod, container)
        if run is None:
            return asked(container, "requests")
        there = greatest(asked(run, "requests"), amounts(run.get("allocatedResources")))
        return there if _is_too_large(pod) else greatest(asked(container, "requests"), there)

    return added(
        {**together(spec(pod), needed), **_of_pod_alone(spec(pod), "requests")}, amounts(spec(pod).get("overhead"))
    )


def _limits(pod: Object) -> Amounts:
    def capped(container: Mapping[str, Any]) -> Amounts:
        run = _run(pod, container)
        if run is None:
            return asked(container, "limits")
        return (
            asked(run, "limits") if _is_too_large(pod) else greatest(asked(container, "limits"), asked(run, "limits"))
        )

    total = {**together(spec(pod), capped), **_of_pod_alone(spec(pod), "limits")}
    beside = amounts(spec(pod).get("overhead"))
    return added(total, {name: found for name, found in beside.items() if name in total and total[name].nano})


def _run(pod: Object, container: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is known of the sizes with which a container runs; those of an init container that ends do not count."""
    is_init = any(item is container for item in spec(pod).get("initContainers") or ())
    if is_init and container.get("restartPolicy") != "Always":
        return None
    found: list[Mapping[str, Any]] = [*(status(pod).get("containerStatuses") or ())]
    found += status(pod).get("initContainerStatuses") or ()
    return next((item for item in found if item["name"] == container["name"] and item.get("resources")), None)


def _is_too_large(pod: Object) -> bool:
    """Whether it wants another size that its node can never give."""
    waiting = [item for item in status(pod).get("conditions") or () if item.get("type") == "PodResizePending"]
    return bool(waiting) and waiting[0].get("reason") == "Infeasible"


def _of_pod_alone(wanted: Mapping[str, Any], side: str) -> Amounts:
    """What is said of the Pod as a whole."""
    return {name: found for name, found in asked(wanted, side).items() if name in _COMPUTE[:2] or is_huge_page(name)}


def _is_of_pods(name: str) -> bool:
    if name in _OF_PODS or name.startswith(("hugepages-", "requests.hugepages-")):
        return True
    native = "/" not in name or "kubernetes.io/" in name
    return name.startswith("requests.") and (not native or name.startswith(f"requests.{_DEVICE_CLASS}"))


def _matches_pod(requirement: Requirement, pod: Object) -> bool:
    scope, fields = str(requirement["scopeName"]), spec(pod)
    if scope == "PriorityClass":
        name = fields.get("priorityClassName")
        return _fits(requirement, [name] if name else [])
    answers: dict[str, bool] = {
        "Terminating": is_terminating(pod), "BestEffort": quality(fields) == "BestEffort",
        "CrossNamespacePodAffinity": _is_near_others(fields.get("affinity") or {}),
    }  # fmt: skip
    return not answers[scope[3:]] if scope.startswith("Not") else answers.get(scope, False)


def _is_near_others(affinity: Mapping[str, Any]) -> bool:
    """Whether it matters to it where Pods of other namespaces are."""
    terms: list[Mapping[str, Any]] = []
    for side in (affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}):
        terms += side.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = side.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [item["podAffinityTerm"] for item in preferred]
    return any(bool(term.get("namespaces")) or term.get("namespaceSelector") is not None for term in terms)


def _fits(requirement: Requirement, names: list[str]) -> bool:
    """Whether one of the names (or that there is none) is as a scope wants it."""
    operator, values = requirement["operator"], requirement.get("values") or ()
    if operator == "In":
        return any(name in values for name in names)
    if operator == "NotIn":
        return not names or any(name not in values for name in names)
    return bool(names) is bool(operator == "Exists")


# --- Services, claims


def _service(service: Object, _: float) -> Amounts:
    wanted = spec(service)
    ports, kind = wanted.get("ports") or [], wanted.get("type")
    if kind == "LoadBalancer" and wanted.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    return {
        "count/services": _ONE, "services": _ONE, "services.loadbalancers": _ONE if kind == "LoadBalancer" else _NONE,
        "services.nodeports": amount(str(len(ports))) if kind in ("NodePort", "LoadBalancer") else _NONE,
    }  # fmt: skip


def _claim(claim: Object, _: float) -> Amounts:
    names = ["", *_storage_class(claim)]
    result = {"count/persistentvolumeclaims": _ONE}
    result |= {f"{name}persistentvolumeclaims": _ONE for name in names}
    storage = asked(spec(claim), "requests").get("storage")
    if storage is not None:
        given = amounts(status(claim).get("allocatedResources")).get("storage", storage)
        used = _whole(given if given.nano > storage.nano else storage)
        result |= {f"{name}requests.storage": used for name in names}
    return result


def _storage_class(claim: Object) -> list[str]:
    """The beginning of the names of what is counted for the claim's class, if it has one."""
    named = annotations_of(claim).get("volume.beta.kubernetes.io/storage-class", spec(claim).get("storageClassName"))
    return [f"{named}{_OF_CLASS}"] if named else []


def _whole(size: Amount) -> Amount:
    return size if size.is_whole else Amount(size.value * 10**9, size.form)


def _is_of_claims(name: str) -> bool:
    own = name in ("count/persistentvolumeclaims", *_OF_CLAIMS)
    return own or name.endswith(tuple(f"{_OF_CLASS}{part}" for part in _OF_CLAIMS))


def _matches_claim(requirement: Requirement, claim: Object) -> bool:
    if requirement["scopeName"] != "VolumeAttributesClass":
        return False
    asked_for = (status(claim).get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName")
    named = (
        spec(claim).get("volumeAttributesClassName"),
        status(claim).get("currentVolumeAttributesClassName"),
        asked_for,
    )
    return _fits(requirement, [name for name in named if name])


_MEASURES: dict[Resource, Callable[[Object, float], Amounts]] = {
    PODS: _pod, SERVICES: _service, PERSISTENT_VOLUME_CLAIMS: _claim,
}  # fmt: skip
MEASURED = frozenset(_MEASURES)
"""Resources of which an object may use more or less in the course of its life; of others, one is one."""
_USED: dict[Resource, Callable[[str], bool]] = {
    PODS: _is_of_pods, SERVICES: lambda name: name in _OF_SERVICES, PERSISTENT_VOLUME_CLAIMS: _is_of_claims,
}  # fmt: skip
_MATCHES: dict[Resource, Callable[[Requirement, Object], bool]] = {
    PODS: _matches_pod, PERSISTENT_VOLUME_CLAIMS: _matches_claim,
}  # fmt: skip
