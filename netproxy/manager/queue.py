"""Keys that somebody must look at: each once, in order, with back-off after a failure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Queue(Generic[K]):
    """A set that remembers order; `failed` puts a key back later, twice as late each time (5 ms … 10 s)."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._failures: dict[K, int] = {}

    def add(self, key: K, *, at: float = 0.0) -> None:
        """Look at KEY, not before AT; an earlier time wins."""
        self._due[key] = min(self._due.get(key, at), at)

    def take(self, now: float) -> list[K]:
        """All keys that are due, oldest first; they leave the queue."""
        due = [key for key, at in self._due.items() if at <= now]
        for key in due:
            del self._due[key]
        return due

    def next_at(self) -> float | None:
        """When the next key is due; None for an empty queue."""
        return min(self._due.values(), default=None)

    def failed(self, key: K, now: float) -> None:
        """KEY could not be done: try again with back-off."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        self.add(key, at=now + min(10.0, 0.005 * 2**count))

    def done(self, key: K) -> None:
        """KEY is fine again."""
        self._failures.pop(key, None)
