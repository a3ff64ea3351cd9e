"""From one snapshot to the next: what a few changed service ports change, in proportion to the change.

Every service port contributes *things* (a map's element, a chain, a virtual server) under keys. Where several may
contribute the same one, contributions are counted: a thing goes when nobody contributes it any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from netproxy.proxy.model import ServicePort, Snapshot

MANY = 64
SHARE = 4
"""Everything is compared when more than MANY service ports have changed, and more than one in so many."""

P = TypeVar("P")
V = TypeVar("V")


class Change(NamedTuple, Generic[V]):
    """One thing that is different: OLD is None for a new one, NEW is None for one that goes."""

    key: Hashable
    old: V | None
    new: V | None


class Ledger(Generic[P, V]):
    """The parts of one snapshot, each compiled once, and who contributes what.

    PRIVATE: no two service ports contribute under one key, so nothing has to be counted.
    """

    def __init__(
        self,
        compiled: Callable[[ServicePort], P],
        things: Callable[[P], Mapping[Hashable, V]],
        *,
        private: bool = False,
    ) -> None:
        self._compile = compiled
        self._things = things
        self._is_private = private
        self._snapshot = Snapshot()
        self._parts: list[P] = []
        self._uses: Counter[Hashable] | None = None
        self._values: dict[Hashable, V] = {}
        self._disputed: set[Hashable] = set()

    @property
    def parts(self) -> list[P]:
        """The parts of the snapshot taken last, in its order. Not to be changed."""
        return self._parts

    def reset(self, snapshot: Snapshot) -> list[P]:
        """Take a snapshot as it is; all its parts."""
        self._parts, self._snapshot, self._uses = self.look(snapshot), snapshot, None
        return self._parts

    def look(self, snapshot: Snapshot) -> list[P]:
        """The parts of a snapshot that is not taken: what is known of them need not be compiled."""
        known_parts = {id(service): part for service, part in zip(self._snapshot.services, self._parts, strict=True)}
        return [known_parts.get(id(service)) or self._compile(service) for service in snapshot.services]

    def forget(self) -> None:
        """Compile everything anew at the next `reset`: the compiler has changed its mind."""
        self._parts, self._snapshot, self._uses = [], Snapshot(), None

    def stream(self, snapshot: Snapshot) -> Iterator[P]:
        """The same as `reset`, each part as soon as it is compiled."""
        parts: list[P] = []
        self.forget()
        for service in snapshot.services:
            parts.append(self._compile(service))
            yield parts[-1]
        self._parts, self._snapshot = parts, snapshot

    def get_ready(self) -> None:
        """Do now what the next `change` would have to do first: count who contributes what."""
        if self._uses is not None or self._is_private:
            return
        self._uses, self._values, self._disputed = Counter(), {}, set()
        for part in self._parts:
            things = self._things(part)
            self._uses.update(things.keys())
            for key, thing in things.items():
                if self._values.setdefault(key, thing) != thing:
                    self._disputed.add(key)

    def change(self, snapshot: Snapshot) -> list[Change[V]] | None:
        """What is different from the snapshot before, which this one replaces.

        None when so much changed that whole states have to be compared, or when two service ports contribute different
        things under one key, so that their order decides; the caller then takes `reset`.
        """
        if snapshot.service_cidrs != self._snapshot.service_cidrs:
            return None
        old = self._snapshot.services
        at = _places(self._snapshot, snapshot)
        most = max(MANY, len(snapshot.services) // SHARE)
        if at is not None and len(at) <= most:
            new = self._parts.copy()
            for index in at:
                new[index] = self._compile(snapshot.services[index])
            gone, come = [self._parts[index] for index in at], [new[index] for index in at]
        else:
            before, after = set(map(id, old)), set(map(id, snapshot.services))
            if len(before ^ after) > 2 * most:
                return None
            new = self.look(snapshot)
            gone = [part for service, part in zip(old, self._parts, strict=True) if id(service) not in after]
            come = [part for service, part in zip(snapshot.services, new, strict=True) if id(service) not in before]
        changes = self._moved(gone, come) if self._is_private else self._difference(gone, come)
        if changes is not None:
            self._parts, self._snapshot = new, snapshot
        return changes

    def _moved(self, gone: list[P], come: list[P]) -> list[Change[V]]:
        before = {key: thing for part in gone for key, thing in self._things(part).items()}
        after = {key: thing for part in come for key, thing in self._things(part).items()}
        changes = [Change(key, before.get(key), new) for key, new in after.items() if before.get(key) != new]
        return changes + [Change(key, old, None) for key, old in before.items() if key not in after]

    def _difference(self, gone: list[P], come: list[P]) -> list[Change[V]] | None:
        self.get_ready()
        assert self._uses is not None
        before = [self._things(part) for part in gone]
        after = [self._things(part) for part in come]
        new: dict[Hashable, V] = {}
        for things in after:
            if any(new.setdefault(key, thing) != thing for key, thing in things.items()):
                return None
        more = Counter(key for things in after for key in things)
        more.subtract(key for things in before for key in things)
        changes: list[Change[V]] = []
        for key, added in more.items():
            was, is_now, old = self._uses[key], self._uses[key] + added, self._values.get(key)
            differs = bool(was) and key in new and new[key] != old
            if key in self._disputed or (differs and max(was, is_now) > 1):
                return None
            if not was or not is_now or differs:
                changes.append(Change(key, old if was else None, new[key] if is_now else None))
        self._note(more, changes)
        return changes

    def _note(self, more: Mapping[Hashable, int], changes: list[Change[V]]) -> None:
        assert self._uses is not None
        for key, added in more.items():
            self._uses[key] += added
            if not self._uses[key]:
                del self._uses[key]
        for key, _, value in changes:
            if value is None:
                self._values.pop(key, None)
            else:
                self._values[key] = value


def _places(before: Snapshot, after: Snapshot) -> Sequence[int] | None:
    """Where AFTER has other service ports than BEFORE; None when they moved."""
    was, step = before.step, after.step
    if was and step and step.of is was.of and step.number == was.number + 1:
        return step.places
    if len(before.services) != len(after.services):
        return None
    pairs = zip(before.services, after.services, strict=True)
    return [index for index, (old, new) in enumerate(pairs) if old is not new]
