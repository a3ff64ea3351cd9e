"""Bytes ↔ message, by dnslib: questions in, answers out, with EDNS, truncation and the errors of the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dnslib
from dnslib import CLASS, QTYPE, DNSHeader, DNSQuestion, DNSRecord

from netproxy.dns.answer import BADVERS, FORMERR, NOTIMP, Answer, Rr

UDP_SIZE = 512
OUR_UDP_SIZE = 1232


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked; CODE is set when it cannot be answered (FORMERR, NOTIMP, BADVERS)."""

    id: int
    name: str = ""
    type: str = "A"
    code: int = 0
    opcode: int = 0
    recursion: bool = False
    checking_disabled: bool = False
    edns: bool = False
    udp_size: int = UDP_SIZE
    raw: Any = None


def parse(data: bytes) -> Question | None:
    """Read a query; None for what must not be answered at all (too short, or a response)."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    number = int.from_bytes(data[:2], "big")
    opcode = data[2] >> 3 & 15
    recursion = bool(data[2] & 1)
    if opcode != 0:
        return Question(number, code=NOTIMP, opcode=opcode, recursion=recursion)
    try:
        record = DNSRecord.parse(data)
    except Exception:
        return Question(number, code=FORMERR, recursion=recursion)
    if len(record.questions) != 1:
        return Question(number, code=FORMERR, recursion=recursion)
    asked = record.questions[0]
    options = next((rr for rr in record.ar if rr.rtype == QTYPE.OPT), None)
    version = (options.ttl >> 16) & 0xFF if options else 0
    kind = QTYPE.get(asked.qtype) if asked.qtype in QTYPE.forward else f"TYPE{asked.qtype}"
    return Question(
        number, str(asked.qname).removesuffix("."), kind, BADVERS if version else 0 if asked.qclass == CLASS.IN else NOTIMP, 0,
        recursion, bool(data[3] & 0x10), options is not None, max(UDP_SIZE, options.rclass) if options else UDP_SIZE, asked,
    )  # fmt: skip


def pack(question: Question, answer: Answer, *, size: int, authoritative: bool = True) -> bytes:
    """Write an answer of at most SIZE bytes (0 is no limit); a larger one has its TC bit set and no records."""
    record = _record(question, answer, authoritative=authoritative)
    data = bytes(record.pack())
    if size and len(data) > size:
        short = _record(question, Answer(answer.code), authoritative=authoritative)
        short.header.tc = 1
        data = bytes(short.pack())
    return data


def _record(question: Question, answer: Answer, *, authoritative: bool) -> Any:
    header = DNSHeader(
        id=question.id, qr=1, aa=int(authoritative and not question.code), ra=1, rd=int(question.recursion)
    )
    header.opcode = question.opcode
    header.cd = int(question.checking_disabled)
    header.rcode = answer.code & 15
    record = DNSRecord(header)
    if question.raw is not None:
        record.add_question(DNSQuestion(question.raw.qname, question.raw.qtype, question.raw.qclass))
    for rr in answer.answers:
        record.add_answer(_rr(rr))
    for rr in answer.authority:
        record.add_auth(_rr(rr))
    for rr in answer.additional:
        record.add_ar(_rr(rr))
    if question.edns:
        record.add_ar(dnslib.EDNS0(udp_len=OUR_UDP_SIZE, ext_rcode=answer.code >> 4))
    return record


def _rr(rr: Rr) -> Any:
    return dnslib.RR(rr.name + ".", getattr(QTYPE, rr.type), rdata=_rdata(rr), ttl=rr.ttl_s)


def _rdata(rr: Rr) -> Any:
    value: Any = rr.value
    match rr.type:
        case "A":
            return dnslib.A(value)
        case "AAAA":
            return dnslib.AAAA(value)
        case "SRV":
            return dnslib.SRV(value[0], value[1], value[2], value[3] + ".")
        case "TXT":
            return dnslib.TXT(value)
        case "SOA":
            return dnslib.SOA(value[0] + ".", value[1] + ".", value[2])
        case _:
            return getattr(dnslib, rr.type)(value + ".")


def merge_outside(own: Answer, data: bytes) -> Answer:
    """The answer with what an upstream server said about the name outside."""
    try:
        record = DNSRecord.parse(data)
    except Exception:
        return Answer(2, own.answers)
    extra = [
        Rr(str(rr.rname).removesuffix("."), QTYPE.get(rr.rtype), str(rr.rdata).removesuffix("."), min(rr.ttl, 30))
        for rr in record.rr
        if rr.rtype in (QTYPE.A, QTYPE.AAAA, QTYPE.CNAME)
    ]
    return Answer(int(record.header.rcode), (*own.answers, *extra))


def query(name: str, kind: str, number: int) -> bytes:
    """A query for a name, to be sent upstream."""
    record = DNSRecord(DNSHeader(id=number, rd=1), q=DNSQuestion(name + ".", getattr(QTYPE, kind)))
    return bytes(record.pack())
