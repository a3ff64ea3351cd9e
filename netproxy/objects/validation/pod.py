"""What is refused about a Pod, and about the Pod of a template.

Source: kubernetes pkg/apis/core/validation/validation.go (behaviour, not code).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_label
from netproxy.core.net import is_address
from netproxy.objects.meta import Object
from netproxy.objects.podspec import env_problems, mount_problems, user_problems, volume_problems
from netproxy.objects.validation.metadata import label_problems
from netproxy.objects.validation.words import PROTOCOLS, Problems, invalid, one_of, port_or_name, required
from netproxy.objects.validation.words import port as port_number


def pod_problems(obj: Object) -> Problems:
    yield from pod_spec_problems(obj.get("spec") or {}, "spec")
    for index, item in enumerate((obj.get("status") or {}).get("podIPs") or ()):
        if not is_address(item.get("ip")):
            yield invalid(f"status.podIPs[{index}].ip", item.get("ip") or "", "must be a valid IP address")


def pod_spec_problems(spec: Mapping[str, Any], path: str) -> Problems:
    containers = spec.get("containers") or ()
    if not containers:
        yield required(f"{path}.containers")
    yield from label_problems(spec.get("nodeSelector"), f"{path}.nodeSelector")
    names: set[str] = set()
    for group in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            place = f"{path}.{group}[{index}]"
            yield from _container(container, place)
            yield from mount_problems(container, spec.get("volumes") or (), place)
            name = container.get("name") or ""
            if name in names:
                yield Problem(f"{place}.name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
            names.add(name)
    yield from volume_problems(spec, path)
    yield from user_problems(spec, path)
    yield from one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    policy = spec.get("dnsPolicy")
    yield from one_of(f"{path}.dnsPolicy", policy, ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"))
    if policy == "None" and not (spec.get("dnsConfig") or {}).get("nameservers"):
        yield required(
            f"{path}.dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"
        )
    for field in ("hostname", "subdomain"):
        if spec.get(field) and not is_dns_label(spec[field]):
            yield invalid(f"{path}.{field}", spec[field], "must be a lowercase RFC 1123 label")


def _container(container: Mapping[str, Any], path: str) -> Problems:
    name = container.get("name")
    if not name:
        yield required(f"{path}.name")
    elif not is_dns_label(name):
        yield invalid(f"{path}.name", name, "must be a lowercase RFC 1123 label")
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from env_problems(container, path)
    yield from user_problems(container, path)
    for index, port in enumerate(container.get("ports") or ()):
        yield from port_number(f"{path}.ports[{index}].containerPort", port.get("containerPort"))
        yield from one_of(f"{path}.ports[{index}].protocol", port.get("protocol"), PROTOCOLS)
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if container.get(probe):
            yield from _probe(container[probe], f"{path}.{probe}")


def _probe(probe: Mapping[str, Any], path: str) -> Problems:
    handlers = [kind for kind in ("httpGet", "tcpSocket", "exec", "grpc") if probe.get(kind)]
    if not handlers:
        yield required(path, "must specify a handler type")
    for kind in ("httpGet", "tcpSocket"):
        if kind in handlers:
            yield from port_or_name(f"{path}.{kind}.port", probe[kind].get("port"))
    for field in ("periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"):
        if probe.get(field) is not None and probe[field] < 1:
            yield invalid(f"{path}.{field}", probe[field], "must be greater than 0")
