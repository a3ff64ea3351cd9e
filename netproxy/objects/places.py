"""Where the nodes of a cluster are: what they bring with them, what is free for the rest, and what cannot be."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, islice

from netproxy.core.errors import Problem
from netproxy.core.net import contains, family_of, node_ranges
from netproxy.objects.ranges import meet, special
from netproxy.objects.validation.words import invalid as _invalid

_MOST = 1 << 10
"""So many places are tried beyond those that have their turn."""


def addresses_in(cidr: str, own: Sequence[str], taken: Iterable[str] = ()) -> list[str]:
    """An address of the LAN for each node: its OWN (empty for none), else the one at its turn, or one that is free.

    >>> addresses_in("172.18.0.0/24", ["", "172.18.0.2", ""])
    ['172.18.0.5', '172.18.0.2', '172.18.0.4']
    """
    net = ipaddress.ip_network(cidr)
    usual = [str(net[index + 2]) for index in range(len(own))]
    rest = (str(net[at]) for at in range(len(own) + 2, min(net.num_addresses - 1, len(own) + _MOST)))
    known = {*own, *taken}
    found = [given or ("" if turn in known else turn) for given, turn in zip(own, usual, strict=True)]
    free = (address for address in rest if address not in known)
    return [address or next(free, turn) for address, turn in zip(found, usual, strict=True)]


def ranges_in(cidr: str, own: Sequence[str]) -> list[str]:
    """A range of Pods for each node: its OWN (empty for none), else the one at its turn, or one that is free.

    >>> ranges_in("10.244.0.0/16", ["", "10.244.0.0/24", ""])
    ['10.244.1.0/24', '10.244.0.0/24', '10.244.2.0/24']
    """
    usual = list(node_ranges(cidr, len(own)))
    known = [given for given in own if given]
    found = [given or ("" if _meets(turn, known) else turn) for given, turn in zip(own, usual, strict=True)]
    known = [one for one in found if one]
    for index, one in enumerate(found):
        if not one:
            more = ipaddress.ip_network(cidr).subnets(new_prefix=ipaddress.ip_network(usual[0]).prefixlen)
            found[index] = next((c for c in map(str, islice(more, _MOST)) if not _meets(c, known)), usual[index])
            known.append(found[index])
    return found


def place_problems(
    addresses: Mapping[str, Sequence[str]], pods: Mapping[str, Sequence[str]], *, lan: Sequence[str],
    services: Sequence[str], client: Sequence[str],
) -> list[Problem]:  # fmt: skip
    """What is wrong with the ADDRESSES and the Pod ranges of nodes, by name; CLIENT has the machine outside."""
    wrong = []
    for node, given in addresses.items():
        others = {a: other for other, theirs in addresses.items() if other != node for a in theirs}
        for address in given:
            why = _unusable(address, lan) or _taken(address, others, pods, services, client)
            if why:
                wrong.append(_of(node, "status.addresses", address, why))
    for (node, given), (other, theirs) in combinations(pods.items(), 2):
        wrong += [
            _of(other, "spec.podCIDRs", cidr, f"overlaps the Pod range of node {node}; give one of them another range")
            for cidr in theirs
            if _meets(cidr, given)
        ]
    return wrong


def _unusable(address: str, lan: Iterable[str]) -> str:
    if words := special(address):
        return f"must not be one of the {words}"
    for cidr in lan:
        net = ipaddress.ip_network(cidr)
        if net.version == 4 and address in (str(net.network_address), str(net.broadcast_address)):
            return f"is the network's own or its broadcast address in spec.nodeCIDRs, {cidr}; take one between"
    return ""


def _taken(
    address: str, others: Mapping[str, str], pods: Mapping[str, Sequence[str]], services: Sequence[str],
    client: Sequence[str],
) -> str:  # fmt: skip
    if address in client:
        return "is the address of the machine outside the cluster; take another one"
    if address in others:
        return f"is the address of node {others[address]}, too; take another one"
    for what, cidrs in (("Services", services), *((f"Pods of node {name}", ranges) for name, ranges in pods.items())):
        if found := next((c for c in cidrs if family_of(c) is family_of(address) and contains(c, address)), None):
            return f"is in the range of the {what}, {found}; take another one, or give them another range"
    return ""


def _of(node: str, path: str, value: str, why: str) -> Problem:
    found = _invalid(path, value, why)
    return Problem(found.path, found.message, f"Node {node}")


def _meets(cidr: str, known: Iterable[str]) -> bool:
    net = ipaddress.ip_network(cidr, strict=False)
    return any(meet(net, ipaddress.ip_network(other, strict=False)) for other in known)
