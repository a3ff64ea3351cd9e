"""Loops that must not end: what ends or raises is logged and begun again, later each time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random

from netproxy.core.clock import Clock

log = logging.getLogger(__name__)

Pause = Callable[[float], Awaitable[None]]
"""Wait for so many seconds; a test has one that does not."""

STEADY_S = 10.0
"""Who ran for this long is well: the next fault is a new one."""


class Backoff:
    """How long to wait after one more failure: twice as long each time, up to a limit, with jitter.

    The jitter takes up to half away, so that a thousand clients of one server do not come back at once.

    >>> wait = Backoff(Random(0), first_s=1.0, most_s=4.0)
    >>> [0.5 * most <= wait.next() <= most for most in (1, 2, 4, 4)]
    [True, True, True, True]
    """

    def __init__(self, random: Random, *, first_s: float = 0.2, most_s: float = 30.0) -> None:
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._wait_s = first_s

    def next(self, *, at_least_s: float = 0.0) -> float:
        """Seconds to wait now; AT_LEAST_S is what the other side asked for (the limit holds for it, too)."""
        wait = self._wait_s * (1.0 - 0.5 * self._random.random())
        self._wait_s = min(self._most_s, 2 * self._wait_s)
        return min(self._most_s, max(wait, at_least_s))

    def reset(self) -> None:
        """All is well: the next failure is the first one."""
        self._wait_s = self._first_s


async def supervised(
    name: str, work: Callable[[], Awaitable[None]], *, clock: Clock, backoff: Backoff, pause: Pause = asyncio.sleep,
    noticed: Callable[[str], None] | None = None,
) -> None:  # fmt: skip
    """Run WORK for ever. Whatever it raises, and its end, is logged under NAME; then it begins again after a back-off.

    NOTICED is told each fault as one line, for a status page. Only cancellation ends it. Work that ran for STEADY_S seconds
    was well, so its back-off begins anew.
    """
    while True:
        began = clock.monotonic()
        try:
            await work()
            fault = "it ended"
            log.warning("%s: it ended; it begins again", name)
        except Exception as error:  # whatever it is: others live on this loop
            fault = f"{type(error).__name__}: {error}"
            log.exception("%s: it begins again after", name)
        if noticed:
            noticed(fault)
        if clock.monotonic() - began >= STEADY_S:
            backoff.reset()
        await pause(backoff.next())
