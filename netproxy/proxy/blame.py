"""Whose rules the kernel refuses: one bad service port must not keep all others from being served.

A transaction is refused as a whole, and the reason rarely names a Service. So halves of a snapshot are tried out, then
halves of the halves: one bad port among N is found in about 2·log2(N) tries, whose sizes add up to twice the snapshot's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from netproxy.proxy.model import ServicePort, Snapshot

E = TypeVar("E")
TryOut = Callable[[Snapshot], E | None]
"""Asks whether the kernel takes the rules of a snapshot: None, or why not."""

MOST_TRIES = 200


@dataclass(frozen=True, slots=True)
class Blame(Generic[E]):
    """One service port that has to be left out, and what the kernel said."""

    service: ServicePort
    error: E


def culprits(snapshot: Snapshot, try_out: TryOut[E], *, most_tries: int = MOST_TRIES) -> tuple[Blame[E], ...]:
    """The service ports without which the kernel takes the rest of SNAPSHOT, in order.

    Empty when the kernel takes everything, and when it refuses even rules without any service port: then nobody is to
    blame. Ports that are refused only beside others are found, too; the first of them stays. When MOST_TRIES are used
    up, everything that is still under suspicion is named, so that the rest can be served.
    """
    trial = _Trial(snapshot, try_out, most_tries)
    error = trial.asked(snapshot.services)
    if error is None or trial.asked(()) is not None:
        return ()
    found = trial.guilty(snapshot.services, error)
    names = {id(blame.service) for blame in found}
    rest = tuple(service for service in snapshot.services if id(service) not in names)
    error = trial.asked(rest)
    if error is not None:
        found += trial.guilty_together(rest, error)
    places = {id(service): at for at, service in enumerate(snapshot.services)}
    return tuple(sorted(found, key=lambda blame: places[id(blame.service)]))


def without(snapshot: Snapshot, blamed: tuple[Blame[E], ...]) -> Snapshot:
    """The snapshot without those that are to blame, as long as they are what they were: a changed one gets a new trial."""
    known = {blame.service.name: blame.service for blame in blamed}
    return replace(snapshot, services=tuple(s for s in snapshot.services if known.get(s.name) != s), step=None)


_Services = tuple[ServicePort, ...]


class _Trial(Generic[E]):
    """Asks the kernel, and counts how often."""

    def __init__(self, snapshot: Snapshot, try_out: TryOut[E], most_tries: int) -> None:
        self._snapshot = snapshot
        self._try_out = try_out
        self._left = most_tries

    def asked(self, services: _Services) -> E | None:
        self._left -= 1
        return self._try_out(replace(self._snapshot, services=services, step=None))

    def _is_decided(self, suspects: _Services) -> bool:
        return len(suspects) == 1 or self._left <= 0

    def guilty(self, suspects: _Services, error: E) -> list[Blame[E]]:
        """Those of SUSPECTS, refused with ERROR, that are refused by themselves."""
        if self._is_decided(suspects):
            return [Blame(service, error) for service in suspects]
        found: list[Blame[E]] = []
        for half in _halves(suspects):
            problem = self.asked(half)
            if problem is not None:
                found += self.guilty(half, problem)
        return found

    def guilty_together(self, suspects: _Services, error: E, kept: _Services = ()) -> list[Blame[E]]:
        """Those of SUSPECTS that are refused beside KEPT and those before them."""
        if self._is_decided(suspects):
            return [Blame(service, error) for service in suspects]
        first, second = _halves(suspects)
        problem = self.asked((*kept, *first))
        if problem is None:  # and all together are refused, as we know
            return self.guilty_together(second, error, (*kept, *first))
        found = self.guilty_together(first, problem, kept)
        names = {id(blame.service) for blame in found}
        kept = (*kept, *(service for service in first if id(service) not in names))
        problem = self.asked((*kept, *second))
        return found if problem is None else found + self.guilty_together(second, problem, kept)


def _halves(services: _Services) -> tuple[_Services, _Services]:
    middle = len(services) // 2
    return services[:middle], services[middle:]
