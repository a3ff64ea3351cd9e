"""Objects → parts → zone: each Service gives a part of its own, so that after a change only its part is made anew."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netproxy.core.names import NamespacedName
from netproxy.core.net import is_address
from netproxy.dns.zone import Records, Srv, Zone, reverse_name
from netproxy.objects.meta import SERVICE_NAME, Object, key, labels, name, namespace, spec, status

VERSION = "1.1.0"
NAME_SERVER = NamespacedName("kube-system", "kube-dns")
_EMPTY = Records()


@dataclass(frozen=True, slots=True)
class Part:
    """What one Service gives to the zone; FAULT when its objects make no sense, and then nothing else."""

    names: Mapping[str, Records]
    """Its own names, and those between them and its own first one."""
    vips: Mapping[str, Records]
    """The names of its ClusterIPs in the reverse tree."""
    endpoints: Mapping[str, Records]
    """The names of its endpoints in the reverse tree; other Services may have the same ones."""
    fault: str = ""


@dataclass(slots=True)
class _Draft:
    addresses: dict[str, None] = field(default_factory=dict)
    srv: dict[Srv, None] = field(default_factory=dict)
    shares: int = 0

    def records(self) -> Records:
        return Records(tuple(self.addresses), tuple(self.srv), self.shares)


class Parts:
    """The parts of the last zone: what has the same objects is not made again."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._made: dict[NamespacedName, tuple[tuple[Object, ...], Part]] = {}

    def of(self, services: Iterable[Object], slices: Iterable[Object]) -> tuple[Part, ...]:
        """The parts of these Services, in their order."""
        by_service: dict[NamespacedName, list[Object]] = {}
        for item in slices:
            owner = labels(item).get(SERVICE_NAME)
            if owner:
                by_service.setdefault(NamespacedName(namespace(item), owner), []).append(item)
        made, before = {}, self._made
        for service in services:
            at = key(service)
            objects = (service, *by_service.get(at, ()))
            known = before.get(at)
            same = known is not None and len(known[0]) == len(objects) and all(map(_is, known[0], objects))
            made[at] = known if known is not None and same else (objects, part(service, objects[1:], self._domain))
        self._made = made
        return tuple(one for _, one in made.values())


def _is(one: Object, other: Object) -> bool:
    return one is other


def build_zone(
    services: Iterable[Object], slices: Iterable[Object], namespaces: Iterable[Object], pods: Iterable[Object] = (), *,
    domain: str = "cluster.local", reverse: Iterable[str] = (), pods_mode: str = "insecure", serial: int = 0,
    parts: Parts | None = None,
) -> Zone:  # fmt: skip
    """Make the zone of a cluster from its objects; PARTS remembers those of the zone before."""
    services = tuple(services)
    made = (parts or Parts(domain)).of(services, slices)
    spaces = frozenset(name(item) for item in namespaces)
    servers = next((tuple(_vips(service)) for service in services if key(service) == NAME_SERVER), ())
    names = _endpoints(made)
    for one in made:
        names.update(one.vips)  # of a ClusterIP the Service's name only, whoever else points there
        names.update(one.names)
    names[f"dns-version.{domain}"] = Records(txt=(VERSION,))
    names[f"ns.dns.{domain}"] = Records(addresses=servers)
    names[f"dns.{domain}"] = _EMPTY
    names[domain] = Records(ns=(f"ns.dns.{domain}",))
    below = ("svc",) if pods_mode == "disabled" else ("svc", "pod")
    for space in spaces:
        names.update((f"{space}.{word}.{domain}", _EMPTY) for word in below)
    names.update((f"{word}.{domain}", _EMPTY) for word in below)
    known = frozenset((namespace(pod), item.get("ip", "")) for pod in pods for item in status(pod).get("podIPs") or ())
    faults = tuple(one.fault for one in made if one.fault)
    return Zone(domain, names, spaces, tuple(reverse), pods_mode, known, serial, servers, faults)


def _endpoints(parts: Iterable[Part]) -> dict[str, Records]:
    """All endpoints in the reverse tree: an endpoint of several Services has several names."""
    names: dict[str, Records] = {}
    for one in parts:
        shared = [(at, names[at]) for at in names.keys() & one.endpoints.keys()] if names else []
        names.update(one.endpoints)
        names.update((at, Records(ptr=(*known.ptr, *one.endpoints[at].ptr))) for at, known in shared)
    return names


