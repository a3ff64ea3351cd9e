"""Bytes ↔ message: questions in, answers out, with EDNS, truncation and the errors of the header.

What anybody may send is read here, strictly and in one pass; what an upstream server answers is read by dnslib.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netproxy.dns.answer import BADVERS, FORMERR, NOTIMP, SERVFAIL, Answer, Rr

UDP_SIZE = 512
OUR_UDP_SIZE = 1232
STREAM_SIZE = 65535
MAX_LABEL = 63
MAX_NAME = 255

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "NAPTR": 35,
    "DS": 43, "RRSIG": 46, "DNSKEY": 48, "SVCB": 64, "HTTPS": 65, "IXFR": 251, "AXFR": 252, "ANY": 255, "CAA": 257,
}  # fmt: skip
_WORDS = {number: word for word, number in TYPES.items()}
_IN, _OPT = 1, 41
_HEADER = struct.Struct(">6H")
_TWO = struct.Struct(">2H")
_FIXED = struct.Struct(">HHIH")
_OPTIONS_SIZE = 11
_POINTER = 0xC000
_PLAIN = frozenset(range(33, 127)) - {ord("."), ord("\\")}
_ESCAPE = re.compile(rb"\\(\d{3})")


class WireError(ValueError):
    """The bytes are no message, or the names of an answer cannot be written as bytes."""


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
    dnssec: bool = False
    udp_size: int = UDP_SIZE
    raw: bytes = b""
    """The question's section as it came: the answer repeats it, letter by letter."""


def parse(data: bytes) -> Question | None:
    """Read a query; None for what must not be answered at all (too short, or a response)."""
    if len(data) < _HEADER.size or data[2] & 0x80:
        return None
    number, flags, questions, *others = _HEADER.unpack_from(data)
    opcode, recursion = flags >> 11 & 15, bool(flags & 0x100)
    if opcode:
        return Question(number, code=NOTIMP, opcode=opcode, recursion=recursion)
    try:
        if questions != 1:
            raise WireError("a query has one question")
        name, at = _read_name(data, _HEADER.size)
        kind, group = _TWO.unpack_from(data, at)
        options = _read_options(data, at + _TWO.size, sum(others))
    except (WireError, IndexError, struct.error):
        return Question(number, code=FORMERR, recursion=recursion)
    size, extended = options or (0, 0)
    code = BADVERS if extended >> 16 & 0xFF else 0 if group == _IN else NOTIMP
    return Question(
        number, name, _WORDS.get(kind) or f"TYPE{kind}", code, 0, recursion, bool(flags & 0x10), options is not None,
        bool(extended & 0x8000), max(UDP_SIZE, size), bytes(data[_HEADER.size : at + _TWO.size]),
    )  # fmt: skip


def _read_name(data: bytes, at: int) -> tuple[str, int]:
    """The question's name, without the last dot, and where it ends. There is nothing yet that a pointer could mean."""
    start, labels = at, []
    while length := data[at]:
        if length > MAX_LABEL:
            raise WireError("a label is too long or a pointer")
        labels.append(_word(data[at + 1 : at + 1 + length]))
        at += 1 + length
    if at + 1 - start > MAX_NAME:
        raise WireError("the name is too long")
    return ".".join(labels), at + 1


def _word(label: bytes) -> str:
    if _PLAIN.issuperset(label):
        return label.decode("ascii")
    return "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03}" for byte in label)


def _read_options(data: bytes, at: int, count: int) -> tuple[int, int] | None:
    """(size, extended flags) of the OPT record among the COUNT records from AT on; None when there is none."""
    found = None
    for _ in range(count):
        at = _name_end(data, at)
        kind, size, extended, inside = _FIXED.unpack_from(data, at)
        at += _FIXED.size + inside
        if at > len(data) or (kind == _OPT and found):
            raise WireError("a record is cut off, or there are two OPT")
        if kind == _OPT:
            found = size, extended
    return found


