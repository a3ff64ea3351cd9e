"""One class for each kind of check. A check is data; `run` says in a sentence what is wrong, or nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from netproxy.client.port import Selector
from netproxy.core.net import is_address
from netproxy.labkit.world import World
from netproxy.objects.kinds import ENDPOINT_SLICES

ENOUGH_FAILURES = 3
"""After so many connections that failed nobody needs the rest: each may take two seconds."""
CODES = {"NOERROR": 0, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}


class Check(Protocol):
    """What all kinds have."""

    @property
    def name(self) -> str:
        """How the report and lab.yaml call it."""
        ...

    def run(self, world: World) -> str:
        """An empty text when it holds, else what was seen instead."""
        ...


@dataclass(frozen=True, slots=True)
class Http:
    """A GET from a machine is answered: by a status, with a text; or it is refused, or times out."""

    name: str
    source: str
    host: str
    port: int = 80
    path: str = "/"
    status: int = 200
    body: str = ""
    error: str = ""

    def run(self, world: World) -> str:
        """Ask once."""
        reply = world.http(self.source, self.host, self.port, self.path)
        if self.error:
            return "" if reply.error == self.error else f"expected {self.error}, got {reply.error or reply.status}"
        if reply.error:
            return f"{self.host}:{self.port} from {self.source}: {reply.error}"
        if reply.status != self.status:
            return f"status {reply.status}, expected {self.status}"
        return "" if re.search(self.body, reply.body) else f"the answer is {reply.body[:80]!r}, expected /{self.body}/"


@dataclass(frozen=True, slots=True)
class Spread:
    """Connections spread evenly over BACKENDS, as a chi-squared test says that errs once in a hundred thousand runs."""

    name: str
    source: str
    host: str
    backends: int
    port: int = 80
    path: str = "/hostname"
    count: int = 1000

    def run(self, world: World) -> str:
        """Connect COUNT times and compare the shares with 1/n; a few failures are enough to know."""
        host = self.host
        if not is_address(host):
            _, found = world.resolve(self.source, host)
            host = found[0] if found else host
        replies: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        for number in range(1, self.count + 1):
            reply = world.http(self.source, host, self.port, self.path)
            if reply.error:
                errors[reply.error] += 1
            else:
                replies[reply.body] += 1
            if errors.total() == ENOUGH_FAILURES or (errors and number == self.count):
                return f"{errors.total()} of {number} connections failed: {', '.join(errors)}"
        return self._unequal(replies)

    def _unequal(self, replies: Counter[str]) -> str:
        if len(replies) != self.backends:
            return f"{len(replies)} backends answered, expected {self.backends}"
        value = chi_squared(list(replies.values()))
        limit = chi_squared_limit(self.backends - 1)
        if value <= limit:
            return ""
        return f"chi-squared is {value:.1f}, more than {limit:.1f}: the shares are {dict(replies)}"


def chi_squared(counts: Sequence[int]) -> float:
    """How far the counts are from all being equal.

    >>> chi_squared([10, 10]), chi_squared([20, 10])
    (0.0, 3.3333333333333335)
    """
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 / expected for count in counts)


def chi_squared_limit(freedom: int, z: float = 4.2649) -> float:
    """The value that chance exceeds once in a hundred thousand (Wilson and Hilferty's approximation).

    >>> round(chi_squared_limit(2), 1)
    24.7
    """
    if freedom < 1:
        return 0.0
    step = 2 / (9 * freedom)
    return float(freedom * (1 - step + z * math.sqrt(step)) ** 3)


@dataclass(frozen=True, slots=True)
class Dns:
    """A question to the cluster's name server has this many answers, or exactly these, or this code."""

    name: str
    source: str
    query: str
    type: str = "A"
    count: int | None = None
    answers: Sequence[str] | None = None
    code: str = "NOERROR"

    def run(self, world: World) -> str:
        """Ask once."""
        code, found = world.resolve(self.source, self.query, self.type)
        if code != CODES[self.code]:
            return f"rcode {code}, expected {self.code}"
        if self.count is not None and len(found) != self.count:
            return f"{len(found)} answers ({', '.join(found)}), expected {self.count}"
        if self.answers is not None and found != sorted(self.answers):
            return f"the answers are {', '.join(found)}, expected {', '.join(self.answers)}"
        return ""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a Service on a node hold these texts, in this order."""

    name: str
    service: str
    contains: Sequence[str]
    node: str = ""

    def run(self, world: World) -> str:
        """Read them with their counters, as `netproxy rules` does."""
        lines = world.rules(self.service, self.node).rules
        texts = iter([line.text for line in lines])
        for wanted in self.contains:
            if not any(re.search(wanted, text) for text in texts):
                return f"no rule matches /{wanted}/ (in this order)"
        missing = [line.text for line in lines if not line.present]
        return f"missing from the kernel: {missing[0]}" if missing else ""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A Service has so many ready endpoints."""

    name: str
    service: str
    count: int

    def run(self, world: World) -> str:
        """Count them over all slices."""
        items = world.objects(ENDPOINT_SLICES, Selector("default", f"kubernetes.io/service-name={self.service}"))
        ready = sum(
            1
            for item in items
            for e in item["endpoints"] or ()
            if (e.get("conditions") or {}).get("ready") is not False
        )
        return "" if ready == self.count else f"{ready} ready endpoints, expected {self.count}"


KINDS: dict[str, type[Http] | type[Spread] | type[Dns] | type[Rules] | type[Endpoints]] = {
    "http": Http,
    "spread": Spread,
    "dns": Dns,
    "rules": Rules,
    "endpoints": Endpoints,
}
