"""The ranges of a Cluster: which cannot be, alone or beside each other, and how much room they must have."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.net import Family, contains, family_of, is_address, is_cidr
from netproxy.objects.validation.words import Problems
from netproxy.objects.validation.words import invalid as _invalid

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_RANGES = {
    "podCIDRs": ("10.244.0.0/16", "fd00:10:244::/56"),
    "serviceCIDRs": ("10.96.0.0/16", "fd00:10:96::/112"),
    "nodeCIDRs": ("172.18.0.0/24", "fd00:172:18::/64"),
}
SMALLEST_BITS = 3
"""The range of the Pods of one node has eight addresses at least."""
_NODES = "nodeCIDRs"
_SPECIAL = {
    "unspecified addresses (0.0.0.0/8)": "0.0.0.0/8", "loopback addresses (127.0.0.0/8)": "127.0.0.0/8",
    "multicast addresses (224.0.0.0/4)": "224.0.0.0/4", "reserved addresses (240.0.0.0/4)": "240.0.0.0/4",
    "the unspecified and the loopback address (::/127)": "::/127", "link-local addresses (fe80::/10)": "fe80::/10",
    "multicast addresses (ff00::/8)": "ff00::/8", "IPv4 addresses in IPv6 ones (::ffff:0:0/96)": "::ffff:0:0/96",
}  # fmt: skip


def range_problems(spec: Mapping[str, Any]) -> Problems:
    """What is wrong with the ranges of a Cluster's spec, of right types."""
    found: dict[str, Network] = {}
    wrong: list[Problem] = []
    for field in DEFAULT_RANGES:
        given = spec.get(field) or ()
        for index, cidr in enumerate(given):
            path = f"spec.{field}[{index}]"
            problem = unusable(path, cidr) or _twice(path, cidr, given[:index])
            if problem is None:
                found[path] = ipaddress.ip_network(cidr, strict=False)
            else:
                wrong.append(problem)
    yield from wrong
    if wrong:
        return
    families = _families(spec)
    yield from _of_other_family(found, families)
    yield from _overlaps({**_defaults(spec, families), **found})
    nodes = spec.get("nodes")
    count = len(nodes) if isinstance(nodes, list) else nodes if isinstance(nodes, int) else 1
    for path, net in found.items():
        yield from too_small(path, net, count)
    yield from _name_servers(spec, families)


