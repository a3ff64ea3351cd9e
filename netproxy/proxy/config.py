"""KubeProxyConfiguration and Node → NodeView, one for each address family."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.core.net import Family, contains, family_of, is_address, is_cidr, network
from netproxy.objects.meta import Object, labels, name, spec, status
from netproxy.objects.quantity import seconds_of
from netproxy.proxy.model import NodeView
from netproxy.proxy.versions import DEFAULT, KubeProxyVersion
from netproxy.ruleset.ir import InInterface, Source

ZONE_LABEL = "topology.kubernetes.io/zone"
UNSPECIFIED = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
BE_LIBERAL = "net/netfilter/nf_conntrack_tcp_be_liberal"


def node_ips(node: Object) -> tuple[str, ...]:
    """The Node's InternalIPs, else its ExternalIPs, in order; what is no address is passed over, as a kubelet may write anything."""
    addresses = status(node).get("addresses") or ()
    for kind in ("InternalIP", "ExternalIP"):
        found = tuple(a["address"] for a in addresses if a.get("type") == kind and is_address(a.get("address")))
        if found:
            return found
    return ()


def node_view(
    node: Object,
    config: Mapping[str, Any],
    family: Family,
    *,
    addresses: Iterable[str] = (),
    mode: str = "iptables",
    version: KubeProxyVersion = DEFAULT,
) -> NodeView:
    """What the proxy of this FAMILY on NODE works with, in one MODE, as that VERSION of kube-proxy does.

    ADDRESSES are those of the node's interfaces (with or without a length); the Node's InternalIPs when none are given.
    Source: kubernetes 1.30 cmd/kube-proxy/app/server_linux.go; pkg/proxy/util/nodeport_addresses.go.
    """
    ips = node_ips(node)
    own = tuple(address.partition("/")[0] for address in addresses) or ips
    primary = _bind_address(config, family) or next((ip for ip in ips if family_of(ip) is family), "")
    settings = config.get("nftables" if mode == "nftables" else "iptables") or {}
    gates = config.get("featureGates") or {}
    ports = node_port_cidrs(config, family, primary, mode=mode)
    bit = settings.get("masqueradeBit")
    localhost = settings.get("localhostNodePorts") if mode == "iptables" else False
    return NodeView(
        name=name(node) or config.get("hostnameOverride") or "",
        family=family,
        zone=labels(node).get(ZONE_LABEL, ""),
        node_ip=primary or LOOPBACK[family],
        addresses=(*(a for a in own if family_of(a) is family), LOOPBACK[family]),
        local_traffic=_detector(node, config, family),
        masquerade_all=bool(settings.get("masqueradeAll")),
        masquerade_mark=1 << (14 if bit is None else int(bit)),
        localhost_node_ports=(
            family is Family.IPV4
            and localhost is not False
            and any(_has_loopback(cidr) for cidr in ports or ("0.0.0.0/0",))
        ),
        node_port_addresses=ports,
        tcp_be_liberal=bool((config.get("conntrack") or {}).get("tcpBeLiberal")),
        ipvs_scheduler=(config.get("ipvs") or {}).get("scheduler") or "rr",
        hints_without_annotation=gates.get("ServiceTrafficDistribution", True),
        node_hints=gates.get("PreferSameTrafficDistribution", gates.get("ServiceTrafficDistribution", True)),
        version=version,
    )


def _bind_address(config: Mapping[str, Any], family: Family) -> str:
    """`bindAddress`, when it is one address of this family: kube-proxy takes it for the node's own."""
    text = str(config.get("bindAddress") or "")
    if not is_address(text) or family_of(text) is not family or ipaddress.ip_address(text).is_unspecified:
        return ""
    return text


def node_port_cidrs(
    config: Mapping[str, Any], family: Family, primary: str, *, mode: str = "iptables"
) -> tuple[str, ...]:
    """The CIDRs of this family whose local addresses take node ports; empty means all of them.

    Where nothing is said, nftables takes the node's primary address (the unspecified one, which nobody has, when there is
    none), the other modes every local address.
    """
    given = config.get("nodePortAddresses") or ()
    own = (f"{primary or UNSPECIFIED[family]}/{family.bits}",) if primary or mode == "nftables" else ()
    if "primary" in given:
        return own
    cidrs = tuple(cidr for cidr in given if family_of(cidr) is family)
    if mode == "nftables" and not cidrs:
        return own
    return () if any(ipaddress.ip_network(cidr, strict=False).prefixlen == 0 for cidr in cidrs) else cidrs


def _has_loopback(cidr: str) -> bool:
    return ipaddress.ip_network(cidr, strict=False).overlaps(ipaddress.ip_network("127.0.0.0/8"))


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
    for cidr in (part.strip() for part in cidrs):
        if is_cidr(cidr) and family_of(cidr) is family:
            return Source(network(cidr))
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
