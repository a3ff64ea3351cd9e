"""Runs controllers on a client: every change of an object makes keys to look at; each key is looked at until nothing changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from netproxy.client.port import Api
from netproxy.controllers.port import Controller
from netproxy.core.clock import Clock
from netproxy.manager.worker import Known, Worker
from netproxy.objects.change import Event
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import key

log = logging.getLogger(__name__)


def watched(controllers: Iterable[Controller[Any]]) -> tuple[Resource, ...]:
    """All resources that these controllers have to know."""
    return tuple(dict.fromkeys(resource for controller in controllers for resource in controller.watches))


class Manager:
    """Controllers at work, each on its own: none waits for another."""

    def __init__(self, api: Api, known: Known, controllers: Iterable[Controller[Any]], clock: Clock) -> None:
        self._known = known
        self.workers = tuple(Worker(controller, api, known, clock) for controller in controllers)

    async def run(self) -> None:
        """Work for ever, as soon as everything has been seen once."""
        await self._known.synced()
        end = self._known.subscribe(self.observe, replay=True)
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self.workers:
                    group.create_task(worker.run(), name=worker.controller.name)
        finally:
            end()

    def observe(self, event: Event) -> None:
        """Tell every controller; one that fails to say whom an event concerns harms no other."""
        for worker in self.workers:
            try:
                worker.observe(event)
            except Exception:  # whatever it is
                log.exception(
                    "%s: %s of %s %s", worker.controller.name, event.type, event.resource.plural, key(event.obj)
                )
