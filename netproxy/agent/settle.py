"""Whether a cluster has come to rest: every Pod ready (or unable to become so soon), every rule written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from netproxy.core.clock import Clock
from netproxy.objects.kinds import DEPLOYMENTS, PODS
from netproxy.objects.meta import Object, is_ready, spec, status
from netproxy.store.store import Store

LOOK_AGAIN_S = 0.02
"""While the kubelet has not seen every Pod; that it has is not told by a change of an object."""
STUCK = ("ImagePullBackOff", "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError")


async def settle(
    store: Store,
    clock: Clock,
    limit_s: float,
    rules_settled: Callable[[], Awaitable[None]],
    has_looked: Callable[[], bool],
) -> tuple[bool, list[Object]]:
    """Wait up to LIMIT_S seconds. Returns whether it came about, and the Pods that are not ready.

    HAS_LOOKED tells whether the kubelet has seen every Pod: before that a status may be what an earlier agent wrote.
    """
    deadline = clock.monotonic() + limit_s
    changed = asyncio.Event()
    end = store.subscribe(lambda _: changed.set())
    try:
        while True:
            changed.clear()
            settled = has_looked() and _pods_settled(store)
            left = deadline - clock.monotonic()
            if settled or left <= 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(1.0, left)):
                        await rules_settled()
                settled = settled and _pods_settled(store)  # one may have ended meanwhile
            if settled or left <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left if has_looked() else min(left, LOOK_AGAIN_S)):
                    await changed.wait()
    finally:
        end()
    return settled, [pod for pod in store.list(PODS) if not is_ready(pod) and status(pod).get("phase") != "Succeeded"]


def _pods_settled(store: Store) -> bool:
    short = any(status(d).get("replicas", 0) < spec(d).get("replicas", 1) for d in store.all(DEPLOYMENTS))
    return not short and all(_is_settled(pod) for pod in store.all(PODS))


def _is_settled(pod: Object) -> bool:
    if is_ready(pod) or status(pod).get("phase") in ("Succeeded", "Failed"):
        return True
    if (status(pod).get("conditions") or [{}])[0].get("reason") == "Unschedulable":
        return True
    states = [item.get("state") or {} for item in status(pod).get("containerStatuses") or ()]
    return any((state.get("waiting") or {}).get("reason") in STUCK for state in states)
