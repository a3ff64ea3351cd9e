"""Says through the API what is wrong with a node's rules: a condition of the Node, and Events on it and on Services.

Level, not edge: what the Node says is compared with what is so, and put right; what could not be said is said later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from netproxy.client.port import Api
from netproxy.client.recorder import Recorder
from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import ApiError, ConflictError, NetproxyError, NotFoundError, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.nodeproxy.messages import LeftOut, Report
from netproxy.nodeproxy.node import NodeProxy
from netproxy.objects.kinds import NODES, SERVICES
from netproxy.objects.meta import Object, condition, status

log = logging.getLogger(__name__)

CONDITION = "NetworkUnavailable"
NOT_WRITTEN, WRITTEN = "RulesNotWritten", "RulesWritten"
FAILED, BACK, IN_THE_WAY = "FailedToProgram", "Programmed", "RulesInTheWay"
DEPRECATED = "IPVSDeprecation"
AGAIN_S = 10.0
"""What could not be written is tried again after so many seconds."""


class Announcer:
    """Follows one node's reports, on the event loop."""

    def __init__(self, proxy: NodeProxy, api: Api, recorder: Recorder, clock: Clock) -> None:
        self._proxy = proxy
        self._api = api
        self._recorder = recorder
        self._clock = clock
        self._due = asyncio.Event()
        self._due.set()
        self._condition = ""
        """The message that the Node has now, as far as we know; empty for none."""
        self._left_out: dict[tuple[str, str], str] = {}
        self._obstacles: frozenset[str] = frozenset()
        self._is_forbidden = False
        self._has_warned = False
        proxy.listen(self._heard)

    def _heard(self, report: Report) -> None:
        if report.error or report.left_out or report.obstacles or self._has_said_something() or self._must_warn():
            self._due.set()

    def _has_said_something(self) -> bool:
        return bool(self._condition or self._left_out or self._obstacles)

    def _must_warn(self) -> bool:
        """Whether a mode is in use that its kube-proxy calls deprecated, and nobody has said so yet."""
        choices = [report.choice for report in self._proxy.reports.values()]
        return not self._has_warned and any(c.mode == "ipvs" and c.version.ipvs_is_deprecated for c in choices)

    async def run(self) -> None:
        """For ever."""
        wait_s: float | None = None
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._due.wait()
            except TimeoutError:
                pass
            self._due.clear()
            wait_s = None if await self.announce() else AGAIN_S

    async def announce(self) -> bool:
        """Say what is new; whether all of it could be said."""
        await self._say_deprecated()
        await self._say_left_out()
        await self._say_obstacles()
        return await self._say_condition()

    # --- the Node's condition

    async def _say_condition(self) -> bool:
        wrong = next((f"{r.family}: {r.error}" for r in self._proxy.reports.values() if r.error), "")
        if wrong == self._condition or (wrong and self._is_forbidden):
            return True
        try:
            node = await self._write_condition(wrong)
        except NotFoundError:
            return True
        except UnavailableError as error:
            log.info("%s: its condition was not written: %s", self._proxy.name, error)
            return False
        except ConflictError:
            return False
        except NetproxyError as error:
            log.warning("%s: its condition cannot be written: %s", self._proxy.name, error)
            self._is_forbidden = isinstance(error, ApiError) and error.code == 403
            node = None
        if node is not None and bool(wrong) is not bool(self._condition):
            kind, reason = ("Warning", NOT_WRITTEN) if wrong else ("Normal", WRITTEN)
            await self._recorder.event(node, kind, reason, wrong or "the rules of this node are written")
        self._condition = wrong
        return True

    async def _write_condition(self, wrong: str) -> Object:
        node = await self._api.get(NODES, NamespacedName("", self._proxy.name))
        made = with_condition(node, wrong, timestamp(self._clock.now()))
        return node if made is node else await self._api.replace_status(made)

    # --- Events

    async def _say_deprecated(self) -> None:
        """Once, as kube-proxy does at its start."""
        if not self._must_warn():
            return
        message = "IPVS mode is deprecated; nftables mode replaces it"
        log.warning("%s: %s", self._proxy.name, message)
        node = self._proxy.find(NODES, NamespacedName("", self._proxy.name))
        if node is not None:
            await self._recorder.event({"apiVersion": "v1", "kind": "Node", **node}, "Warning", DEPRECATED, message)
        self._has_warned = True

    async def _say_left_out(self) -> None:
        now: dict[tuple[str, str], LeftOut] = {}
        for report in self._proxy.reports.values():
            for item in report.left_out:
                now.setdefault((item.namespace, item.service), item)
        for at, item in now.items():
            if self._left_out.get(at) != item.message:
                await self._tell(at, "Warning", FAILED, f"{self._proxy.name}: {item.port}: {item.message}")
        for at in self._left_out.keys() - now.keys():
            await self._tell(at, "Normal", BACK, f"{self._proxy.name}: its rules are written")
        self._left_out = {at: item.message for at, item in now.items()}

    async def _tell(self, at: tuple[str, str], kind: str, reason: str, message: str) -> None:
        service = self._proxy.find(SERVICES, NamespacedName(*at))
        if service is not None:
            await self._recorder.event({"apiVersion": "v1", "kind": "Service", **service}, kind, reason, message)

    async def _say_obstacles(self) -> None:
        now = frozenset(text for report in self._proxy.reports.values() for text in report.obstacles)
        node = self._proxy.find(NODES, NamespacedName("", self._proxy.name))
        for text in sorted(now - self._obstacles):
            if node is not None:
                await self._recorder.event({"apiVersion": "v1", "kind": "Node", **node}, "Warning", IN_THE_WAY, text)
        self._obstacles = now


def with_condition(node: Object, wrong: str, now: str) -> Object:
    """The Node with the condition that says what is WRONG; the same one when it says so already.

    Nothing is said of a Node whose rules are and were written, nor is what others say there overwritten by "all is well".
    """
    known = condition(node, CONDITION)
    state = "True" if wrong else "False"
    if not wrong and known.get("reason") != NOT_WRITTEN:
        return node
    if known.get("status") == state and known.get("message") == wrong:
        return node
    made: Mapping[str, Any] = {
        "type": CONDITION, "status": state, "reason": NOT_WRITTEN if wrong else WRITTEN,
        "message": wrong or "the rules of this node are written", "lastHeartbeatTime": now,
        "lastTransitionTime": now if known.get("status") != state else known.get("lastTransitionTime", now),
    }  # fmt: skip
    others = [item for item in status(node).get("conditions") or () if item.get("type") != CONDITION]
    return {**node, "status": {**status(node), "conditions": [*others, made]}}