def _name_end(data: bytes, at: int) -> int:
    while 0 < (length := data[at]) <= MAX_LABEL:
        at += 1 + length
    if 0 < length < _POINTER >> 8:
        raise WireError("a label is too long")
    return at + (2 if length else 1)


def pack(question: Question, answer: Answer, *, size: int, authoritative: bool = True) -> bytes:
    """Write an answer of at most SIZE bytes; of a larger one as many records as fit, in their order, and the TC bit.

    SIZE 0 is as much as a TCP connection takes. A record that cannot be written makes the answer SERVFAIL.
    """
    try:
        return _packed(question, answer, size, authoritative=authoritative)
    except WireError:
        return _packed(question, Answer(SERVFAIL), size, authoritative=authoritative)


def _packed(question: Question, answer: Answer, size: int, *, authoritative: bool) -> bytes:
    out = bytearray(_HEADER.size) + question.raw
    names = dict(_suffixes(question.name, _HEADER.size)) if question.raw else {}
    room = (size or STREAM_SIZE) - (_OPTIONS_SIZE if question.edns else 0)
    counts, cut = [0, 0, 0], False
    for section, records in enumerate((answer.answers, answer.authority, answer.additional)):
        for rr in records if not cut else ():
            end = len(out)
            _write(out, rr, names)
            if len(out) > room:
                del out[end:]
                cut = True
                break
            counts[section] += 1
    if question.edns:
        out += b"\0" + _FIXED.pack(_OPT, OUR_UDP_SIZE, answer.code >> 4 << 24 | question.dnssec << 15, 0)
        counts[2] += 1
    flags = (
        0x8080 | question.opcode << 11 | (authoritative and not question.code) << 10 | cut << 9 | question.recursion << 8
        | question.checking_disabled << 4 | answer.code & 15
    )  # fmt: skip
    _HEADER.pack_into(out, 0, question.id, flags, int(bool(question.raw)), *counts)
    return bytes(out)


def _suffixes(name: str, at: int) -> Iterator[tuple[str, int]]:
    """Each name that ends NAME, and where it begins when NAME begins at AT."""
    while name:
        yield name, at
        label, _, name = name.partition(".")
        at += 1 + len(_label(label))


def _label(word: str) -> bytes:
    try:
        label = word.encode("ascii")
    except UnicodeEncodeError as error:
        raise WireError(f"{word!r} is not ASCII") from error
    if b"\\" in label:
        label = _ESCAPE.sub(lambda found: bytes([int(found[1]) & 0xFF]), label)
    if not 0 < len(label) <= MAX_LABEL:
        raise WireError(f"{word!r} is no label of a name")
    return label


def _write(out: bytearray, rr: Rr, names: dict[str, int]) -> None:
    _write_name(out, rr.name, names)
    start = len(out)
    out += _FIXED.pack(TYPES[rr.type], _IN, rr.ttl_s, 0)
    _write_value(out, rr, names)
    struct.pack_into(">H", out, start + 8, len(out) - start - _FIXED.size)


def _write_name(out: bytearray, name: str, names: dict[str, int] | None = None, *, in_full: bool = False) -> None:
    """The name; what was written before (NAMES) is pointed at, unless it must be there IN_FULL."""
    if len(name) - 3 * name.count("\\") > MAX_NAME - 2:
        raise WireError("a name is too long")
    while name:
        if names is not None and name in names and not in_full:
            out += (_POINTER | names[name]).to_bytes(2, "big")
            return
        if names is not None and len(out) < 0x4000:
            names.setdefault(name, len(out))
        word, _, name = name.partition(".")
        label = _label(word)
        out.append(len(label))
        out += label
    out.append(0)


