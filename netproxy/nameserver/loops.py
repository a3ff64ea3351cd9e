"""The loops of the process: each in a thread of its own that no error ends, and each tells whether it lives."""

from __future__ import annotations

import errno
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

TICK_S = 1.0
"""A loop with nothing to do turns once in this time."""
PATIENCE_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0


class Beat:
    """One loop's turns and counts. Only the loop's own thread writes here, so nothing needs a lock."""

    __slots__ = ("counts", "name", "patience_s", "turns")

    def __init__(self, name: str, patience_s: float = PATIENCE_S) -> None:
        self.name = name
        self.patience_s = patience_s
        self.turns = 0
        self.counts: dict[str, int] = {}

    def count(self, what: str) -> int:
        """Count once more; returns how often it was."""
        number = self.counts[what] = self.counts.get(what, 0) + 1
        return number

    def refused(self, what: str, error: OSError) -> None:
        """Count what the kernel refused: a peer or the host is to blame."""
        self.count(f"{what} {errno.errorcode.get(error.errno or 0, type(error).__name__)}")

    def fault(self, what: str, error: Exception) -> None:
        """Count an error that is our own, and log it the 1st, 2nd, 4th, 8th … time, so that nobody can fill the log."""
        import traceback  # here, because it takes time and none should be needed

        number = self.count(f"{what} {type(error).__name__}")
        if number & (number - 1) == 0:
            note(f"{self.name}: {what} ({number} times)\n{''.join(traceback.format_exception(error))}")


def note(text: str) -> None:
    """Write a line of the log; a log that cannot be written harms nobody."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # no space, or closed: there is nowhere else to say it


class Loops:
    """All loops, started and watched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beats: list[Beat] = []
        self._seen: dict[Beat, tuple[int, float]] = {}

    def start(self, name: str, work: Callable[[Beat], None], *, patience_s: float = PATIENCE_S) -> Beat:
        """Run WORK for ever; it is late when it has not turned for PATIENCE_S."""
        beat = Beat(name, patience_s)
        self._beats.append(beat)
        threading.Thread(target=_for_ever, args=(work, beat), name=name, daemon=True).start()
        return beat

    def late(self) -> list[str]:
        """The names of the loops that have not turned for too long, as far as calls of this function could see."""
        now = self._clock()
        late = []
        for beat in self._beats:
            turns, since = self._seen.get(beat, (-1, now))
            if turns != beat.turns:
                self._seen[beat] = beat.turns, now
            elif now - since > beat.patience_s:
                late.append(beat.name)
        return late

    def counts(self) -> dict[str, int]:
        """Everything that was counted, all loops together."""
        total: Counter[str] = Counter()
        for beat in self._beats:
            total.update(dict(beat.counts))
        return dict(sorted(total.items()))


def _for_ever(work: Callable[[Beat], None], beat: Beat) -> None:
    """Begin again whatever happens, after a pause that grows while it fails at once."""
    pause_s = FIRST_PAUSE_S
    while True:
        turns = beat.turns
        try:
            work(beat)
            beat.count("loop ended")
        except OSError as error:
            beat.refused("loop", error)
        except Exception as error:
            beat.fault("loop", error)
        pause_s = FIRST_PAUSE_S if beat.turns > turns else min(pause_s * 2, LONGEST_PAUSE_S)
        threading.Event().wait(pause_s)
