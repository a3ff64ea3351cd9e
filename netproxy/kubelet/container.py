"""A container's command and environment.

Source: kubernetes pkg/kubelet/kubelet_pods.go (environment), third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netproxy.core.names import NamespacedName
from netproxy.objects.meta import Object, annotations_of, labels, name, namespace, spec, uid

_REFERENCE = re.compile(r"\$(\$|\(([^()]+)\))")


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; unknown names stay, `$$` is a dollar.

    >>> expand("$(A)-$(B)-$$(A)", {"A": "1"})
    '1-$(B)-$(A)'
    """
    return _REFERENCE.sub(lambda m: "$" if m[1] == "$" else env.get(m[2], m[0]), text)


def environment(
    pod: Object, container: Mapping[str, Any], *, ips: tuple[str, ...], services: Iterable[Object],
    config_map: Callable[[NamespacedName], Object | None], base: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """The variables of a container: BASE, service links, then `env` in order, each seeing the ones before it."""
    env = dict(base)
    if spec(pod).get("enableServiceLinks", True):
        for service in services:
            env.update(_service_links(service))
    for item in container.get("env") or ():
        plain = expand(str(item.get("value") or ""), env)
        value = _value_from(item["valueFrom"], pod, ips, config_map) if "valueFrom" in item else plain
        if value is not None:
            env[item["name"]] = value
    return env


def _service_links(service: Object) -> dict[str, str]:
    ip = spec(service).get("clusterIP")
    ports = spec(service).get("ports") or ()
    if not ip or ip == "None" or not ports:
        return {}
    prefix = name(service).upper().replace("-", "_")
    first = ports[0]
    return {
        f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first["port"]),
        f"{prefix}_PORT": f"{first['protocol'].lower()}://{ip}:{first['port']}",
        **{f"{prefix}_SERVICE_PORT_{p['name'].upper().replace('-', '_')}": str(p["port"]) for p in ports if p.get("name")},
    }  # fmt: skip


def _value_from(
    source: Mapping[str, Any],
    pod: Object,
    ips: tuple[str, ...],
    config_map: Callable[[NamespacedName], Object | None],
) -> str | None:
    if "fieldRef" in source:
        return _field(str(source["fieldRef"].get("fieldPath")), pod, ips)
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        found = config_map(NamespacedName(namespace(pod), reference.get("name", "")))
        value = ((found or {}).get("data") or {}).get(reference.get("key"))
        return None if value is None else str(value)
    return None


def _field(path: str, pod: Object, ips: tuple[str, ...]) -> str | None:
    plain = {
        "metadata.name": name(pod), "metadata.namespace": namespace(pod), "metadata.uid": uid(pod),
        "spec.nodeName": spec(pod).get("nodeName", ""), "spec.serviceAccountName": spec(pod).get("serviceAccountName", "default"),
        "status.podIP": ips[0] if ips else "", "status.podIPs": ",".join(ips),
    }  # fmt: skip
    if path in plain:
        return str(plain[path])
    found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if found:
        return str((labels(pod) if found[1] == "labels" else annotations_of(pod)).get(found[2], ""))
    return None


def command_of(container: Mapping[str, Any], env: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`command` and `args` with variables expanded."""
    command = tuple(expand(str(word), env) for word in container.get("command") or ())
    return command, tuple(expand(str(word), env) for word in container.get("args") or ())
