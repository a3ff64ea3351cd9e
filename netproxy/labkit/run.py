"""Run a lab's checks and say how they went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netproxy.core.errors import NetproxyError
from netproxy.labkit.check import Check
from netproxy.labkit.world import World


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check and what was wrong (nothing when it holds)."""

    name: str
    wrong: str

    @property
    def passed(self) -> bool:
        """Whether it holds."""
        return not self.wrong


def run_checks(checks: Iterable[Check], world: World) -> Iterator[Outcome]:
    """Run all of them, whatever fails; each outcome comes as soon as it is known."""
    for check in checks:
        try:
            yield Outcome(check.name, check.run(world))
        except (OSError, NetproxyError) as error:
            yield Outcome(check.name, str(error) or type(error).__name__)


def line(outcome: Outcome) -> str:
    """An outcome as a line of text."""
    verdict = "pass" if outcome.passed else "FAIL"
    return f"{verdict}  {outcome.name}" + (f": {outcome.wrong}" if outcome.wrong else "")
