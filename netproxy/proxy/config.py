"""KubeProxyConfiguration and Node → NodeView, one for each address family."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.core.names import host_name
from netproxy.core.net import Family, contains, family_of, is_cidr, sloppy_address, sloppy_network
from netproxy.objects.meta import Object, labels, name, spec, status
from netproxy.objects.proxyconfig import PRIMARY
from netproxy.objects.quantity import seconds_of
from netproxy.proxy.model import NodeView
from netproxy.proxy.versions import DEFAULT, KubeProxyVersion
from netproxy.ruleset.ir import InInterface, Source

ZONE_LABEL = "topology.kubernetes.io/zone"
UNSPECIFIED = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
_LOOPBACK_RANGE = ipaddress.ip_network("127.0.0.0/8")
BE_LIBERAL = "net/netfilter/nf_conntrack_tcp_be_liberal"


def node_ips(node: Object) -> tuple[str, ...]:
    """The Node's InternalIPs, then its ExternalIPs; what is no address is passed over, as a kubelet may write anything."""
    addresses = status(node).get("addresses") or ()
    texts = [str(a.get("address")) for kind in ("InternalIP", "ExternalIP") for a in addresses if a.get("type") == kind]
    return tuple(ip for ip in map(sloppy_address, texts) if ip)


def _usual_addresses(node: Object) -> tuple[str, ...]:
    """What the node's interfaces have, when nobody has looked: its InternalIPs; ExternalIPs are often elsewhere."""
    inside = [a for a in status(node).get("addresses") or () if a.get("type") == "InternalIP"]
    return node_ips({"status": {"addresses": inside}}) or node_ips(node)


def node_view(
    node: Object,
    config: Mapping[str, Any],
    family: Family,
    *,
    addresses: Iterable[str] = (),
    mode: str = "iptables",
    version: KubeProxyVersion = DEFAULT,
    nfacct: bool = False,
) -> NodeView:
    """What the proxy of this FAMILY on NODE works with, in one MODE, as that VERSION of kube-proxy does.

    ADDRESSES: those of its interfaces (with or without a length), else the Node's InternalIPs. NFACCT: can its kernel count?
    Source: kubernetes 1.30 and 1.36 cmd/kube-proxy/app/server_linux.go; pkg/proxy/util/nodeport_addresses.go.
    """
    own = tuple(address.partition("/")[0] for address in addresses) or _usual_addresses(node)
    primary = _primary(node, config, family)
    settings = config.get("nftables" if mode == "nftables" else "iptables") or {}
    hints, node_hints = _hints(config, version)
    ports = node_port_cidrs(config, family, primary, mode=mode, version=version)
    return NodeView(
        name=name(node) or host_name(config.get("hostnameOverride") or ""),
        family=family,
        zone=labels(node).get(ZONE_LABEL, ""),
        node_ip=primary or LOOPBACK[family],
        addresses=(*(a for a in own if family_of(a) is family), LOOPBACK[family]),
        local_traffic=_detector(node, config, family),
        masquerade_all=bool(settings.get("masqueradeAll")),
        masquerade_mark=1 << _bit(settings),
        localhost_node_ports=(
            mode == "iptables" and settings.get("localhostNodePorts") is not False and _take_loopback(ports, family)
        ),
        node_port_addresses=ports,
        tcp_be_liberal=bool((config.get("conntrack") or {}).get("tcpBeLiberal")),
        ipvs_scheduler=(config.get("ipvs") or {}).get("scheduler") or "rr",
        hints_without_annotation=hints,
        node_hints=node_hints,
        version=version,
        nfacct=nfacct and version.counts_packets,
    )


def _primary(node: Object, config: Mapping[str, Any], family: Family) -> str:
    """The node's own address: `bindAddress`, when it is one of this family, or the Node's first one; empty without any."""
    text = sloppy_address(str(config.get("bindAddress") or ""))
    if text and family_of(text) is family and not ipaddress.ip_address(text).is_unspecified:
        return text
    return next((ip for ip in node_ips(node) if family_of(ip) is family), "")


def _bit(settings: Mapping[str, Any]) -> int:
    bit = settings.get("masqueradeBit")
    return 14 if bit is None else int(bit)


def node_port_cidrs(
    config: Mapping[str, Any],
    family: Family,
    primary: str,
    *,
    mode: str = "iptables",
    version: KubeProxyVersion = DEFAULT,
) -> tuple[str, ...]:
    """The CIDRs of this family whose local addresses take node ports; empty means all of them.

    Where nothing is said, nftables takes the node's primary address, the other modes every local address.
    """
    given = config.get("nodePortAddresses") or ()
    ranges = (cidr if is_cidr(cidr) else sloppy_network(cidr) for cidr in given if cidr != PRIMARY)
    cidrs = tuple(cidr for cidr in ranges if cidr and family_of(cidr) is family)
    wants_primary = PRIMARY in given or (mode == "nftables" and not given)
    if version.node_ports_need_primary:
        if wants_primary or (mode == "nftables" and not cidrs):
            nobody = UNSPECIFIED[family] if mode == "nftables" else ""
            return (f"{primary or nobody}/{family.bits}",) if primary or nobody else ()
    elif wants_primary:
        known = bool(primary) and not ipaddress.ip_address(primary).is_loopback
        return (f"{primary}/{family.bits}",) if known else ()
    return () if any(ipaddress.ip_network(cidr, strict=False).prefixlen == 0 for cidr in cidrs) else cidrs


