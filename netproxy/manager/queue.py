"""Keys that somebody must look at: each once, in order, with back-off after a failure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_S, MOST_S = 0.01, 10.0
"""After the first failure a key waits for so long, then twice as long each time, up to the most."""

MANY = 100
"""So many keys may have rested without having been added again before they are forgotten."""


class Queue(Generic[K]):
    """A set that remembers order. What is added again while it waits is there once, at the earlier time."""

    def __init__(self) -> None:
        self._due: OrderedDict[K, None] = OrderedDict()
        self._later: dict[K, float] = {}
        self._times: list[tuple[float, int, K]] = []
        self._resting: dict[K, float] = {}
        self._failures: dict[K, int] = {}
        self._added = 0

    def add(self, key: K, *, at: float | None = None) -> None:
        """Look at KEY: now, or not before AT; one that rests waits for the end of that."""
        if key in self._due:
            return
        if key in self._resting:
            at = max(at or 0.0, self._resting[key])
        if at is None:
            self._later.pop(key, None)
            self._due[key] = None
        elif at < self._later.get(key, float("inf")):
            self._later[key] = at
            self._added += 1
            heappush(self._times, (at, self._added, key))

    def take(self, now: float) -> K | None:
        """The key that has been due for longest; it leaves the queue. None when none is due."""
        while self._times and (self._times[0][0] <= now or not self._is_valid()):
            is_valid, (_, _, key) = self._is_valid(), heappop(self._times)
            if is_valid:
                del self._later[key]
                self._due[key] = None
        if len(self._resting) > MANY:
            self._resting = {key: until for key, until in self._resting.items() if until > now}
        if not self._due:
            return None
        key, _ = self._due.popitem(last=False)
        self._resting.pop(key, None)
        return key

    def next_at(self) -> float | None:
        """When the next key is due, 0 for now; None for an empty queue."""
        while self._times and not self._is_valid():
            heappop(self._times)
        if self._due:
            return 0.0
        return self._times[0][0] if self._times else None

    def _is_valid(self) -> bool:
        """Whether the earliest time is still that of its key."""
        at, _, key = self._times[0]
        return self._later.get(key) == at

    def rest(self, key: K, until: float) -> None:
        """Leave KEY alone until then, whatever happens to it meanwhile."""
        self._resting[key] = until
        if key in self._due:
            del self._due[key]
            self.add(key)

    def failed(self, key: K, now: float, *, at_least_s: float = 0.0) -> None:
        """KEY could not be done: try again with back-off, not before AT_LEAST_S seconds are over."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        self.add(key, at=now + max(at_least_s, min(MOST_S, FIRST_S * 2 ** min(count - 1, 20))))

    def done(self, key: K) -> None:
        """KEY is fine again."""
        self._failures.pop(key, None)
