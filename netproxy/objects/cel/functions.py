"""The functions of expressions: those of the language, of its extensions for strings, lists and sets, and Kubernetes' own.

Source: github.com/google/cel-go ext (strings.go, lists.go, sets.go); kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/cel/library
(urls.go, regex.go, lists.go, quantity.go, ip.go, cidr.go, format.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from netproxy.objects.cel.kubernetes import KUBERNETES, KUBERNETES_METHODS
from netproxy.objects.cel.syntax import Unsigned
from netproxy.objects.cel.values import NONE, CelError, Kind, Optional, in_range, is_number, kind_of, no_overload, same
from netproxy.objects.custom.goregex import compiled as regex
from netproxy.objects.custom.numbers import go_number
from netproxy.objects.validation.words import quoted

_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _fraction(value: float) -> str:
    """A fraction in as few digits as tell it."""
    if value == 0 or 1e-4 <= abs(value) < 1e6 or value != value:
        return go_number(value)
    digits = max(len(repr(value).partition("e")[0].replace(".0", "").replace(".", "").lstrip("-0")) - 1, 0)
    mantissa, _, power = f"{value:.{min(digits, 16)}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{power}"


def text_of(value: Any) -> str:
    """A value of a plain type as text. Raises CelError."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return _fraction(value)
        case int():
            return str(int(value))
        case bytes():
            return value.decode()
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S") + (f".{value:%f}".rstrip("0") if value.microsecond else "") + "Z"
        case timedelta():
            return f"{go_number(value.total_seconds())}s"
    if hasattr(value, "text"):
        return str(value.text)
    raise no_overload()


def _inconvertible(kind: str) -> CelError:
    return CelError(f"type conversion error from 'string' to '{kind}'")


def _integer(value: Any) -> int:
    if isinstance(value, str):
        try:
            return in_range(int(value))
        except ValueError:
            raise _inconvertible("int") from None
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(value, timedelta):
        return int(value.total_seconds() * 10**9)
    if not is_number(value):
        raise no_overload()
    return in_range(int(value))


def _unsigned(value: Any) -> Unsigned:
    number = _integer(value)
    if number < 0:
        raise CelError("unsigned integer overflow")
    return Unsigned(number)


def _double(value: Any) -> float:
    if not isinstance(value, str) and not is_number(value):
        raise no_overload()
    try:
        return float(value)
    except ValueError:
        raise _inconvertible("double") from None


