"""PersistentVolumes: since when they are in their phase.

Source: kubernetes pkg/registry/core/persistentvolume/strategy.go.
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.objects.kinds import PERSISTENT_VOLUMES
from netproxy.objects.meta import Object, status
from netproxy.registry.strategy import Strategy

_SINCE = "lastPhaseTransitionTime"


class VolumeStrategy(Strategy):
    """The server tells the time when nobody else does."""

    def __init__(self, now: Callable[[], str]) -> None:
        super().__init__(PERSISTENT_VOLUMES)
        self._now = now

    def first_status(self) -> Object:
        """Nobody has claimed it."""
        return {"phase": "Pending", _SINCE: self._now()}

    def reported(self, obj: Object, old: Object) -> Object:
        """A new phase is since now, unless it says since when."""
        new = super().reported(obj, old)
        given, before = status(new), status(old)
        if given.get("phase") != before.get("phase"):
            is_told = given.get(_SINCE) not in (None, before.get(_SINCE))
            since = given[_SINCE] if is_told else self._now()
        else:
            since = given.get(_SINCE) or before.get(_SINCE)
        return {**new, "status": {**given, **({_SINCE: since} if since else {})}}
