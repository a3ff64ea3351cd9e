"""The cluster's machines as namespaces: the switch, the nodes, the outside machine. Made once, found again later."""

from __future__ import annotations

from netproxy.agent.journal import journalled, note
from netproxy.agent.paths import Paths
from netproxy.core.errors import KernelError
from netproxy.core.net import contains, family_of
from netproxy.kubelet import resolv
from netproxy.linux import links, netns
from netproxy.objects.cluster import ClusterSpec

CLIENT = "client"
SWITCH = "lan"
LONGEST_LINK = 15
"""The kernel's limit for a link's name."""


def machines(cluster: ClusterSpec, paths: Paths) -> list[links.Machine]:
    """All machines of the LAN with their addresses and routes.

    Every node knows the way to the Pods of the others, and everything else is outside: the client. The client reaches
    Pods and Services, external addresses among them, through the nodes.
    """
    ipv6 = any(":" in cidr for cidr in cluster.node_cidrs)
    result = []
    for number, node in enumerate(cluster.nodes):
        port = node.name if len(node.name) <= LONGEST_LINK else f"node-{number}"
        routes = [
            (cidr, _peer(other.addresses, cidr))
            for other in cluster.nodes
            if other is not node
            for cidr in other.pod_cidrs
        ]
        routes += [("default", address) for address in cluster.client_addresses]
        result.append(
            links.Machine(paths.namespace_of(node.name), port, _lengths(node.addresses, cluster), tuple(routes), ipv6)
        )
    first = cluster.nodes[0]
    routes = [(cidr, _peer(node.addresses, cidr)) for node in cluster.nodes for cidr in node.pod_cidrs]
    routes += [(cidr, _peer(first.addresses, cidr)) for cidr in cluster.service_cidrs]
    routes += [("default", _peer(first.addresses, cidr)) for cidr in cluster.node_cidrs]
    addresses = _lengths(cluster.client_addresses, cluster)
    result.append(links.Machine(paths.namespace_of(CLIENT), CLIENT, addresses, tuple(routes), ipv6, router=False))
    return result


def write_client_files(cluster: ClusterSpec, paths: Paths) -> None:
    """The client asks the cluster's name server, as a Pod of namespace default does."""
    paths.client_etc.mkdir(parents=True, exist_ok=True)
    search = resolv.cluster_search("default", cluster)
    text = resolv.render(list(cluster.dns_addresses), search, ["ndots:5"])
    (paths.client_etc / "resolv.conf").write_text(text)


def _peer(addresses: tuple[str, ...], cidr: str) -> str:
    return next(a for a in addresses if family_of(a) is family_of(cidr))


def _lengths(addresses: tuple[str, ...], cluster: ClusterSpec) -> tuple[tuple[str, int], ...]:
    """Each address with the length of the LAN's range that holds it, or alone."""
    result = []
    for address in addresses:
        inside = next((cidr for cidr in cluster.node_cidrs if contains(cidr, address)), None)
        full = 128 if ":" in address else 32
        result.append((address, int(inside.rpartition("/")[2]) if inside else full))
    return tuple(result)


def create(cluster: ClusterSpec, paths: Paths) -> set[str]:
    """Make the machines that are not there yet; returns the namespaces that are new.

    Raises KernelError before anything is made when a name belongs to somebody else.
    """
    netns.prepare()
    wanted = machines(cluster, paths)
    switch = paths.namespace_of(SWITCH)
    ours = journalled(paths)
    names = [switch, *(machine.namespace for machine in wanted)]
    for name in names:
        if netns.exists(name) and name not in ours:
            raise KernelError(
                f"a network namespace {name} exists already and is not netproxy's; give the cluster another name with --cluster"
            )
    made: set[str] = set()
    if not netns.exists(switch):
        note(paths, switch)
        netns.delete(switch)
        links.create_switch(switch)
        made.add(switch)
    strangers = _strangers(cluster)
    for index, machine in enumerate(wanted):
        if not netns.exists(machine.namespace):
            note(paths, machine.namespace)
            netns.delete(machine.namespace)
            links.create_machine(switch, machine, 10 + index)
            made.add(machine.namespace)
    if made and strangers:
        for machine in wanted:
            own = dict(machine.addresses)
            far = [f"{a}/{128 if ':' in a else 32}" for a in strangers if a not in own]
            near = [cidr for cidr in cluster.node_cidrs if not any(contains(cidr, a) for a in own)]
            links.add_neighbours(machine.namespace, [*near, *far])
    return made


def _strangers(cluster: ClusterSpec) -> list[str]:
    """Node addresses outside the LAN's ranges: everybody needs a route to each."""
    return [
        a for node in cluster.nodes for a in node.addresses if not any(contains(cidr, a) for cidr in cluster.node_cidrs)
    ]
