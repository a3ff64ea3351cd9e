"""What a worker is told, and what it publishes: values, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from netproxy.core.net import Family
from netproxy.nodeproxy.choice import Choice
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.objects.meta import Object
from netproxy.proxy.config import duration_s
from netproxy.proxy.health import HealthCheck


@dataclass(frozen=True, slots=True)
class Observed:
    """One object was added, changed (from OLD) or deleted."""

    kind: str
    obj: Object
    old: Object | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What changed at once; it comes into one pass."""

    number: int
    changes: tuple[Observed, ...]


@dataclass(frozen=True, slots=True)
class Configured:
    """The Node, the configuration or the choice of a mode is another one."""

    number: int
    node: Object
    config: Mapping[str, Any]
    choice: Choice


@dataclass(frozen=True, slots=True)
class Checked:
    """Look at the kernel now."""

    number: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about the state, and where the answer goes."""

    question: Callable[[FamilyProxy], Any]
    answer: Future[Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """Close everything; the rules stay."""


Message = Batch | Configured | Checked | Asked | Ended


@dataclass(frozen=True, slots=True)
class Periods:
    """Seconds between two looks at the kernel, and at least from the end of one pass to the next."""

    sync_s: float = 30.0
    least_s: float = 0.0


def periods(config: Mapping[str, Any], mode: str) -> Periods:
    """What the configuration says for a mode; what it does not say for one, it says for iptables."""
    own, usual = config.get(mode) or {}, config.get("iptables") or {}
    sync = own.get("syncPeriod") or usual.get("syncPeriod")
    least = own.get("minSyncPeriod") or usual.get("minSyncPeriod")
    return Periods(max(0.05, duration_s(sync, 30)), duration_s(least, 0))


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not work, for as long as it does not."""

    what: str
    """`rules`, `configuration`, or the object that cannot be understood."""
    message: str
    since: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A Service that is not served here, since the kernel refuses its rules."""

    namespace: str
    service: str
    port: str
    message: str


@dataclass(frozen=True, slots=True)
class LastPass:
    """What the last pass that worked did."""

    changed: int = 0
    is_full: bool = True
    """Whether it looked at the kernel first, or wrote everything."""
    took_s: float = 0.0
    forgotten_flows: int = 0
    flows_s: float = 0.0
    programmed_s: tuple[float, ...] = ()
    """How long after each Pod's change its endpoints were in the kernel, as far as slices say when that was."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How many changes so far."""

    services: int = 0
    slices: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker last published of one family of a node."""

    node: str
    family: Family
    choice: Choice
    seen: int = 0
    """The number of the last message that the kernel follows."""
    passes: int = 0
    failures: int = 0
    last: LastPass = LastPass()
    heard: Heard = Heard()
    """Of everything that the kernel follows."""
    synced_at: float = 0.0
    """When the kernel was last right; seconds since the epoch, 0 for never."""
    faults: tuple[Fault, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    obstacles: tuple[str, ...] = ()
    """What of other people is in the way, in words."""
    checks: tuple[HealthCheck, ...] = ()
    check_addresses: tuple[str, ...] = ()
    """Where health check node ports listen."""
    services: int = 0
    endpoints: int = 0

    @property
    def error(self) -> str:
        """Why the rules cannot be written; empty when they can."""
        return next((fault.message for fault in self.faults if fault.what == "rules"), "")
