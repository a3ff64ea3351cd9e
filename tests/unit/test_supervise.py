"""Loops that must not end."""

import asyncio
import logging
from random import Random

import pytest
from support.build import FixedClock

from netproxy.client.supervise import STEADY_S, Backoff, supervised


class Enough(BaseException):
    """Ends what would go on for ever."""


def run(work, *, rounds, clock=None, noticed=True):
    """Supervise WORK for some rounds; the pauses that were made, and the faults that were told."""
    pauses, faults = [], []

    async def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == rounds:
            raise Enough

    async def all_of_it():
        await supervised(
            "the loop",
            work,
            clock=clock or FixedClock(),
            backoff=Backoff(Random(1)),
            pause=pause,
            noticed=faults.append if noticed else None,
        )

    with pytest.raises(Enough):
        asyncio.run(all_of_it())
    return pauses, faults


def test_what_raises_begins_again_and_is_logged_with_its_name(caplog):
    began = []

    async def work():
        began.append(1)
        raise KeyError("layout")

    _, faults = run(work, rounds=3)
    assert len(began) == 3
    assert faults == ["KeyError: 'layout'"] * 3
    assert caplog.messages == ["the loop: it begins again after"] * 3


def test_what_ends_begins_again(caplog):
    caplog.set_level(logging.WARNING)

    async def work():
        return

    _, faults = run(work, rounds=2)
    assert faults == ["it ended"] * 2
    assert caplog.messages == ["the loop: it ended; it begins again"] * 2


def test_nobody_need_be_told():
    async def work():
        raise OSError

    assert len(run(work, rounds=2, noticed=False)[0]) == 2


def test_each_failure_waits_longer_up_to_the_limit():
    async def work():
        raise OSError

    pauses, _ = run(work, rounds=20)
    assert all(a < b for a, b in zip(pauses[:6:2], pauses[2:6:2], strict=False))
    assert max(pauses) <= 30.0
    assert min(pauses[10:]) >= 15.0


def test_work_that_ran_for_a_while_was_well():
    clock = FixedClock()
    rounds = iter(range(100))

    async def work():
        if next(rounds) == 8:
            clock.time += STEADY_S
        raise OSError

    pauses, _ = run(work, rounds=9, clock=clock)
    assert pauses[7] > 10.0
    assert pauses[8] <= 0.2


def test_cancellation_ends_it():
    async def for_ever():
        await asyncio.Event().wait()

    async def all_of_it():
        task = asyncio.create_task(supervised("x", for_ever, clock=FixedClock(), backoff=Backoff(Random(1))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(all_of_it())


def test_the_same_seed_waits_the_same_and_another_does_not():
    first, again, other = (
        [b.next() for _ in range(8)] for b in (Backoff(Random(1)), Backoff(Random(1)), Backoff(Random(2)))
    )
    assert first == again != other


def test_a_server_may_ask_for_more_time_up_to_the_limit():
    wait = Backoff(Random(1))
    assert wait.next(at_least_s=7.0) == 7.0
    assert wait.next(at_least_s=3600.0) == 30.0
