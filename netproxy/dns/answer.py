"""Question → answer, without sockets: what an authority for the cluster's zone says.

Source: Kubernetes DNS specification 1.1.0; CoreDNS plugin/kubernetes, plugin/loadbalance (observable behaviour).
"""

from __future__ import annotations

from dataclasses import dataclass

from netproxy.core.net import Family
from netproxy.dns.zone import TTL_S, VERSION_TTL_S, Records, Zone

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
MAX_CHASE = 8


@dataclass(frozen=True, slots=True)
class Rr:
    """One resource record; VALUE is an address, a name, a text, (priority, weight, port, target), or SOA's fields."""

    name: str
    type: str
    value: str | tuple[int, int, int, str] | tuple[str, str, tuple[int, int, int, int, int]]
    ttl_s: int = TTL_S


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. OUTSIDE is a name that must be asked elsewhere to complete it (a CNAME that leaves the cluster)."""

    code: int = NOERROR
    answers: tuple[Rr, ...] = ()
    authority: tuple[Rr, ...] = ()
    additional: tuple[Rr, ...] = ()
    outside: str = ""


def answer(zone: Zone, qname: str, qtype: str) -> Answer | None:
    """Answer a question (QNAME as it was spelt, without the last dot); None when it is not ours to answer."""
    lower = qname.lower()
    apex = zone.apex_of(lower)
    if apex is None:
        return None
    if qtype in ("AXFR", "IXFR"):
        return Answer(REFUSED)
    records = zone.find(lower)
    negative = (_soa(zone, apex),)
    if records is None:
        return Answer(NXDOMAIN, authority=negative)
    if records.cname:
        return _chase(zone, qname, qtype, records, negative)
    found = _records(zone, qname, qtype, records)
    if not found:
        return Answer(NOERROR, authority=negative)
    return Answer(NOERROR, found, additional=_glue(zone, found))


def _soa(zone: Zone, apex: str) -> Rr:
    numbers = (zone.serial, 7200, 1800, 86400, TTL_S)
    return Rr(apex, "SOA", (f"ns.dns.{apex}", f"hostmaster.{apex}", numbers))


def _records(zone: Zone, qname: str, qtype: str, records: Records) -> tuple[Rr, ...]:
    match qtype:
        case "A":
            return tuple(Rr(qname, "A", a) for a in records.of_family(Family.IPV4))
        case "AAAA":
            return tuple(Rr(qname, "AAAA", a) for a in records.of_family(Family.IPV6))
        case "SRV":
            return _srv(qname, records)
        case "PTR":
            return tuple(Rr(qname, "PTR", target) for target in records.ptr)
        case "TXT":
            return tuple(Rr(qname, "TXT", text, VERSION_TTL_S) for text in records.txt)
        case "NS":
            return tuple(Rr(qname, "NS", server) for server in records.ns)
        case "SOA":
            return (_soa(zone, qname),) if qname.lower() == zone.domain else ()
        case "ANY":
            kinds = ("A", "AAAA", "SRV", "PTR", "TXT", "NS")
            return tuple(rr for kind in kinds for rr in _records(zone, qname, kind, records))
        case _:
            return ()


def _srv(qname: str, records: Records) -> tuple[Rr, ...]:
    """All at priority 0; a weight of 100 is shared before the same target twice is dropped, as CoreDNS shares it."""
    weight = max(1, 100 // max(1, records.shares))
    return tuple(Rr(qname, "SRV", (0, weight, entry.port, entry.target)) for entry in records.srv)


def _glue(zone: Zone, found: tuple[Rr, ...]) -> tuple[Rr, ...]:
    """Addresses of the names that SRV and NS records point to."""
    targets: dict[str, None] = {}
    for rr in found:
        if rr.type == "SRV":
            assert len(rr.value) == 4
            targets[str(rr.value[3])] = None
        elif rr.type == "NS":
            targets[str(rr.value)] = None
    result: list[Rr] = []
    for target in targets:
        for address in (zone.find(target) or Records()).addresses:
            result.append(Rr(target, "AAAA" if ":" in address else "A", address))
    return tuple(result)


def _chase(zone: Zone, qname: str, qtype: str, records: Records, negative: tuple[Rr, ...]) -> Answer:
    """Follow an ExternalName: the CNAME first, then what is behind it; nothing when it leads round in a circle."""
    chain: list[Rr] = []
    at: Records | None = records
    owner = qname
    while at is not None and at.cname:
        if len(chain) == MAX_CHASE:
            return Answer(NOERROR, (), negative)
        chain.append(Rr(owner, "CNAME", at.cname))
        owner = at.cname
        if qtype == "CNAME":
            return Answer(NOERROR, tuple(chain))
        if not zone.is_ours(owner):
            return Answer(NOERROR, tuple(chain), outside=owner)
        at = zone.find(owner)
    if at is None:
        return Answer(NXDOMAIN, tuple(chain), negative)
    behind = _records(zone, owner, qtype, at)
    return Answer(NOERROR, (*chain, *behind), () if behind else negative)


def rotations(found: Answer, limit: int = 16) -> list[Answer]:
    """The answer with its addresses turned to as many as LIMIT beginnings, so that clients spread over them."""
    turning = [rr for rr in found.answers if rr.type in ("A", "AAAA")]
    if len(turning) < 2:
        return [found]
    fixed = tuple(rr for rr in found.answers if rr.type not in ("A", "AAAA"))
    turns = min(len(turning), limit)
    return [
        Answer(found.code, (*fixed, *turning[at:], *turning[:at]), found.authority, found.additional, found.outside)
        for at in (len(turning) * turn // turns for turn in range(turns))
    ]
