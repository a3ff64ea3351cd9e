"""One controller at work: its keys one at a time and in order; whatever goes wrong with one ends nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar, assert_never

from netproxy.client.port import Api
from netproxy.controllers.port import Controller, Outcome
from netproxy.core.clock import Clock
from netproxy.core.errors import ConflictError, NetproxyError, NotFoundError, UnavailableError
from netproxy.manager.queue import Queue
from netproxy.objects.change import (
    Bind,
    Change,
    Create,
    Delete,
    Event,
    Finalize,
    Identity,
    IndexedView,
    Update,
    UpdateStatus,
)
from netproxy.objects.kinds import PODS
from netproxy.objects.meta import Object, uid

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

SLOW_S, PACE = 0.001, 4.0
"""A look that took longer is not repeated before PACE times that has passed: a storm of events about a large object costs
at most a share of the time, and each look takes in more of them."""

TURN_S = 0.005
"""Who makes many changes lets others have their turn after so long."""


class Known(IndexedView, Protocol):
    """What is known of an API: a client's cache."""

    async def synced(self) -> None:
        """Wait until everything has been seen once."""
        ...

    def subscribe(self, listener: Callable[[Event], None], *, replay: bool = False) -> Callable[[], None]:
        """Call LISTENER with every change, with REPLAY first with all that is known; the result ends it."""
        ...

    def learn(self, obj: Object) -> None:
        """Take over what an own write was answered with."""
        ...


class Worker(Generic[K]):
    """The keys of one controller that are due, and the work on them."""

    def __init__(self, controller: Controller[K], api: Api, known: Known, clock: Clock) -> None:
        self.controller = controller
        self._api = api
        self._known = known
        self._clock = clock
        self._queue: Queue[K] = Queue()
        self._wake = asyncio.Event()

    def observe(self, event: Event) -> None:
        """Note the keys that an event concerns."""
        keys = self.controller.watches.get(event.resource)
        for key in keys(self._known, event) if keys else ():
            self._queue.add(key)
            self._wake.set()

    async def run(self) -> None:
        """Work for ever; between two keys others have their turn."""
        while True:
            while await self.step():
                await asyncio.sleep(0)
            await self._rest()

    async def _rest(self) -> None:
        self._wake.clear()
        due = self._queue.next_at()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock.monotonic())):
                await self._wake.wait()

    async def step(self) -> bool:
        """Look at the key that has been due for longest; False when none is due."""
        key = self._queue.take(self._clock.monotonic())
        if key is None:
            return False
        what = f"{self.controller.name}: {key}"
        try:
            outcome = self._look(key)
            await self._carry_out(outcome)
        except (ConflictError, NotFoundError) as error:
            log.debug("%s: it is looked at again: %s", what, error)
            self._queue.failed(key, self._clock.monotonic())
        except UnavailableError as error:
            log.warning("%s: %s", what, error)
            self._queue.failed(key, self._clock.monotonic(), at_least_s=error.retry_after_s or 0.0)
        except NetproxyError as error:
            log.warning("%s: %s", what, error)
            self._queue.failed(key, self._clock.monotonic())
        except Exception:  # whatever it is: the other keys are not to blame
            log.exception("%s: it is looked at again after", what)
            self._queue.failed(key, self._clock.monotonic())
        else:
            self._queue.done(key)
            if outcome.again_at is not None:
                self._queue.add(key, at=self._clock.monotonic() + outcome.again_at - self._clock.now())
        return True

    def _look(self, key: K) -> Outcome:
        began = self._clock.monotonic()
        outcome = self.controller.reconcile(self._known, key, self._clock.now())
        ended = self._clock.monotonic()
        if ended - began > SLOW_S:
            self._queue.rest(key, ended + PACE * (ended - began))
        return outcome

    async def _carry_out(self, outcome: Outcome) -> None:
        """Make all changes in their order; what is answered is known at once, so that the next look sees it."""
        for one in outcome.absent if outcome.changes else ():
            await self._check_absent(one)
        began = self._clock.monotonic()
        for change in outcome.changes:
            answer = await carried_out(self._api, change)
            if answer is not None:
                self._known.learn(answer)
            if self._clock.monotonic() - began > TURN_S:
                await asyncio.sleep(0)
                began = self._clock.monotonic()

    async def _check_absent(self, one: Identity) -> None:
        try:
            found = await self._api.get(one.resource, one.name)
        except NotFoundError:
            return
        if one.uid in ("", uid(found)):
            self._known.learn(found)
            raise ConflictError(f"{one} was taken for gone and is there")


async def carried_out(api: Api, change: Change) -> Object | None:
    """Make one change; what the object is now, or None when it is deleted. Raises what the API raises."""
    match change:
        case Create(obj):
            return await api.create(obj)
        case Update(obj):
            return await api.replace(obj)
        case UpdateStatus(obj):
            return await api.replace_status(obj)
        case Finalize(obj):
            return await api.finalize(obj)
        case Bind(pod, node):
            await api.bind(pod, node)
            return await api.get(PODS, pod)
        case Delete():
            await _deleted(api, change)
            return None
        case _:
            assert_never(change)


async def _deleted(api: Api, change: Delete) -> None:
    """One that is gone already is fine."""
    options = change.options
    with suppress(NotFoundError):
        await api.delete(
            change.resource, change.name, uid=change.uid or None, grace_s=options.get("gracePeriodSeconds"),
            propagation=options.get("propagationPolicy"),
        )  # fmt: skip
