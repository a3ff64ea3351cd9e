"""Snapshot → the nftables table that kube-proxy writes for it, or the same meaning in flat maps.

Layout `kube-proxy` has a chain for each service port, and as 1.30 wrote it one for each endpoint, too. Layout `flat` keeps
endpoints in concatenated maps and needs chains only where a service port is special (session affinity, source ranges).

Source: kubernetes pkg/proxy/nftables/proxier.go (1.36; of 1.30's way the names and chains below the base chains).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from netproxy.core.net import Family
from netproxy.proxy.ledger import Change, Ledger
from netproxy.proxy.model import NodeView, ServicePort, Snapshot
from netproxy.proxy.nftables_flat import FlatPart
from netproxy.proxy.nftables_service import ChainedPart, Part, style_of
from netproxy.proxy.nftables_table import TABLE, assemble
from netproxy.ruleset.nft import Chain, Element, Key, Set, Table
from netproxy.ruleset.nft_plan import NftPlan

CHUNKS = {"kube-proxy": 500, "flat": 2000}
"""Service ports in one transaction of a first load: the kernel is quadratic in its anonymous maps."""
CHUNK_OF_MANY = 2000, 50_000
"""Up to so many when so many have so many endpoints: before each transaction libnftables reads all chains, and in that
the kernel is quadratic, too."""
FIRST_CHUNK = 500
"""The first of them, small: nothing can be loaded before it is made."""


def compile_nftables(snapshot: Snapshot, node: NodeView, *, layout: str = "kube-proxy") -> Table:
    """The table that makes NODE serve SNAPSHOT, in one address family."""
    parts = [service_part(service, node, layout=layout) for service in snapshot.services]
    return assemble(parts, node, snapshot.service_cidrs, layout=layout)


def service_part(service: ServicePort, node: NodeView, *, layout: str = "kube-proxy") -> Part:
    """Everything that one service port adds."""
    compiler = FlatPart if layout == "flat" and not service.affinity_s else ChainedPart
    return compiler(service, node, style_of(node, layout)).part()


# --- from one snapshot to the next


class NftCompiler:
    """Compiles the service ports of one node, remembers each result, and knows what a few changed ones change.

    A cache, nothing more: `table` gives what `compile_nftables` gives.
    """

    def __init__(self, node: NodeView, *, layout: str = "kube-proxy") -> None:
        self.node = node
        self.layout = layout
        self._ledger: Ledger[Part, _Thing] = Ledger(lambda service: service_part(service, node, layout=layout), _things)

    def whole(self, snapshot: Snapshot) -> Table:
        """The whole table, and the next `change` begins here."""
        return assemble(self._ledger.reset(snapshot), self.node, snapshot.service_cidrs, layout=self.layout)

    def look(self, snapshot: Snapshot) -> Table:
        """The whole table, for somebody who only looks."""
        return assemble(self._ledger.look(snapshot), self.node, snapshot.service_cidrs, layout=self.layout)

    def fresh(self, snapshot: Snapshot) -> Iterator[NftPlan]:
        """Transactions that load a whole snapshot into an empty namespace, each made when it is asked for.

        Nothing is live before the last one, which brings the base chains.
        """
        static = assemble((), self.node, snapshot.service_cidrs, layout=self.layout)
        base = tuple(chain for chain in static.chains.values() if chain.hook)
        yield NftPlan(
            static.family, TABLE, whole=replace(static, chains={n: c for n, c in static.chains.items() if not c.hook})
        )
        seen: dict[Hashable, None] = {}
        parts = self._ledger.stream(snapshot)
        size, later = FIRST_CHUNK, _chunk(snapshot, self.layout)
        while chunk := list(islice(parts, size)):
            yield _first_load(static.family, chunk, seen)
            size = later
        yield NftPlan(static.family, TABLE, chains=base)

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first."""
        self._ledger.get_ready()

    def change(self, snapshot: Snapshot) -> NftPlan | None:
        """What is different from the snapshot before; None when whole tables have to be compared: take `whole` then."""
        changes = self._ledger.change(snapshot)
        return None if changes is None else _plan_of(self.node.family, changes)


def _chunk(snapshot: Snapshot, layout: str) -> int:
    """How many service ports go into one transaction of a first load."""
    most, endpoints = CHUNK_OF_MANY
    per_transaction = snapshot.endpoint_count * most // max(1, len(snapshot.services))
    return max(CHUNKS[layout], most * min(per_transaction, endpoints) // endpoints)


_Thing = Element | Chain | Set


def _first_load(family: Family, parts: Iterable[Part], seen: dict[Hashable, None]) -> NftPlan:
    """Everything of some parts that is not there yet."""
    elements: dict[str, dict[Key, Element]] = {}
    chains: list[Chain] = []
    sets: list[Set] = []
    for part in parts:
        for name, key, element in part.elements:
            if (name, key) not in seen:
                seen[name, key] = None
                elements.setdefault(name, {})[key] = element
        chains += [chain for chain in part.chains if (Chain, chain.name) not in seen]
        seen.update(dict.fromkeys((Chain, chain.name) for chain in part.chains))
        sets += part.sets
    return NftPlan(
        family, TABLE, chains=tuple({c.name: c for c in chains}.values()), elements=elements, sets=tuple(sets)
    )


def _things(part: Part) -> dict[Hashable, _Thing]:
    """Everything that a part adds, each thing once: elements by set and key, chains and sets by name."""
    found: dict[Hashable, _Thing] = {(name, key): element for name, key, element in reversed(part.elements)}
    found |= {(Chain, chain.name): chain for chain in part.chains}
    return found | {(Set, item.name): item for item in part.sets}


def _plan_of(family: Family, changes: Iterable[Change[_Thing]]) -> NftPlan | None:
    """The transaction; None when a set has to be made anew, since every chain that uses it must be, too."""
    chains: list[Chain] = []
    sets: list[Set] = []
    gone: dict[type, list[str]] = {Chain: [], Set: []}
    flushed: list[str] = []
    elements: dict[str, dict[Key, Element]] = {}
    lost: dict[str, dict[Key, Element]] = {}
    for key, old, new in changes:
        assert isinstance(key, tuple)
        kind, name = key
        if isinstance(new, Chain):
            chains.append(new)
            flushed += [new.name] if old else []
        elif isinstance(new, Set):
            if old:
                return None
            sets.append(new)
        elif kind in gone:
            gone[kind].append(name)
        else:
            if isinstance(old, Element):
                lost.setdefault(kind, {})[name] = old
            if isinstance(new, Element):
                elements.setdefault(kind, {})[name] = new
    return NftPlan(
        family, TABLE, sets=tuple(sets), removed_sets=tuple(gone[Set]), chains=tuple(chains), flushed=tuple(flushed),
        removed_chains=tuple(gone[Chain]), elements=elements, removed_elements=lost,
    )  # fmt: skip