def _take_loopback(ports: tuple[str, ...], family: Family) -> bool:
    """Whether addresses of loopback are among those that take node ports; IPv6 has none that could."""
    cidrs = [ipaddress.ip_network(cidr, strict=False) for cidr in ports or ("0.0.0.0/0",)]
    return family is Family.IPV4 and any(cidr.overlaps(_LOOPBACK_RANGE) for cidr in cidrs)


def _hints(config: Mapping[str, Any], version: KubeProxyVersion) -> tuple[bool, bool]:
    """Whether hints hold without an annotation, and whether those for nodes count."""
    gates = (config.get("featureGates") or {}) if version.hint_gates else {}
    distribution = gates.get("ServiceTrafficDistribution", True)
    return distribution, gates.get("PreferSameTrafficDistribution", distribution)


def _detector(node: Object, config: Mapping[str, Any], family: Family) -> Source | InInterface | None:
    mode = config.get("detectLocalMode") or "ClusterCIDR"
    detect = config.get("detectLocal") or {}
    if mode == "BridgeInterface":
        return InInterface(detect["bridgeInterface"]) if detect.get("bridgeInterface") else None
    if mode == "InterfaceNamePrefix":
        return InInterface(detect["interfaceNamePrefix"] + "+") if detect.get("interfaceNamePrefix") else None
    if mode == "NodeCIDR":
        cidrs = spec(node).get("podCIDRs") or [spec(node).get("podCIDR") or ""]
    else:
        cidrs = str(config.get("clusterCIDR") or "").split(",")
    for cidr in map(sloppy_network, cidrs):
        if cidr and family_of(cidr) is family:
            return Source(cidr)
    return None


def node_port_ips(view: NodeView) -> tuple[str, ...]:
    """The addresses of this moment that take node ports, when `nodePortAddresses` limits them."""
    result = []
    for address in dict.fromkeys(view.addresses):
        loopback = ipaddress.ip_address(address).is_loopback
        if loopback and not view.localhost_node_ports:
            continue
        if any(contains(cidr, address) for cidr in view.node_port_addresses):
            result.append(address)
    return tuple(result)


def sysctls(config: Mapping[str, Any], view: NodeView, *, mode: str = "iptables") -> dict[str, str]:
    """The kernel settings (path below /proc/sys → value) that kube-proxy makes.

    Source: kubernetes 1.30 cmd/kube-proxy/app/conntrack.go, pkg/proxy/iptables and pkg/proxy/ipvs (recorded).
    """
    conntrack = config.get("conntrack") or {}
    result = {
        "net/netfilter/nf_conntrack_tcp_timeout_established": _seconds(conntrack.get("tcpEstablishedTimeout"), 86400),
        "net/netfilter/nf_conntrack_tcp_timeout_close_wait": _seconds(conntrack.get("tcpCloseWaitTimeout"), 3600),
    }
    for setting, path in (("udpTimeout", "udp_timeout"), ("udpStreamTimeout", "udp_timeout_stream")):
        result[f"net/netfilter/nf_conntrack_{path}"] = _seconds(conntrack.get(setting), 0)
    if view.localhost_node_ports:
        result["net/ipv4/conf/all/route_localnet"] = "1"
    if conntrack.get("tcpBeLiberal"):
        result[BE_LIBERAL] = "1"
    result = {path: value for path, value in result.items() if value != "0"}
    if mode == "ipvs":
        result |= dict.fromkeys(IPVS_SYSCTLS, "1")
        if (config.get("ipvs") or {}).get("strictARP"):
            result |= {"net/ipv4/conf/all/arp_ignore": "1", "net/ipv4/conf/all/arp_announce": "2"}
    return result


IPVS_SYSCTLS = (
    "net/ipv4/vs/conntrack", "net/ipv4/vs/expire_nodest_conn", "net/ipv4/vs/expire_quiescent_template",
    "net/ipv4/ip_forward",
)  # fmt: skip


def duration_s(text: Any, default_s: float) -> float:
    """Seconds of a Go duration (`1h0m0s`); DEFAULT_S for what is none.

    >>> duration_s("1h2m3s", 0), duration_s("", 30), duration_s("500ms", 0), duration_s("1.2.3s", 30)
    (3723.0, 30, 0.5, 30)
    """
    found = seconds_of(text)
    return default_s if found is None else found


def _seconds(text: Any, default_s: int) -> str:
    return str(int(duration_s(text, default_s)))
