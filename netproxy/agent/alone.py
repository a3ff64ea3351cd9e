"""An API server alone, or with the controllers: for whoever tests software against a Kubernetes API. Touches no kernel."""

from __future__ import annotations

import os
import socket

from netproxy.agent.begin import with_ranges
from netproxy.agent.doors import Door, Doors, down, listen, well_formed
from netproxy.agent.paths import Paths, Scope
from netproxy.agent.plane import ControlPlane
from netproxy.agent.sweep import sweep
from netproxy.objects import messages
from netproxy.objects.kinds import ENDPOINT_SLICES, PODS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.objects.messages import Nothing
from netproxy.objects.meta import describe, is_ready
from netproxy.objects.typed import Message
from netproxy.serve import http


class Alone(ControlPlane):
    """A control plane without machines."""

    def __init__(
        self, paths: Paths, incoming: list[Loaded], scope: Scope, *, sock: socket.socket | None = None
    ) -> None:
        super().__init__(paths, with_ranges(incoming, paths.cluster, scope), scope=scope, sock=sock)

    async def start(self, extra: http.Extra) -> None:
        """Bring it up. EXTRA answers below /netproxy/. Raises NetproxyError."""
        await self.put_first()
        if self.scope is Scope.CONTROL_PLANE:
            await self.follow()
            from netproxy.agent.moving import control  # an API alone needs none of that

            control(self)
        await self.listen(extra)

    async def end(self, *, take_down: bool) -> None:
        """End it; with TAKE_DOWN its files, too."""
        await self.close()
        if take_down:
            sweep(self.paths)


async def _status(plane: ControlPlane, _: Nothing) -> Message:
    cluster, pods = plane.cluster, list(plane.store.all(PODS))
    return messages.StatusAnswer(
        "netproxy.dev/v1alpha1", "Status", plane.paths.cluster, plane.scope.value,
        messages.AgentStatus(os.getpid(), plane.started, str(plane.paths.state), plane.store.version),
        "", "", messages.ProxyStatus(0, ()), (), messages.ClientStatus("", ()),
        messages.PodCounts(len(pods), sum(map(is_ready, pods))),
        plane.store.count(SERVICES), plane.store.count(ENDPOINT_SLICES),
        messages.DnsStatus(cluster.dns_domain, ()),
    )  # fmt: skip


async def _apply(plane: ControlPlane, asked: messages.ApplyRequest) -> Message:
    made = plane.registry.apply(item for item in well_formed(asked) if item.obj["kind"] != "Cluster")
    return messages.ApplyAnswer(tuple(map(describe, made)))


async def _wait(_: ControlPlane, __: messages.WaitRequest) -> Message:
    """Nothing here becomes ready by itself."""
    return messages.WaitAnswer(True, (), ())


DOORS: Doors = {
    "status": {"GET": Door(Nothing, _status)},
    "apply": {"POST": Door(messages.ApplyRequest, _apply)},
    "wait": {"GET": Door(messages.WaitRequest, _wait)},
    "listen": {"POST": Door(Nothing, listen)},
    "down": {"POST": Door(Nothing, down)},
}
"""Every path below /netproxy/ with its methods."""