def unusable(path: str, cidr: Any) -> Problem | None:
    """What is wrong with one range, whatever it is for."""
    if not is_cidr(cidr):
        return _invalid(path, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")
    if words := special(cidr):
        example = _example(ipaddress.ip_network(cidr, strict=False))
        return _invalid(path, cidr, f"must not hold {words}; take a private range, such as {example}")
    return None


def special(text: str) -> str:
    """Which special addresses an address is one of, or a range holds; empty for none.

    >>> special("127.0.0.1"), special("10.0.0.0/8")
    ('loopback addresses (127.0.0.0/8)', '')
    """
    net = ipaddress.ip_network(text, strict=False)
    return next((words for words, cidr in _SPECIAL.items() if meet(net, ipaddress.ip_network(cidr))), "")


def too_small(path: str, net: Network, nodes: int) -> Problems:
    """Whether a range has too little room for so many NODES."""
    if f".{_NODES}" in path:
        needed = (nodes + 4 - 1).bit_length()  # nobody's, the switch's, that of the machine outside, and broadcast
        room = "the nodes, the machine outside and the network itself"
    elif ".podCIDR" in path:
        needed, room = SMALLEST_BITS + (nodes - 1).bit_length(), "at least 8 Pods on each node"
    else:
        needed, room = 2, "the name server and a Service"
    longest = net.max_prefixlen - needed
    if net.prefixlen > longest:
        many = f"{nodes} nodes" if nodes > 1 else "1 node"
        why = f"is too small for {many}: there must be room for {room}; take a /{longest} or a larger range"
        yield _invalid(path, str(net), why)


def _twice(path: str, cidr: str, before: Sequence[Any]) -> Problem | None:
    if any(is_cidr(other) and family_of(other) is family_of(cidr) for other in before):
        return _invalid(path, cidr, f"is a second {family_of(cidr)} range; there may be one for each IP family")
    return None


def _families(spec: Mapping[str, Any]) -> list[str]:
    given = spec.get("ipFamilies") or [
        family_of(c) for c in spec.get("podCIDRs") or spec.get("serviceCIDRs") or ("10.0.0.0/8",)
    ]
    return [str(family) for family in given]


def _of_other_family(found: Mapping[str, Network], families: list[str]) -> Problems:
    for path, net in found.items():
        family = f"IPv{net.version}"
        if family not in families:
            only = f"the cluster has {' and '.join(families)} only"
            why = f"is an {family} range, and {only}; leave it out, or add {family} to spec.ipFamilies"
            yield _invalid(path, str(net), why)


def _defaults(spec: Mapping[str, Any], families: list[str]) -> dict[str, Network]:
    """The ranges that nobody gave, under their fields' names."""
    result: dict[str, Network] = {}
    for field, defaults in DEFAULT_RANGES.items():
        given = {family_of(cidr) for cidr in spec.get(field) or ()}
        result |= {
            f"spec.{field} ({family})": ipaddress.ip_network(cidr)
            for cidr, family in zip(defaults, Family, strict=True)
            if family not in given and family.value in families
        }
    return result


def _overlaps(ranges: Mapping[str, Network]) -> Problems:
    for (path, net), (other, known) in combinations(reversed(list(ranges.items())), 2):
        if meet(net, known):
            default = "" if other.endswith("]") else " by default"
            why = f"overlaps {other}, which is {known}{default}; give one of them another range"
            yield _invalid(path, str(net), why)


def _name_servers(spec: Mapping[str, Any], families: list[str]) -> Problems:
    given = spec.get("dnsAddresses") or ()
    ranges = [*(spec.get("serviceCIDRs") or ()), *DEFAULT_RANGES["serviceCIDRs"]]
    for index, address in enumerate(given):
        path = f"spec.dnsAddresses[{index}]"
        if not is_address(address):
            yield _invalid(path, address, "must be a valid IP address, (e.g. 10.96.0.10)")
            continue
        family = family_of(address)
        cidr = next(c for c in ranges if family_of(c) is family)
        if family.value not in families:
            yield _invalid(
                path, address, f"is {family}, and the cluster has {' and '.join(families)} only; leave it out"
            )
        elif not contains(cidr, address):
            yield _invalid(path, address, f"must be in the range of Services, {cidr}; leave it out to get one")


def meet(one: Network, other: Network) -> bool:
    """Whether two ranges have an address in common."""
    return one.version == other.version and one.overlaps(other)


def _example(net: Network) -> str:
    return "10.20.0.0/16" if net.version == 4 else "fd00:20::/56"


def node_range_problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the Pod ranges of a Node's spec."""
    given = spec.get("podCIDRs") or ()
    listed = [(f"spec.podCIDRs[{index}]", cidr) for index, cidr in enumerate(given)]
    if spec.get("podCIDR"):
        listed.append(("spec.podCIDR", spec["podCIDR"]))
    for index, (path, cidr) in enumerate(listed):
        problem = unusable(path, cidr)
        if problem is None and path != "spec.podCIDR":
            problem = _twice(path, cidr, given[:index])
        if problem:
            yield problem
        else:
            yield from too_small(path, ipaddress.ip_network(cidr, strict=False), 1)
    if given and spec.get("podCIDR") and spec["podCIDR"] != given[0]:
        yield _invalid("spec.podCIDR", spec["podCIDR"], f"must be the first of spec.podCIDRs, {given[0]}; leave it out")