def _boolean(value: Any) -> bool:
    known = {"1": True, "t": True, "true": True, "TRUE": True, "True": True, "T": True}
    known |= {"0": False, "f": False, "false": False, "FALSE": False, "False": False, "F": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise no_overload()
    if value not in known:
        raise _inconvertible("bool")
    return known[value]


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise no_overload()
    return value.encode()


def duration(value: Any) -> timedelta:
    """A length of time from Go's words for it. Raises CelError."""
    if isinstance(value, timedelta):
        return value
    found = regex(r"^[+-]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$").search(value)
    if not found:
        raise _inconvertible("google.protobuf.Duration")
    units = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = regex(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h)").findall(value)
    seconds = sum(float(number) * units[unit] for number, unit in parts)
    return timedelta(seconds=-seconds if value.startswith("-") else seconds)


def timestamp(value: Any) -> datetime:
    """A time from RFC 3339. Raises CelError."""
    if isinstance(value, datetime):
        return value
    if is_number(value):
        return datetime.fromtimestamp(value, UTC)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise _inconvertible("google.protobuf.Timestamp") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _size(value: Any) -> int:
    if not isinstance(value, str | bytes | list | dict):
        raise no_overload()
    return len(value)


# --- strings


def _text(work: Callable[..., Any]) -> Callable[..., Any]:
    """A method of strings only."""

    def method(of: Any, *arguments: Any) -> Any:
        if not isinstance(of, str):
            raise no_overload()
        return work(of, *arguments)

    return method


def _needs(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise no_overload()
    return value


def _substring(of: str, first: int, last: int | None = None) -> str:
    end = len(of) if last is None else last
    if 0 <= end < first <= len(of):
        raise CelError(f"invalid substring range. start: {first}, end: {end}")
    if not 0 <= first <= end <= len(of):
        raise CelError(f"index out of range: {first if first > len(of) or first < 0 else end}")
    return of[first:end]


def _char_at(of: str, at: int) -> str:
    if not 0 <= at <= len(of):
        raise CelError(f"index out of range: {at}")
    return of[at : at + 1]


def _replace(of: str, old: str, new: str, most: int = -1) -> str:
    return of.replace(old, new, most) if most >= 0 else of.replace(old, new)


def _split(of: str, by: str, most: int = -1) -> list[str]:
    if most == 0:
        return []
    parts = of.split(by) if by else list(of)
    if 0 < most < len(parts):
        return [*parts[: most - 1], by.join(parts[most - 1 :])]
    return parts


def _format(of: str, arguments: list[Any]) -> str:
    """Clauses like %s and %.2f with the values of a list."""
    left = iter(arguments)

    def clause(found: Any) -> str:
        if found[2] == "%":
            return "%"
        value = next(left, None)
        match found[2]:
            case "d":
                return str(_needs(value, int))
            case "f":
                return f"{value:.{found[1] or 6}f}"
            case "e":
                mantissa, _, power = f"{value:.6e}".partition("e")
                return f"{mantissa}×10{power.replace('+', '').translate(_RAISED)}"
            case "x" | "X" | "o" | "b":
                return format(value, found[2]) if isinstance(value, int) else _needs(value, str).encode().hex()
        return _shown(value)

    return regex(r"%(?:\.(\d+))?([sdfexXob%])").sub(clause, of)


def _shown(value: Any) -> str:
    """A value of any type in a text."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inner, value))}]"
    if isinstance(value, dict):
        pairs = sorted((_inner(key), _inner(item)) for key, item in value.items())
        return "{" + ", ".join(f"{key}:{item}" for key, item in pairs) + "}"
    if value is None:
        return "null"
    return value.name if isinstance(value, Kind) else text_of(value)


def _inner(value: Any) -> str:
    """A value within a list or a map in a text."""
    match value:
        case str():
            return quoted(value)
        case float():
            return f"{value:.6f}"
        case bytes():
            return f"b{quoted(value.decode())}"
        case timedelta():
            return f'duration("{text_of(value)}")'
        case datetime():
            return f'timestamp("{text_of(value)}")'
    return _shown(value)


def _index_of(of: Any, what: Any, begin: int = 0) -> int:
    if isinstance(of, str):
        return of.find(what, begin)
    return next((at for at, item in enumerate(of) if same(item, what)), -1)


def _last_index_of(of: Any, what: Any) -> int:
    if isinstance(of, str):
        return of.rfind(what)
    return next((at for at in reversed(range(len(of))) if same(of[at], what)), -1)


# --- lists and sets


def _list(work: Callable[..., Any]) -> Callable[..., Any]:
    def method(of: Any, *arguments: Any) -> Any:
        return work(_needs(of, list), *arguments)

    return method


def _is_sorted(of: list[Any]) -> bool:
    return all(left <= right for left, right in pairwise(of))


def _sum(of: list[Any]) -> Any:
    if not of:
        return 0
    total = of[0]
    for each in of[1:]:
        total += each
    return in_range(total) if type(total) is int else total


def _edge(work: Callable[[list[Any]], Any], word: str) -> Callable[[list[Any]], Any]:
    def method(of: list[Any]) -> Any:
        if not of:
            raise CelError(f"{word} called on empty list")
        return work(of)

    return _list(method)


def _flat(of: list[Any], depth: int = 1) -> list[Any]:
    made: list[Any] = []
    for item in of:
        made += _flat(item, depth - 1) if isinstance(item, list) and depth > 0 else [item]
    return made


def _distinct(of: list[Any]) -> list[Any]:
    made: list[Any] = []
    for item in of:
        if not any(same(item, each) for each in made):
            made.append(item)
    return made


def _slice(of: list[Any], first: int, last: int) -> list[Any]:
    if not 0 <= first <= last <= len(of):
        raise CelError(f"cannot slice({first}, {last}), list is length {len(of)}")
    return of[first:last]


def _contains_all(left: list[Any], right: list[Any]) -> bool:
    return all(any(same(item, each) for each in left) for item in right)


def _intersects(left: list[Any], right: list[Any]) -> bool:
    return any(same(item, each) for each in left for item in right)


# --- times


def _when(work: Callable[[datetime], int]) -> Callable[..., int]:
    def method(of: datetime, zone: str = "UTC") -> int:
        return work(of.astimezone(_zone(zone)))

    return method


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise CelError(f"unknown time zone {name}") from None


def _length(unit_s: float, work: Callable[[datetime], int]) -> Callable[..., int]:
    """A part of a time, or a length of time in a unit."""

    def method(of: datetime | timedelta, zone: str = "UTC") -> int:
        return int(of.total_seconds() / unit_s) if isinstance(of, timedelta) else _when(work)(of, zone)

    return method


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "size": _size, "int": _integer, "uint": _unsigned, "double": _double, "string": text_of, "bool": _boolean, "bytes": _bytes,
    "dyn": lambda value: value, "type": lambda value: Kind(kind_of(value)), "duration": duration, "timestamp": timestamp,
    "matches": lambda of, pattern: regex(pattern).search(of) is not None,
    "optional.of": lambda value: Optional((value,)), "optional.none": lambda: NONE,
    "optional.ofNonZeroValue": lambda value: Optional((value,)) if value else NONE,
    "sets.contains": _contains_all, "sets.intersects": _intersects,
    "sets.equivalent": lambda left, right: _contains_all(left, right) and _contains_all(right, left),
    "strings.quote": quoted, "lists.range": lambda count: list(range(count)), **KUBERNETES,
}  # fmt: skip
"""By name."""

METHODS: Mapping[str, Callable[..., Any]] = {
    "size": _size, "startsWith": _text(str.startswith), "endsWith": _text(str.endswith), "matches": FUNCTIONS["matches"],
    "contains": _text(lambda of, what: _needs(what, str) in of), "lowerAscii": _text(str.lower), "upperAscii": _text(str.upper),
    "trim": _text(str.strip), "replace": _text(_replace), "split": _text(_split), "substring": _text(_substring),
    "charAt": _text(_char_at), "format": _text(_format), "indexOf": _index_of, "lastIndexOf": _last_index_of,
    "reverse": _list(lambda of: of[::-1]), "join": _list(lambda of, by="": by.join(of)),
    "find": _text(lambda of, pattern: (regex(pattern).search(of) or [""])[0]),
    "findAll": _text(lambda of, pattern, most=None: [found[0] for found in regex(pattern).finditer(of)][:most]),
    "isSorted": _list(_is_sorted), "sum": _list(_sum), "min": _edge(min, "min"), "max": _edge(max, "max"),
    "flatten": _list(_flat), "distinct": _list(_distinct), "slice": _list(_slice), "sort": _list(sorted),
    "first": _list(lambda of: Optional(tuple(of[:1]))), "last": _list(lambda of: Optional(tuple(of[-1:]))),
    "hasValue": lambda of: bool(of.values), "value": lambda of: of.value, "or": lambda of, other: of if of.values else other,
    "orValue": lambda of, other: of.value if of.values else other,
    "getFullYear": _when(lambda time: time.year), "getMonth": _when(lambda time: time.month - 1),
    "getDate": _when(lambda time: time.day), "getDayOfMonth": _when(lambda time: time.day - 1),
    "getDayOfWeek": _when(lambda time: time.isoweekday() % 7), "getDayOfYear": _when(lambda time: time.timetuple().tm_yday - 1),
    "getHours": _length(3600, lambda time: time.hour), "getMinutes": _length(60, lambda time: time.minute),
    "getSeconds": _length(1, lambda time: time.second),
    "getMilliseconds": _length(0.001, lambda time: time.microsecond // 1000),
    **KUBERNETES_METHODS,
}  # fmt: skip
"""By name; the first argument is what it belongs to."""
