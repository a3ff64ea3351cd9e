"""The machine's clock."""

from __future__ import annotations

import time


class SystemClock:
    """`core.clock.Clock` as this machine has it."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()
