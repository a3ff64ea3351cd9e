"""When to pass: proxies follow the store's changes, check the kernel every sync period, try again after a failure."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from netproxy.core.errors import KernelError
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.proxy.config import duration_s
from netproxy.store.store import Event

log = logging.getLogger(__name__)

RETRY_S = 1.0


class Proxies:
    """All proxies of a cluster, two for each node."""

    def __init__(self, proxies: list[FamilyProxy], config: Mapping[str, Any], executor: Executor) -> None:
        self.proxies = proxies
        self.sync_period_s, self.min_period_s = _periods(config)
        self._executor = executor
        self._dirty: dict[int, asyncio.Event] = {id(proxy): asyncio.Event() for proxy in proxies}
        self._clean: dict[int, asyncio.Event] = {id(proxy): asyncio.Event() for proxy in proxies}
        self.passes = 0
        self.last_error = ""

    def observe(self, event: Event) -> None:
        """Feed one change to every proxy."""
        kind, gone = event.obj["kind"], event.type == "DELETED"
        if kind not in ("Service", "EndpointSlice", "ServiceCIDR"):
            return
        for proxy in self.proxies:
            proxy.observe(event.obj, old=event.old, deleted=gone)
        self._wake()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Take other periods, and sync."""
        self.sync_period_s, self.min_period_s = _periods(config)
        self._wake()

    def _wake(self) -> None:
        for proxy in self.proxies:
            self._clean[id(proxy)].clear()
            self._dirty[id(proxy)].set()

    async def run(self, proxy: FamilyProxy) -> None:
        """Keep one proxy's rules right, for ever."""
        check = False
        while True:
            self._dirty[id(proxy)].clear()
            try:
                loop = asyncio.get_running_loop()
                sync = functools.partial(proxy.sync, proxy.snapshot(), check=check)
                done = await loop.run_in_executor(self._executor, sync)
                self.passes += 1
                self.last_error = ""
                if check and done.changed:
                    log.warning(
                        "%s %s: rules had been changed from outside: %d repaired", proxy.node, done.family, done.changed
                    )
                if not self._dirty[id(proxy)].is_set():
                    self._clean[id(proxy)].set()
            except KernelError as error:
                self.last_error = f"{proxy.node} {proxy.view.family}: {error}"
                log.error("%s %s: %s", proxy.node, proxy.view.family, error)
                await asyncio.sleep(RETRY_S)
                continue
            check = not await self._wait_for_change(proxy)

    async def _wait_for_change(self, proxy: FamilyProxy) -> bool:
        """True for a change, False when the sync period has passed."""
        if self.min_period_s:
            await asyncio.sleep(self.min_period_s)
        try:
            async with asyncio.timeout(self.sync_period_s):
                await self._dirty[id(proxy)].wait()
        except TimeoutError:
            return False
        return True

    async def settled(self) -> None:
        """Wait until every proxy has written what it knows."""
        for proxy in self.proxies:
            await self._clean[id(proxy)].wait()


def _periods(config: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds between two looks at the kernel, and at least between two passes."""
    iptables = config.get("iptables") or {}
    return max(0.05, duration_s(iptables.get("syncPeriod"), 30)), duration_s(iptables.get("minSyncPeriod"), 0)
