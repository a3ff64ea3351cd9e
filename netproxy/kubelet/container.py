"""A container's command and environment.

Source: kubernetes pkg/kubelet/kubelet_pods.go (environment), pkg/kubelet/envvars, third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netproxy.core.names import NamespacedName
from netproxy.kubelet.security import HeldError
from netproxy.kubelet.tokens import Token
from netproxy.objects.decoding import from_base64
from netproxy.objects.meta import Object, annotations_of, key, labels, name, namespace, spec, uid

API = NamespacedName("default", "kubernetes")
"""The Service that leads to the API: every container is told of it."""
_REFERENCE = re.compile(r"\$(\$|\(([^()]+)\))")


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; unknown names stay, `$$` is a dollar.

    >>> expand("$(A)-$(B)-$$(A)", {"A": "1"})
    '1-$(B)-$(A)'
    """
    return _REFERENCE.sub(lambda m: "$" if m[1] == "$" else env.get(m[2], m[0]), text)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a Pod's values come from: the Pod itself, ConfigMaps and Secrets of its namespace."""

    pod: Object
    ips: tuple[str, ...]
    config_map: Callable[[NamespacedName], Object | None]
    secret: Callable[[NamespacedName], Object | None]
    lenient: bool = False
    """What is missing may be, whatever is said of it."""
    tokens: Mapping[Token, str] = field(default_factory=dict)
    """The tokens of its service account that its volumes have."""

    def content(self, kind: str, named: str) -> dict[str, bytes] | None:
        """What is in a ConfigMap or a Secret; None when there is none. Raises HeldError for data that is not base64."""
        find = self.secret if kind == "Secret" else self.config_map
        found = find(NamespacedName(namespace(self.pod), named))
        if found is None:
            return None
        plain = {str(key): str(value) for key, value in (found.get("data") or {}).items()}
        if kind == "Secret":
            return {key: _decoded(value, named) for key, value in plain.items()}
        encoded = {str(key): _decoded(str(value), named) for key, value in (found.get("binaryData") or {}).items()}
        return {key: value.encode() for key, value in plain.items()} | encoded

    def text(self, kind: str, reference: Mapping[str, Any]) -> str | None:
        """One value; None when it is missing and may be. Raises HeldError when it is missing and may not."""
        named, wanted = str(reference.get("name") or ""), str(reference.get("key") or "")
        content = self.content(kind, named)
        if content is not None and wanted in content:
            return content[wanted].decode(errors="replace")
        if reference.get("optional") or self.lenient:
            return None
        if content is None:
            raise HeldError(f'{kind.lower()} "{named}" not found')
        raise HeldError(f"couldn't find key {wanted} in {kind} {namespace(self.pod)}/{named}")

    def all(self, kind: str, reference: Mapping[str, Any]) -> dict[str, bytes]:
        """All of it; nothing when it is missing and may be. Raises HeldError when it may not."""
        named = str(reference.get("name") or reference.get("secretName") or "")
        content = self.content(kind, named)
        if content is None and not (reference.get("optional") or self.lenient):
            raise HeldError(f'{kind.lower()} "{named}" not found')
        return content or {}

    def field(self, path: str) -> str | None:
        """A field of the Pod, as `fieldRef` names it; None for one that cannot be asked for."""
        pod, ips = self.pod, self.ips
        plain = {
            "metadata.name": name(pod), "metadata.namespace": namespace(pod), "metadata.uid": uid(pod),
            "spec.nodeName": spec(pod).get("nodeName", ""), "spec.serviceAccountName": spec(pod).get("serviceAccountName", "default"),
            "status.podIP": ips[0] if ips else "", "status.podIPs": ",".join(ips),
            "metadata.labels": _lines(labels(pod)), "metadata.annotations": _lines(annotations_of(pod)),
        }  # fmt: skip
        if path in plain:
            return str(plain[path])
        found = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
        if found:
            return str((labels(pod) if found[1] == "labels" else annotations_of(pod)).get(found[2], ""))
        return None


def _decoded(text: str, named: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError:
        raise HeldError(f'"{named}" has data that is not base64') from None


def _lines(words: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted(words.items()))


def environment(
    container: Mapping[str, Any], sources: Sources, *, services: Iterable[Object], base: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a container: BASE, service links, `envFrom`, then `env` in order, each seeing the ones before it.

    Raises HeldError when what a variable comes from is missing and may not be.
    """
    env = dict(base)
    has_links = spec(sources.pod).get("enableServiceLinks", True)
    for service in services:
        if has_links or key(service) == API:
            env.update(_service_links(service))
    for item in container.get("envFrom") or ():
        env.update(_all_from(item, sources))
    for item in container.get("env") or ():
        plain = expand(str(item.get("value") or ""), env)
        value = _value_from(item["valueFrom"], sources) if item.get("valueFrom") else plain
        if value is not None:
            env[item["name"]] = value
    return env


def _all_from(item: Mapping[str, Any], sources: Sources) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, reference in (("ConfigMap", item.get("configMapRef")), ("Secret", item.get("secretRef"))):
        if reference:
            content = sources.all(kind, reference)
            found |= {
                f"{item.get('prefix') or ''}{key}": value.decode(errors="replace") for key, value in content.items()
            }
    return found


def _service_links(service: Object) -> dict[str, str]:
    ip = spec(service).get("clusterIP")
    ports = spec(service).get("ports") or ()
    if not ip or ip == "None" or not ports:
        return {}
    prefix = name(service).upper().replace("-", "_")
    env = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for number, port in enumerate(ports):
        protocol = str(port["protocol"])
        if port.get("name"):
            env[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
        url = f"{protocol.lower()}://{f'[{ip}]' if ':' in ip else ip}:{port['port']}"
        one = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
        env |= {one: url, f"{one}_PROTO": protocol.lower(), f"{one}_PORT": str(port["port"]), f"{one}_ADDR": ip}
        if number == 0:
            env[f"{prefix}_PORT"] = url
    return env


def _value_from(source: Mapping[str, Any], sources: Sources) -> str | None:
    if "fieldRef" in source:
        return sources.field(str(source["fieldRef"].get("fieldPath")))
    for kind, reference in (("ConfigMap", source.get("configMapKeyRef")), ("Secret", source.get("secretKeyRef"))):
        if reference is not None:
            return sources.text(kind, reference)
    return None


def command_of(container: Mapping[str, Any], env: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`command` and `args` with variables expanded."""
    command = tuple(expand(str(word), env) for word in container.get("command") or ())
    return command, tuple(expand(str(word), env) for word in container.get("args") or ())
