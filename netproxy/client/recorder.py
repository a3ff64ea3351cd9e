"""Events about objects: what happened to them, for people; the same one again only counts.

Source: kubernetes client-go tools/record (names, counting, spam protection).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256

from netproxy.client.port import Api
from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import AlreadyExistsError, NetproxyError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import EVENTS
from netproxy.objects.meta import Object, name, namespace, uid

log = logging.getLogger(__name__)

BURST = 25
REFILL_S = 300.0
"""Of one object, so many events at once, and then one in so many seconds."""

REMEMBERED = 10_000
"""Of so many objects it is remembered what they have told; then those that have rested are forgotten."""

MESSAGE = 1024
"""The API's limit for a message; a longer one is cut."""


class Recorder:
    """Writes core/v1 Events. An event that cannot be written is logged and never stops whoever told it."""

    def __init__(self, api: Api, clock: Clock, component: str, *, host: str = "") -> None:
        self._api = api
        self._clock = clock
        self._source = {"component": component, **({"host": host} if host else {})}
        self._allowance: dict[str, tuple[float, float]] = {}

    async def event(self, about: Object, kind: str, reason: str, message: str) -> None:
        """Say what happened to an object: KIND is Normal or Warning, REASON one word, MESSAGE a sentence."""
        if not self._is_allowed(about):
            return
        try:
            await self._write(about, kind, reason, message[:MESSAGE])
        except NetproxyError as error:
            log.warning("event %s about %s/%s was not written: %s", reason, namespace(about), name(about), error)

    async def _write(self, about: Object, kind: str, reason: str, message: str) -> None:
        at = namespace(about) or "default"
        digest = sha256(f"{uid(about)}/{kind}/{reason}/{message}".encode()).hexdigest()[:16]
        event_name = NamespacedName(at, f"{name(about)}.{digest}")
        now = timestamp(self._clock.now())
        reference = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": name(about), "uid": uid(about)}
        if namespace(about):
            reference["namespace"] = namespace(about)
        new = {
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": event_name.name, "namespace": at},
            "involvedObject": reference, "type": kind, "reason": reason, "message": message, "source": self._source,
            "count": 1, "firstTimestamp": now, "lastTimestamp": now,
        }  # fmt: skip
        try:
            await self._api.create(new)
        except AlreadyExistsError:
            await self._count(event_name, now)

    async def _count(self, at: NamespacedName, now: str) -> None:
        known = await self._api.get(EVENTS, at)
        await self._api.replace({**known, "count": known.get("count", 1) + 1, "lastTimestamp": now})

    def _is_allowed(self, about: Object) -> bool:
        """A bucket of BURST for each object, refilled slowly."""
        now = self._clock.monotonic()
        left, since = self._allowance.get(uid(about), (float(BURST), now))
        left = min(float(BURST), left + (now - since) / REFILL_S)
        allowed = left >= 1
        self._allowance[uid(about)] = (left - allowed, now)
        if len(self._allowance) > REMEMBERED:
            self._allowance = {key: value for key, value in self._allowance.items() if now - value[1] < REFILL_S}
        return allowed


Tell = Callable[[Object, str, str, str], None]
"""How who acts tells an event without waiting: (about, kind, reason, message)."""
