"""What a cluster begins with, known before its agent runs: its ranges, and where its API is called. Quick to import."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from netproxy.agent.paths import Paths, Scope
from netproxy.core.errors import KernelError
from netproxy.core.names import NamespacedName
from netproxy.core.net import join_host_port
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import CLUSTERS
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import spec

SERVICE_CIDRS = ("10.96.0.0/16", "fd00:10:96::/112")
"""Of a control plane alone."""
UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}
API = NamespacedName("default", "kubernetes")
"""The Service that leads to the API, at the first address of its range."""
API_PORT = 6443
"""Where the API is called on the first node."""
NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


def listening(paths: Paths, host: str, port: int) -> socket.socket:
    """A socket on which the cluster's API is going to be served; port 0 is the one that it had, or a free one.

    Raises KernelError for an address that is taken, or not this machine's.
    """
    kept = paths.tls / "port"
    wanted = int(kept.read_text()) if port == 0 and kept.exists() else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, wanted), family=family, backlog=1024)
    except OSError as error:
        raise KernelError(f"the API cannot listen on {join_host_port(host, wanted)}: {error.strerror}") from error


def hosts(cluster: ClusterSpec, host: str) -> Sequence[str]:
    """The addresses and names by which the API's server is called."""
    nodes = [address for node in cluster.nodes for address in node.addresses]
    services = [first_address(cidr) for cidr in cluster.service_cidrs]
    return [*nodes, *services, *([] if host in UNSPECIFIED else [host]), *NAMES, f"{NAMES[-1]}.{cluster.dns_domain}"]


def first_address(cidr: str) -> str:
    """The first address of a Service range: that of the API.

    >>> first_address("10.96.0.0/16"), first_address("fd00:10:96::/112")
    ('10.96.0.1', 'fd00:10:96::1')
    """
    return str(ipaddress.ip_network(cidr)[1])


def with_ranges(incoming: list[Loaded], cluster: str, scope: Scope) -> list[Loaded]:
    """The objects with a Cluster that has no machines and, unless it says otherwise, both families."""
    given = next((item for item in incoming if item.obj["kind"] == "Cluster"), None)
    none = {"apiVersion": CLUSTERS.api_version, "kind": "Cluster", "metadata": {"name": cluster}}
    obj, source = (given.obj, given.source) if given else (none, "netproxy")
    bare = {**obj, "spec": {"serviceCIDRs": list(SERVICE_CIDRS), **spec(obj), "scope": scope.value, "nodes": []}}
    return [Loaded(bare, source), *(item for item in incoming if item is not given)]
