"""Run a lab's checks and say how they went."""

from __future__ import annotations

from collections.abc import Iterable
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


def run_checks(checks: Iterable[Check], world: World) -> list[Outcome]:
    """Run all of them, whatever fails."""
    outcomes = []
    for check in checks:
        try:
            outcomes.append(Outcome(check.name, check.run(world)))
        except (OSError, NetproxyError) as error:
            outcomes.append(Outcome(check.name, str(error) or type(error).__name__))
    return outcomes


def report(outcomes: Iterable[Outcome]) -> str:
    """The outcomes as lines of text."""
    return "\n".join(
        f"{'pass' if o.passed else 'FAIL'}  {o.name}" + (f": {o.wrong}" if o.wrong else "") for o in outcomes
    )
