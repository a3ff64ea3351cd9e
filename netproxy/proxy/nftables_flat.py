"""One service port → what it adds to the nftables table in layout flat: endpoints in maps, chains only by shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from netproxy.proxy.decisions import Policy, Way
from netproxy.proxy.model import Endpoint, NodeView
from netproxy.proxy.nftables_service import NOTHING, Part, PartCompiler, external_rules, masquerade_outsiders
from netproxy.ruleset.ir import Goto
from netproxy.ruleset.nft import WORDS, Chain, DnatFromMap, Element, Key, Rule

LOCAL_OFFSET = 1 << 16
"""Where the numbers of endpoints for policy Local begin."""


class FlatPart(PartCompiler):
    """Entries in the endpoint maps; the chains are shared by all service ports of the same shape."""

    def part(self) -> Part:
        service, decision = self.service, self.decision
        inside = _flat_internal(self.node, service.protocol, len(decision.inside))
        external = self._external(node_port=False)
        node_port = self._external(node_port=True)
        to_external, to_node_port = (Goto(chains[-1].name) if chains else None for chains in (external, node_port))
        elements = self._dispatch(Goto(inside.name), to_external, to_node_port)
        chains: list[Chain] = []
        if not decision.no_inside:
            chains.append(inside)
            elements += _numbered(self._endpoint_map(service.cluster_ip), decision.inside, 0)
        if external:
            entries = [self._endpoint_map(ip) for ip in self._external_ips()]
            chains += external if entries else ()
            if service.node_port:
                entries.append((f"nodeport-endpoints-{service.protocol}", (str(service.node_port),)))
                chains += node_port
            for entry in entries:
                elements += _numbered(entry, self.endpoints.cluster, 0)
                elements += _numbered(entry, self.endpoints.local, LOCAL_OFFSET) if service.external_local else ()
        chains += self._firewall()
        elements += [("hairpins", (e.address, e.address), NOTHING) for e in self.endpoints.reachable]
        return Part(tuple(elements), tuple(chains))

    def _external(self, *, node_port: bool) -> tuple[Chain, ...]:
        service, endpoints, ways = self.service, self.endpoints, self.decision.ways
        if not ways:
            return ()
        here = len(endpoints.local) if service.external_local else None
        return _flat_external(
            self.node, _Shape(service.protocol, len(endpoints.cluster), here, ways), node_port=node_port
        )

    def _endpoint_map(self, ip: str) -> tuple[str, Key]:
        return f"endpoints-{self.service.protocol}", (ip, str(self.service.port))


@dataclass(frozen=True, slots=True)
class _Shape:
    """What chains for external addresses depend on: how many endpoints, and for policy Local how many here."""

    protocol: str
    count: int
    here: int | None
    ways: tuple[Way, ...]


def _numbered(entry: tuple[str, Key], endpoints: tuple[Endpoint, ...], offset: int) -> list[tuple[str, Key, Element]]:
    name, key = entry
    return [(name, (str(at), *key), Element((e.address, str(e.port)))) for at, e in enumerate(endpoints, offset)]


@lru_cache(maxsize=4096)
def _flat_internal(node: NodeView, protocol: str, count: int) -> Chain:
    """The chain for a ClusterIP that COUNT endpoints serve."""
    rules = (*masquerade_outsiders(node), _flat_spread(node, protocol, count, 0, node_port=False))
    return Chain(f"cluster-ip-{protocol}-{count}", rules)


@lru_cache(maxsize=4096)
def _flat_external(node: NodeView, shape: _Shape, *, node_port: bool) -> tuple[Chain, ...]:
    """The chains for an external address; the last one is the entry."""
    protocol, count, here = shape.protocol, shape.count, shape.here
    kind = f"{'nodeport' if node_port else 'external'}-{protocol}"
    cluster = Chain(f"{kind}-spread-{count}", (_flat_spread(node, protocol, count, 0, node_port=node_port),))
    chains = [cluster]
    targets = {Policy.CLUSTER: Goto(cluster.name)}
    if here:
        spread = _flat_spread(node, protocol, here, LOCAL_OFFSET, node_port=node_port)
        chains.append(Chain(f"{kind}-spread-local-{here}", (spread,)))
        targets[Policy.LOCAL] = Goto(chains[-1].name)
    rules = tuple(external_rules(node, shape.ways, targets))
    name = f"{kind}-{count}" if here is None else f"{kind}-{count}-local-{here}"
    return (*chains, Chain(name, rules))


def _flat_spread(node: NodeView, protocol: str, count: int, offset: int, *, node_port: bool) -> Rule:
    port = f"{protocol} dport"
    fields = (port,) if node_port else (f"{WORDS[node.family]} daddr", port)
    name = f"nodeport-endpoints-{protocol}" if node_port else f"endpoints-{protocol}"
    return Rule((DnatFromMap(max(count, 1), fields, name, offset),), why=f"1 of {count}, each with the same chance")
