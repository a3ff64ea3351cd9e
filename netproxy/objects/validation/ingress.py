"""What is refused about an Ingress and an IngressClass.

Source: kubernetes pkg/apis/networking/validation/validation.go, pkg/registry/networking/ingress/strategy.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netproxy.core.net import sloppy_address
from netproxy.objects.meta import Object, annotations_of, spec, status
from netproxy.objects.validation.addresses import address_problems, address_warnings
from netproxy.objects.validation.names import (
    dns_label,
    dns_subdomain,
    http_path,
    path_segment,
    port_name,
    size,
    wildcard_subdomain,
)
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.servicestatus import host_problems
from netproxy.objects.validation.words import (
    Problems,
    forbidden,
    invalid,
    invalids,
    port,
    required,
    too_long,
    unchanged,
    unsupported,
)

_CLASS = "kubernetes.io/ingress.class"
_SEQUENCES, _SUFFIXES = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_NO_IP = "must be a DNS name, not an IP address"
_LONGEST_CONTROLLER = 250

Part = Mapping[str, Any]


def _ingress(obj: Object, meta: Found) -> Problems:
    yield from meta
    given = spec(obj)
    rules, backend = given.get("rules") or (), given.get("defaultBackend")
    if not rules and backend is None:
        yield invalid("spec", given.get("rules"), "either `defaultBackend` or `rules` must be specified")
    if backend is not None:
        yield from _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        yield from _rule(rule, f"spec.rules[{index}]")
    for index, item in enumerate(given.get("tls") or ()):
        yield from _tls(item, f"spec.tls[{index}]")
    if (name := given.get("ingressClassName")) is not None:
        yield from invalids("spec.ingressClassName", name, dns_subdomain(name))


def _rule(rule: Part, path: str) -> Problems:
    if host := rule.get("host"):
        if sloppy_address(host):
            yield invalid(f"{path}.host", host, _NO_IP)
        yield from _host(host, f"{path}.host")
    http = rule.get("http")
    if http is None:
        return
    paths = http.get("paths") or ()
    if not paths:
        yield required(f"{path}.http.paths")
    for index, item in enumerate(paths):
        yield from _path(item, f"{path}.http.paths[{index}]")


def _host(host: str, path: str) -> Problems:
    yield from invalids(path, host, wildcard_subdomain(host) if "*" in host else dns_subdomain(host))


def _path(item: Part, path: str) -> Problems:
    kind, text, place = item.get("pathType"), item.get("path") or "", f"{path}.path"
    if kind is None:
        yield required(f"{path}.pathType", "pathType must be specified")
        return
    if kind in ("Exact", "Prefix"):
        if not text.startswith("/"):
            yield invalid(place, text, "must be an absolute path")
        yield from invalids(place, text, (f"must not contain '{part}'" for part in _SEQUENCES if part in text))
        yield from invalids(place, text, (f"cannot end with '{part}'" for part in _SUFFIXES if text.endswith(part)))
    elif kind not in _PATH_TYPES:
        yield unsupported(f"{path}.pathType", kind, _PATH_TYPES)
    elif text and not text.startswith("/"):
        yield invalid(place, text, "must be an absolute path")
    yield from _backend(item.get("backend") or {}, f"{path}.backend")


def _backend(backend: Part, path: str) -> Problems:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from _reference(resource, f"{path}.resource")
    elif service is not None:
        yield from _service(service, path)
    else:
        yield invalid(path, "", "resource or service backend is required")


def _service(service: Part, path: str) -> Problems:
    name, at = service.get("name"), service.get("port") or {}
    if name:
        yield from invalids(f"{path}.service.name", name, dns_label(name))
    else:
        yield required(f"{path}.service.name")
    called, number = at.get("name"), at.get("number")
    if called and number:
        yield invalid(path, "", "cannot set both port name & port number")
    elif called:
        yield from invalids(f"{path}.service.port.name", called, port_name(called))
    elif number:
        yield from port(f"{path}.service.port.number", number)
    else:
        yield required(path, "port name or number is required")


def _reference(reference: Part, path: str) -> Problems:
    if (group := reference.get("apiGroup")) is not None:
        yield from invalids(f"{path}.apiGroup", group, dns_subdomain(group))
    for field in ("kind", "name"):
        if text := reference.get(field):
            yield from invalids(f"{path}.{field}", text, path_segment(text))
        else:
            yield required(f"{path}.{field}")


def _tls(item: Part, path: str) -> Problems:
    for index, host in enumerate(item.get("hosts") or ()):
        yield from _host(host, f"{path}.hosts[{index}]")
    if name := item.get("secretName"):
        yield from invalids(f"{path}.secretName", name, dns_subdomain(name))


def _create(obj: Object, meta: Found) -> Problems:
    yield from _ingress(obj, meta)
    said, name = annotations_of(obj).get(_CLASS), spec(obj).get("ingressClassName")
    if said is not None and name is not None and said != name:
        yield invalid(f"annotations.{_CLASS}", said, "must match `ingressClassName` when both are specified")


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _ingress(new, meta.whole)


def _addresses(obj: Object) -> Sequence[Part]:
    return (status(obj).get("loadBalancer") or {}).get("ingress") or ()


def _status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    known = [item.get("ip") or "" for item in _addresses(old)]
    for index, item in enumerate(_addresses(new)):
        path = f"status.loadBalancer.ingress[{index}]"
        if ip := item.get("ip"):
            yield from address_problems(f"{path}.ip", ip, known)
        yield from host_problems(f"{path}.hostname", item.get("hostname"))


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    if old is None and _CLASS in annotations_of(new) and spec(new).get("ingressClassName") is None:
        yield f"annotation \"{_CLASS}\" is deprecated, please use 'spec.ingressClassName' instead"


def _status_warnings(new: Object, old: Object | None) -> Iterator[str]:
    for index, item in enumerate(_addresses(new)):
        if item.get("ip"):
            yield from address_warnings(f"status.loadBalancer.ingress[{index}]", item["ip"])


def _class(obj: Object, meta: Found) -> Problems:
    yield from meta
    controller, path = spec(obj).get("controller") or "", "spec.controller"
    if size(controller) > _LONGEST_CONTROLLER:
        yield too_long(path, _LONGEST_CONTROLLER)
    yield from _domain_path(controller, path)
    if (parameters := spec(obj).get("parameters")) is not None:
        yield from _parameters(parameters, "spec.parameters")


def _domain_path(text: str, path: str) -> Problems:
    domain, slash, rest = text.partition("/")
    if not text:
        yield required(path)
    elif not (domain and slash and rest):
        yield invalid(path, text, 'must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        yield from invalids(path, domain, dns_subdomain(domain))
        yield from invalids(path, rest, http_path(rest))


def _parameters(parameters: Part, path: str) -> Problems:
    yield from _reference(parameters, path)
    scope, namespace, place = parameters.get("scope"), parameters.get("namespace"), f"{path}.namespace"
    if scope not in ("Cluster", "Namespace"):
        yield unsupported(f"{path}.scope", scope, ("Cluster", "Namespace"), plain=True)
    elif scope == "Cluster" and namespace is not None:
        yield forbidden(place, "`parameters.scope` is set to 'Cluster'")
    elif scope == "Namespace" and namespace is None:
        yield required(place, "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace":
        yield from invalids(place, namespace, dns_label(str(namespace)))


def _class_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from unchanged("spec.controller", spec(new).get("controller") or "", spec(old).get("controller") or "")
    yield from _class(new, meta.whole)


INGRESS = Rules(
    create=_create, update=_update, status=_status, warnings=_warnings, status_warnings=_status_warnings
)  # fmt: skip
INGRESS_CLASS = Rules(create=_class, update=_class_update)
