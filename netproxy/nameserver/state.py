"""What answers are made of, as one value: a zone and the answers that were made from this zone, replaced together."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netproxy.dns.parts import Parts, build_zone
from netproxy.dns.zone import Zone
from netproxy.nameserver.loops import TICK_S, Beat, note
from netproxy.nameserver.source import Source
from netproxy.objects.kinds import ENDPOINT_SLICES, NAMESPACES, PODS, SERVICES

KEPT_BYTES = 32 << 20
LONGEST_KEPT_QUESTION = 512
ENTRY_BYTES = 250

Ready = bytes | list[bytes]
"""An answer without its first two bytes, or several in turn."""


class Kept(dict[bytes, Ready]):
    """Ready-made answers by the question's bytes after its number; empty again when they take too much memory."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def keep(self, question: bytes, answers: list[bytes]) -> None:
        """Keep the ANSWERS to a question. Two threads at once may miscount by one entry, which does no harm."""
        size = ENTRY_BYTES + len(question) + sum(map(len, answers))
        if len(question) > LONGEST_KEPT_QUESTION or size > KEPT_BYTES // 16:
            return
        if self.size + size > KEPT_BYTES:
            self.clear()
            self.size = 0
        self.size += size
        self[question] = answers[0] if len(answers) == 1 else answers


@dataclass(frozen=True, slots=True)
class State:
    """One zone with its answers: whoever holds a state never meets the answers of another zone."""

    zone: Zone
    synced: bool
    """Whether the zone is whole; before that nothing is answered from it."""
    kept: Kept = field(default_factory=Kept)


class States:
    """The state that holds now; a loop replaces it after changes of the objects."""

    def __init__(self, source: Source, settings: Mapping[str, Any]) -> None:
        self._source = source
        self._settings = settings
        self._parts = Parts(settings["domain"])
        self._changed = threading.Event()
        self._changed.set()
        self.now = State(Zone("", {}, frozenset(), ()), synced=False)
        source.subscribe(self._changed.set)

    def work(self, beat: Beat) -> None:
        """Replace the state after each change, for ever. Building takes at most half of the time: changes gather."""
        pause = threading.Event()
        while True:
            beat.turns += 1
            if not self._changed.wait(TICK_S):
                continue
            began = time.monotonic()
            try:
                self.renew()
            except Exception:
                self._changed.set()
                raise
            beat.count("zones")
            pause.wait(time.monotonic() - began)

    def renew(self) -> None:
        """Make the state anew from the objects as they are."""
        self._changed.clear()
        synced = self._source.synced
        if not synced:
            return
        version, objects = self._source.objects()
        zone = build_zone(
            objects[SERVICES], objects[ENDPOINT_SLICES], objects[NAMESPACES], objects.get(PODS, ()),
            domain=self._settings["domain"], reverse=self._settings["cidrs"], pods_mode=self._settings["pods"],
            serial=version, parts=self._parts,
        )  # fmt: skip
        for fault in set(zone.faults) - set(self.now.zone.faults):
            note(f"left out: {fault}")
        self.now = State(zone, synced)