def _write_value(out: bytearray, rr: Rr, names: dict[str, int]) -> None:
    value: Any = rr.value
    match rr.type:
        case "A" | "AAAA":
            out += _address(value)
        case "SRV":
            out += struct.pack(">3H", *value[:3])
            _write_name(out, value[3], names, in_full=True)
        case "TXT":
            text = value.encode()
            for at in range(0, len(text), 255):
                part = text[at : at + 255]
                out.append(len(part))
                out += part
        case "SOA":
            _write_name(out, value[0], names)
            _write_name(out, value[1], names)
            out += struct.pack(">5I", *(number & 0xFFFFFFFF for number in value[2]))
        case _:
            _write_name(out, value, names)


def _address(text: str) -> bytes:
    try:
        return ipaddress.ip_address(text).packed
    except ValueError as error:
        raise WireError(f"{text!r} is no address") from error


def failure(data: bytes, code: int = SERVFAIL) -> bytes | None:
    """The shortest answer to a query whose handling failed: its header with a code; None when it must get none."""
    if len(data) < _HEADER.size or data[2] & 0x80:
        return None
    return data[:2] + bytes((0x80 | data[2] & 0x79, 0x80 | code)) + bytes(8)


def shortened(question: Question, data: bytes, size: int) -> bytes:
    """What somebody else answered; of more than SIZE bytes as many records as fit, in their order, its OPT, and the TC bit.

    Of what cannot be read only the bit.
    """
    try:
        return data if len(data) <= size else _shortened(data, size)
    except (WireError, IndexError, struct.error):
        return cut(question)


def _shortened(data: bytes, size: int) -> bytes:
    number, flags, questions, *sections = _HEADER.unpack_from(data)
    at = _HEADER.size
    for _ in range(questions):
        at = _name_end(data, at) + _TWO.size
    out, counts = bytearray(data[:at]), [0, 0, 0]
    records = list(_records(data, at, sections))
    options = next((record for _, kind, record in records if kind == _OPT), b"")
    for section, kind, record in records:
        if kind == _OPT or len(out) + len(record) + len(options) > size:  # what is behind an OPT may point behind it
            break
        out += record
        counts[section] += 1
    counts[2] += bool(options)
    _HEADER.pack_into(out, 0, number, flags | 0x200, questions, *counts)
    return bytes(out + options)


def _records(data: bytes, at: int, sections: list[int]) -> Iterator[tuple[int, int, bytes]]:
    """Section, type and bytes of each record."""
    for section, count in enumerate(sections):
        for _ in range(count):
            fixed = _name_end(data, at)
            kind, _, _, inside = _FIXED.unpack_from(data, fixed)
            end = fixed + _FIXED.size + inside
            if end > len(data):
                raise WireError("a record is cut off")
            yield section, kind, data[at:end]
            at = end


def cut(question: Question) -> bytes:
    """An answer that only says: ask again over TCP."""
    data = bytearray(pack(question, Answer(), size=0, authoritative=False))
    data[2] |= 2
    return bytes(data)


def merge_outside(own: Answer, data: bytes) -> Answer:
    """The answer with what an upstream server said about the name outside."""
    import dnslib  # here, because it takes time and only some clusters need it

    try:
        record = dnslib.DNSRecord.parse(data)
        extra = tuple(
            Rr(str(rr.rname).removesuffix("."), _WORDS[rr.rtype], str(rr.rdata).removesuffix("."), min(rr.ttl, 30))
            for rr in record.rr
            if rr.rtype in (TYPES["A"], TYPES["AAAA"], TYPES["CNAME"])
        )
    except Exception:  # the library raises anything
        return Answer(SERVFAIL, own.answers)
    return Answer(int(record.header.rcode), (*own.answers, *extra))


def query(name: str, kind: str, number: int) -> bytes:
    """A query for a name, to be sent upstream. Raises WireError for what is no name or no type."""
    kind_number = TYPES.get(kind) or int(kind.removeprefix("TYPE"))
    out = bytearray(_HEADER.pack(number, 0x100, 1, 0, 0, 0))
    _write_name(out, name)
    return bytes(out + _TWO.pack(kind_number, _IN))
