"""Service ports and their endpoints, as one node's proxy sees them. Frozen, hashable, without Kubernetes' JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from netproxy.core.net import Family, join_host_port
from netproxy.proxy.versions import DEFAULT, KubeProxyVersion
from netproxy.ruleset.ir import InInterface, Source


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and port that may serve a service port."""

    address: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    local: bool = False
    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    written: str = ""
    """The address as its slice spells it, where kube-proxy takes that and the kernel would print it in another way."""

    @property
    def target(self) -> str:
        """`address:port`, with brackets around an IPv6 address."""
        return join_host_port(self.address, self.port)

    @property
    def label(self) -> str:
        """The same as kube-proxy calls it: what names and comments are made of, and the order of endpoints."""
        return join_host_port(self.written or self.address, self.port)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service in one address family."""

    namespace: str
    service: str
    port_name: str
    protocol: str  # lower case
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    health_check_node_port: int = 0
    internal_local: bool = False
    external_local: bool = False
    affinity_s: int = 0
    hints_annotation: str = ""
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def name(self) -> str:
        """`namespace/service:port`, or without the colon for an unnamed port.

        Source: kubernetes pkg/proxy/types.go, ServicePortName.String.
        """
        base = f"{self.namespace}/{self.service}"
        return f"{base}:{self.port_name}" if self.port_name else base

    @property
    def externally_accessible(self) -> bool:
        """Whether anybody outside the cluster can address it."""
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def uses_cluster_endpoints(self) -> bool:
        """Whether some traffic may go to endpoints of the whole cluster."""
        return not self.internal_local or self.externally_accessible

    @property
    def uses_local_endpoints(self) -> bool:
        """Whether some traffic may only go to endpoints of this node."""
        return self.internal_local or (self.external_local and self.externally_accessible)


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one address family's proxy knows about its node and its own settings."""

    name: str
    family: Family = Family.IPV4
    zone: str = ""
    node_ip: str = ""
    addresses: tuple[str, ...] = ()
    """Addresses of the node's interfaces, loopback among them."""
    local_traffic: Source | InInterface | None = None
    """What recognises traffic of this node's (or cluster's) Pods; None without a detector."""
    masquerade_all: bool = False
    masquerade_mark: int = 0x4000
    localhost_node_ports: bool = True
    node_port_addresses: tuple[str, ...] = ()
    """CIDRs; empty means every local address."""
    tcp_be_liberal: bool = False
    ipvs_scheduler: str = "rr"
    hints_without_annotation: bool = True
    """Feature gate ServiceTrafficDistribution: hints hold without the annotation."""
    node_hints: bool = True
    """Feature gate PreferSameTrafficDistribution: hints for a node come before hints for a zone."""
    version: KubeProxyVersion = DEFAULT
    """Whose rules are written."""
    nfacct: bool = False
    """Whether rules of iptables mode count packets in nfacct objects."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one Snapshot of a Tracker to the next: what needs no search."""

    of: object
    """Whose steps these are."""
    number: int
    places: tuple[int, ...] | None
    """Where in `services` another value stands than one step before; None when values moved."""
    udp: int
    """How many steps so far changed a UDP service port."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every service port that this node proxies in one address family, at one moment; sorted by name."""

    services: tuple[ServicePort, ...] = ()
    service_cidrs: tuple[str, ...] = ()
    """Where ClusterIPs come from, as far as it is known."""
    step: Step | None = field(default=None, compare=False, repr=False)
    """How it came from the one before; None when nobody knows."""

    @property
    def endpoint_count(self) -> int:
        """Endpoints over all service ports."""
        return sum([len(service.endpoints) for service in self.services])
