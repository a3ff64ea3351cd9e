"""What is filled into Pods and Pod templates.

The object is in canonical form: what is not there was not set.

Source: kubernetes pkg/apis/core/v1/defaults.go, zz_generated.defaults.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netproxy.objects.defaulting.volumes import pull_policy, volume
from netproxy.objects.meta import Object
from netproxy.objects.resources import aggregated, is_huge_page

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_COUNTED = ("cpu", "memory")
_GROUPS = ("initContainers", "containers", "ephemeralContainers")


def _pod(obj: Object) -> Object:
    filled = {**obj, "spec": _own(pod_spec(obj.get("spec") or {}))}
    return {**filled, "status": _addressed(filled["status"])} if filled.get("status") else filled


def _addressed(status: Object) -> Object:
    """Of a Pod's addresses, the one that stands alone counts; it is the first one otherwise."""
    address = status.get("podIP") or ""
    addresses: Sequence[Object] = status.get("podIPs") or ({},)
    first = addresses[0].get("ip") or ""
    if first == address:
        return status
    return {**status, "podIPs": [{"ip": address}]} if address else {**status, "podIP": first}


def pod_spec(spec: Object) -> Object:
    """Fill a Pod's spec, or the spec inside a template."""
    filled: Object = {
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler", "securityContext": {}, **spec,
    }  # fmt: skip
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        filled["serviceAccountName"] = filled["serviceAccount"] = account
    for group in _GROUPS:
        if spec.get(group):
            filled[group] = [_container(container) for container in spec[group]]
    if spec.get("volumes"):
        filled["volumes"] = [volume(item) for item in spec["volumes"]]
    return filled


def pod_template(template: Object) -> Object:
    """Fill a Pod template."""
    return {**template, "spec": pod_spec(template.get("spec") or {})}


def _own(spec: Object) -> Object:
    """What is filled into a Pod and not into a template."""
    spec.setdefault("enableServiceLinks", True)
    if spec["terminationGracePeriodSeconds"] < 0:
        spec["terminationGracePeriodSeconds"] = 1
    for group in ("containers", "initContainers"):
        for container in spec.get(group) or ():  # these are copies
            _fill_requests(container)
            if spec.get("hostNetwork") and container.get("ports"):
                container["ports"] = [
                    {**({"hostPort": port["containerPort"]} if port.get("containerPort") else {}), **port}
                    for port in container["ports"]
                ]
    if spec.get("resources"):
        spec["resources"] = _of_all(spec, spec["resources"])
    return spec


def _fill_requests(container: Object) -> None:
    """What is limited and not asked for is asked for as far as it is limited."""
    resources = container.get("resources") or {}
    if resources.get("limits"):
        requests = {**resources["limits"], **(resources.get("requests") or {})}
        container["resources"] = {**resources, "requests": requests}


def _of_all(spec: Object, resources: Object) -> Object:
    """Resources of the whole Pod: what they leave open follows from its containers."""
    limits, requests = dict(resources.get("limits") or {}), dict(resources.get("requests") or {})
    if not limits and not requests:
        return resources
    for key, text in aggregated(spec, "limits").items():
        if is_huge_page(key) and key not in requests:
            limits.setdefault(key, text)
    if limits:
        asked = {key: text for key, text in aggregated(spec, "requests").items() if key in _COUNTED}
        capped = {key: text for key, text in limits.items() if key in _COUNTED or is_huge_page(key)}
        requests = {**capped, **asked, **requests}
    found = {"limits": limits, "requests": requests}
    return {**resources, **{key: value for key, value in found.items() if value}}


def _container(container: Object) -> Object:
    filled = {
        "imagePullPolicy": pull_policy(str(container.get("image") or "")), "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", **container,
    }  # fmt: skip
    if container.get("ports"):
        filled["ports"] = [{"protocol": "TCP", **port} for port in container["ports"]]
    if container.get("env"):
        filled["env"] = [_variable(item) for item in container["env"]]
    for probe in _PROBES:
        if container.get(probe) is not None:
            filled[probe] = _probe(container[probe])
    if container.get("lifecycle"):
        filled["lifecycle"] = {
            when: _action(act) if when in ("postStart", "preStop") else act
            for when, act in container["lifecycle"].items()
        }
    return filled


_SOURCES: dict[str, Object] = {"fieldRef": {"apiVersion": "v1"}, "fileKeyRef": {"optional": False}}


def _variable(item: Object) -> Object:
    source = item.get("valueFrom") or {}
    filled = {kind: {**_SOURCES[kind], **source[kind]} for kind in _SOURCES if source.get(kind) is not None}
    return {**item, "valueFrom": {**source, **filled}} if filled else item


def _probe(probe: Object) -> Object:
    return _action({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3, **probe})


def _action(act: Object) -> Object:
    """A probe or a hook, with what its kind of request says when nothing else is said."""
    if act.get("httpGet") is not None:
        act = {**act, "httpGet": {"path": "/", "scheme": "HTTP", **act["httpGet"]}}
    if act.get("grpc") is not None:
        act = {**act, "grpc": {"service": "", **act["grpc"]}}
    return act


def _pod_template(obj: Object) -> Object:
    return {**obj, "template": pod_template(obj.get("template") or {})}


FILLERS: dict[str, Callable[[Object], Object]] = {"Pod": _pod, "PodTemplate": _pod_template}