def part(service: Object, slices: Sequence[Object], domain: str) -> Part:
    """What a Service with these slices gives to the zone."""
    base = f"{name(service)}.{namespace(service)}.svc.{domain}"
    try:
        if spec(service).get("type") == "ExternalName":
            outside = str(spec(service).get("externalName") or "").rstrip(".").lower()
            if is_address(outside):
                return Part({}, {}, {})  # CoreDNS has no such name either
            return Part({base: Records(cname=outside)}, {}, {})
        return _part(service, slices, base)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return Part({}, {}, {}, fault=f"Service {namespace(service)}/{name(service)}: {type(error).__name__}: {error}")


def _part(service: Object, slices: Sequence[Object], base: str) -> Part:
    drafts: dict[str, _Draft] = {}
    endpoints: dict[str, dict[str, None]] = {}
    vips = _vips(service)
    for ip in vips:
        drafts.setdefault(base, _Draft()).addresses[ip] = None
        for port in spec(service).get("ports") or ():
            _srv(drafts, _with_port(base, port), port, base)
    everyone = bool(spec(service).get("publishNotReadyAddresses"))
    for item in slices:
        if item.get("addressType") in ("IPv4", "IPv6"):
            for address, hostname in _ready(item, everyone=everyone):
                host = f"{hostname}.{base}"
                drafts.setdefault(host, _Draft()).addresses[address] = None
                endpoints.setdefault(reverse_name(address), {})[host] = None
                if not vips:
                    drafts.setdefault(base, _Draft()).addresses[address] = None
                for port in item.get("ports") or ({},):
                    _srv(drafts, (host,) if vips else (host, *_with_port(base, port)), port, host)
    names = {at: _EMPTY for draft in drafts for at in _between(draft, base)}
    names.update((at, draft.records()) for at, draft in drafts.items())
    reverse = {at: Records(ptr=tuple(hosts)) for at, hosts in endpoints.items()}
    return Part(names, {reverse_name(ip): Records(ptr=(base,)) for ip in vips}, reverse)


def _vips(service: Object) -> list[str]:
    ips = spec(service).get("clusterIPs") or [spec(service).get("clusterIP")]
    return [str(_address(ip)) for ip in ips if ip and ip != "None" and _address(ip)]


def _ready(item: Object, *, everyone: bool) -> Iterator[tuple[str, str]]:
    """The addresses that may be given out, each with its endpoint's name."""
    for endpoint in item.get("endpoints") or ():
        if everyone or (endpoint.get("conditions") or {}).get("ready") is not False:
            for text in endpoint.get("addresses") or ():
                address = _address(text)
                if address:
                    yield address, (endpoint.get("hostname") or _dashed(text)).lower()


def _with_port(base: str, port: Mapping[str, Any]) -> Iterator[str]:
    """A Service's name, and that of one of its ports."""
    yield base
    if port.get("name"):
        yield f"_{port['name'].lower()}._{(port.get('protocol') or 'TCP').lower()}.{base}"


def _srv(drafts: dict[str, _Draft], names: Iterable[str], port: Mapping[str, Any], target: str) -> None:
    """One more among whom the weight is shared; a port without a number only counts.

    Source: coredns plugin/backend_lookup.go, SRV; plugin/kubernetes/object/endpoint.go (the port -1).
    """
    for at in names:
        draft = drafts.setdefault(at, _Draft())
        draft.shares += 1
        if port.get("port"):
            draft.srv[Srv(int(port["port"]), target)] = None


def _between(at: str, base: str) -> Iterator[str]:
    """The names between a name and its Service's."""
    while at != base:
        at = at.partition(".")[2]
        yield at


def _address(text: str) -> str | None:
    """An address as it is written usually; zeros in front are read as Kubernetes reads them, None is no address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        plain = ".".join(octet.lstrip("0") or "0" for octet in text.split("."))
        return plain if is_address(plain) else None


def _dashed(address: str) -> str:
    """The name of an endpoint that has no other: no label ends in a dash.

    Source: coredns plugin/kubernetes/kubernetes.go, endpointHostname.
    """
    dashed = address.replace(".", "-").replace(":", "-")
    return f"{dashed}0" if dashed.endswith("-") else dashed
