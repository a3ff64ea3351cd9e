"""Objects → records, as the Kubernetes DNS specification 1.1.0 and CoreDNS's `kubernetes` plugin have them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from netproxy.core.net import Family, contains, family_of
from netproxy.objects.meta import Object, labels, name, namespace, spec, status

TTL_S = 5
VERSION = "1.1.0"
VERSION_TTL_S = 28800
SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Srv:
    """A service location: priority and weight are given where it is answered."""

    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Records:
    """Everything at one name; empty lists at a name that only has names below it."""

    addresses: tuple[str, ...] = ()
    srv: tuple[Srv, ...] = ()
    ptr: tuple[str, ...] = ()
    cname: str = ""
    txt: tuple[str, ...] = ()
    ns: tuple[str, ...] = ()

    def of_family(self, family: Family) -> tuple[str, ...]:
        """The addresses of one family."""
        return tuple(a for a in self.addresses if family_of(a) is family)


_EMPTY = Records()


@dataclass(slots=True)
class _Draft:
    addresses: dict[str, None] = field(default_factory=dict)
    srv: dict[Srv, None] = field(default_factory=dict)
    ptr: dict[str, None] = field(default_factory=dict)
    cname: str = ""

    def records(self) -> Records:
        return Records(tuple(self.addresses), tuple(self.srv), tuple(self.ptr), self.cname)


@dataclass(frozen=True, slots=True)
class Zone:
    """All names of a cluster; lower case, without the last dot."""

    domain: str
    names: Mapping[str, Records]
    namespaces: frozenset[str]
    reverse: tuple[str, ...]
    """CIDRs whose reverse names are ours."""
    pods_mode: str = "insecure"
    pods: frozenset[tuple[str, str]] = frozenset()
    """(namespace, address) of the Pods that exist, for mode `verified`."""
    serial: int = 0
    servers: tuple[str, ...] = ()
    """Addresses of the name server itself."""

    def is_ours(self, qname: str) -> bool:
        """Whether this server is the authority for a name (lower case, no last dot)."""
        return self.apex_of(qname) is not None

    def apex_of(self, qname: str) -> str | None:
        """The zone that a name is in: the domain, or a reverse zone; None outside."""
        if qname == self.domain or qname.endswith("." + self.domain):
            return self.domain
        if qname.endswith((".in-addr.arpa", ".ip6.arpa")):
            address = address_of(qname)
            if address and any(contains(cidr, address) for cidr in self.reverse):
                return "in-addr.arpa" if "." in address else "ip6.arpa"
        return None

    def find(self, qname: str) -> Records | None:
        """The records at a name; None when it does not exist (NXDOMAIN)."""
        known = self.names.get(qname)
        if known is not None:
            return known
        return self._pod(qname)

    def _pod(self, qname: str) -> Records | None:
        """`10-244-0-5.NAMESPACE.pod.ZONE`."""
        below = qname.removesuffix(f".pod.{self.domain}")
        dashed, dot, at = below.partition(".")
        if below == qname or not dot or "." in at or self.pods_mode == "disabled" or at not in self.namespaces:
            return None
        address = _undashed(dashed)
        if address is None or (self.pods_mode == "verified" and (at, address) not in self.pods):
            return None
        return Records(addresses=(address,))


def build_zone(
    services: Iterable[Object], slices: Iterable[Object], namespaces: Iterable[Object], pods: Iterable[Object] = (), *,
    domain: str = "cluster.local", reverse: Iterable[str] = (), pods_mode: str = "insecure", serial: int = 0,
) -> Zone:  # fmt: skip
    """Make the zone of a cluster from its objects."""
    drafts: dict[str, _Draft] = {}
    by_service: dict[tuple[str, str], list[Object]] = {}
    for item in slices:
        owner = labels(item).get(SERVICE_NAME)
        if owner:
            by_service.setdefault((namespace(item), owner), []).append(item)
    spaces = frozenset(name(item) for item in namespaces)
    servers: tuple[str, ...] = ()
    for service in services:
        _service(drafts, service, by_service.get((namespace(service), name(service)), ()), domain)
        if (namespace(service), name(service)) == ("kube-system", "kube-dns"):
            servers = tuple(_vips(service))
    names = {at: draft.records() for at, draft in drafts.items()}
    names[f"dns-version.{domain}"] = Records(txt=(VERSION,))
    names[f"ns.dns.{domain}"] = Records(addresses=servers)
    names[domain] = Records(ns=(f"ns.dns.{domain}",))
    empty = [f"svc.{domain}", *(f"{space}.svc.{domain}" for space in spaces)]
    if pods_mode != "disabled":
        empty += [f"pod.{domain}", *(f"{space}.pod.{domain}" for space in spaces)]
    for at in (*empty, *tuple(names)):
        for parent in _parents(at, domain):
            names.setdefault(parent, _EMPTY)
    known = frozenset((namespace(pod), item["ip"]) for pod in pods for item in status(pod).get("podIPs") or ())
    return Zone(domain, names, spaces, tuple(reverse), pods_mode, known, serial, servers)


def _parents(at: str, domain: str) -> Iterator[str]:
    """The name itself and the names above it, up to the domain; a name of a reverse zone has none that matter."""
    while at.endswith("." + domain):
        yield at
        at = at.partition(".")[2]


def _vips(service: Object) -> list[str]:
    ips = spec(service).get("clusterIPs") or [spec(service).get("clusterIP")]
    return [ip for ip in ips if ip and ip != "None"]


def _service(drafts: dict[str, _Draft], service: Object, slices: Iterable[Object], domain: str) -> None:
    base = f"{name(service)}.{namespace(service)}.svc.{domain}"
    if spec(service).get("type") == "ExternalName":
        drafts.setdefault(base, _Draft()).cname = str(spec(service).get("externalName", "")).rstrip(".").lower()
        return
    vips = _vips(service)
    for ip in vips:
        drafts.setdefault(base, _Draft()).addresses[ip] = None
        reverse = drafts.setdefault(reverse_name(ip), _Draft())
        reverse.ptr = {base: None}
    for port in spec(service).get("ports") or () if vips else ():
        _srv(drafts, base, port, base)
    for item in slices:
        if item.get("addressType") in ("IPv4", "IPv6"):
            _slice(drafts, service, item, base, headless=not vips)


def _srv(drafts: dict[str, _Draft], base: str, port: Mapping[str, Any], target: str) -> None:
    srv = Srv(int(port["port"]), target)
    drafts.setdefault(base, _Draft()).srv[srv] = None
    if port.get("name"):
        protocol = (port.get("protocol") or "TCP").lower()
        drafts.setdefault(f"_{port['name'].lower()}._{protocol}.{base}", _Draft()).srv[srv] = None


def _slice(drafts: dict[str, _Draft], service: Object, item: Object, base: str, *, headless: bool) -> None:
    everyone = bool(spec(service).get("publishNotReadyAddresses"))
    for endpoint in item.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is False and not everyone:
            continue
        for address in endpoint.get("addresses") or ():
            host = f"{(endpoint.get('hostname') or _dashed(address)).lower()}.{base}"
            drafts.setdefault(host, _Draft()).addresses[address] = None
            reverse = drafts.setdefault(reverse_name(address), _Draft())
            reverse.ptr[host] = None
            if headless:
                drafts.setdefault(base, _Draft()).addresses[address] = None
                for port in item.get("ports") or ():
                    if port.get("port"):
                        _srv(drafts, base, port, host)


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def _undashed(text: str) -> str | None:
    for candidate in (text.replace("-", "."), text.replace("-", ":")):
        try:
            return str(ipaddress.ip_address(candidate))
        except ValueError:
            continue
    return None


def reverse_name(address: str) -> str:
    """The name of an address in the reverse tree.

    >>> reverse_name("10.0.0.5")
    '5.0.0.10.in-addr.arpa'
    """
    return ipaddress.ip_address(address).reverse_pointer


def address_of(qname: str) -> str | None:
    """The address that a reverse name stands for; None when it is none.

    >>> address_of("5.0.0.10.in-addr.arpa"), address_of("0.10.in-addr.arpa")
    ('10.0.0.5', None)
    """
    if qname.endswith(".in-addr.arpa"):
        parts = qname.removesuffix(".in-addr.arpa").split(".")
        candidate = ".".join(reversed(parts))
    else:
        nibbles = "".join(reversed(qname.removesuffix(".ip6.arpa").split(".")))
        candidate = ":".join(nibbles[at : at + 4] for at in range(0, 32, 4)) if len(nibbles) == 32 else ""
    try:
        return str(ipaddress.ip_address(candidate))
    except ValueError:
        return None
