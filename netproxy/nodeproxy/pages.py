"""The two HTTP servers of `netproxy proxy`: health for load balancers, and metrics with what there is to know beside them.

Source: kubernetes 1.36 cmd/kube-proxy/app/server.go, serveHealthz and serveMetrics.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from netproxy.core.clock import Clock
from netproxy.core.errors import KernelError, NetproxyError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.nodeproxy.healthz import FamilyHealth, healthz, livez
from netproxy.nodeproxy.http import GO_TEXT, NOT_FOUND, Answer, Handler, Server, bound
from netproxy.nodeproxy.messages import Heard, Report, periods
from netproxy.nodeproxy.metrics import Metrics, figures
from netproxy.nodeproxy.node import NodeProxy
from netproxy.nodeproxy.options import HEALTHZ_PORT, METRICS_PORT
from netproxy.objects.kinds import NODES
from netproxy.objects.meta import Object
from netproxy.objects.proxyconfig import bind_address

log = logging.getLogger(__name__)

AGAIN_S = 5.0
"""A port that is taken is tried again after so many seconds."""
COUNTING_S = 5.0
"""Figures that are not there by then are left out of an answer."""
TEXT_METRICS = "text/plain; version=0.0.4; charset=utf-8"

Sleep = Callable[[float], Awaitable[None]]


class Pages:
    """What the servers answer. Before there is a proxy, it is starting up."""

    def __init__(self, config: Mapping[str, Any], clock: Clock, *, api_error: Callable[[], str] = str) -> None:
        """API_ERROR says why the API tells nothing; empty when it does."""
        self.metrics = Metrics()
        self._api_error = api_error
        self._config = config
        self._clock = clock
        self._proxy: NodeProxy | None = None
        self._told = Heard()

    def show(self, proxy: NodeProxy) -> None:
        """From now on, this proxy."""
        self._proxy = proxy
        proxy.listen(self._heard)

    def _heard(self, report: Report) -> None:
        self.metrics.note(report)

    # --- health

    async def health(self, path: str) -> Answer:
        """`/healthz`, `/livez`."""
        now = self._clock.now()
        if path == "/healthz":
            answer = healthz(
                self._families(), self._node(), now=now, late_s=self._late_s(), api_error=self._api_error()
            )
        elif path == "/livez":
            answer = livez(self._families(), now=now, late_s=self._late_s())
        else:
            return NOT_FOUND
        self.metrics.answered(path[1:], answer.status)
        return answer

    def _families(self) -> dict[Family, FamilyHealth]:
        proxy = self._proxy
        if proxy is None:
            return {}
        return {
            family: FamilyHealth(report.synced_at, proxy.waiting_since.get(family))
            for family, report in proxy.reports.items()
        }

    def _node(self) -> Object | None:
        if self._proxy is None:
            return None
        return self._proxy.find(NODES, NamespacedName("", self._proxy.name))

    def _late_s(self) -> float:
        return 2 * periods(self._config, self._mode()).sync_s

    # --- metrics

    async def about(self, path: str) -> Answer:
        """`/metrics`, `/proxyMode`, `/configz`, `/healthz` (whether this process answers at all)."""
        match path:
            case "/metrics":
                await self._count()
                return Answer(200, self.metrics.text(), {"Content-Type": TEXT_METRICS})
            case "/proxyMode":
                headers = {"Content-Type": GO_TEXT, "X-Content-Type-Options": "nosniff"}
                return Answer(200, self._mode().encode(), headers)
            case "/configz":
                body = json.dumps({"kubeproxy.config.k8s.io": {**self._config, "mode": self._mode()}}).encode()
                return Answer(200, body, {"Content-Type": "application/json"})
            case "/healthz":
                return Answer(200, b"ok", {"Content-Type": GO_TEXT, "X-Content-Type-Options": "nosniff"})
        return NOT_FOUND

    def _mode(self) -> str:
        if self._proxy is None:
            return self._config.get("mode") or "iptables"
        return next(iter(self._proxy.reports.values())).choice.mode

    async def _count(self) -> None:
        proxy = self._proxy
        if proxy is None:
            return
        self.metrics.told(proxy.told, self._told, proxy.reports.values())
        self._told = proxy.told
        for family, at in proxy.queued_at.items():
            self.metrics.queued(family, at)
        for family in proxy.reports:
            with suppress(TimeoutError, NetproxyError):
                async with asyncio.timeout(COUNTING_S):
                    self.metrics.count(family, await proxy.ask(family, figures))


async def listen(
    what: str, text: str, port: int, answer: Handler, *, hard_fail: bool, sleep: Sleep = asyncio.sleep
) -> None:
    """Answer on the address of TEXT for as long as this runs; one that is taken is tried again, or ends us when HARD_FAIL.

    Raises KernelError in that case.
    """
    where = bind_address(text, port)
    if where is None or not where[1]:
        return
    server = Server(answer)
    try:
        while True:
            try:
                await server.open(bound(*where))
                break
            except OSError as error:
                message = f"{what} cannot listen on {text}: {error.strerror}"
                if hard_fail:
                    raise KernelError(message) from error
                log.error("%s", message)
                await sleep(AGAIN_S)
        await asyncio.Event().wait()
    finally:
        await server.close()


def servers(pages: Pages, config: Mapping[str, Any]) -> tuple[Awaitable[None], ...]:
    """Both servers, to be run."""
    hard = bool(config.get("bindAddressHardFail"))
    return (
        listen("healthz server", config.get("healthzBindAddress") or "", HEALTHZ_PORT, pages.health, hard_fail=hard),
        listen("metrics server", config.get("metricsBindAddress") or "", METRICS_PORT, pages.about, hard_fail=hard),
    )
