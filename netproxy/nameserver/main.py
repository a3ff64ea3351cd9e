"""`python -m netproxy.nameserver.main SETTINGS`: the process, wired."""

from __future__ import annotations

import functools
import json
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

from netproxy.nameserver import health
from netproxy.nameserver.loops import Loops
from netproxy.nameserver.server import Server, Stream, bound
from netproxy.nameserver.source import Cached
from netproxy.nameserver.state import States
from netproxy.nameserver.streams import Streams
from netproxy.nameserver.upstream import Upstream
from netproxy.objects.kinds import ENDPOINT_SLICES, NAMESPACES, PODS, SERVICES

WATCHED = (SERVICES, ENDPOINT_SLICES, NAMESPACES)
BUILD_PATIENCE_S = 120.0


def main(settings: Mapping[str, Any]) -> None:
    """Serve until the process ends.

    SETTINGS: `socket` of the API, `domain`, `pods` mode, `cidrs` of the reverse zones, `upstreams`, `upstream_namespace`,
    `log`, `addresses` and `port` to listen on, `health_port` and `ready_port`.
    """
    sys.setswitchinterval(0.001)  # a question waits no longer for the thread that makes a zone
    loops = Loops()
    source = Cached(settings["socket"], (*WATCHED, PODS) if settings["pods"] == "verified" else WATCHED)
    states = States(source, settings)
    upstream = Upstream(settings.get("upstreams") or (), settings.get("upstream_namespace"))
    server = Server(states, upstream, log=bool(settings.get("log")))
    streams, datagrams = Streams(), []
    for address in settings.get("addresses") or ("0.0.0.0",):
        port = int(settings.get("port") or 53)
        datagrams.append((address, bound(socket.SOCK_DGRAM, address, port)))
        for kind, number in (
            (Stream(server), port),
            (health.health(loops), int(settings.get("health_port") or health.HEALTH_PORT)),
            (health.ready(states), int(settings.get("ready_port") or health.READY_PORT)),
        ):
            streams.listen(bound(socket.SOCK_STREAM, address, number), kind)
    loops.start("api", source.work)
    upstream.start(loops)
    loops.start("zone", states.work, patience_s=BUILD_PATIENCE_S)
    for address, sock in datagrams:
        loops.start(f"udp {address}", functools.partial(server.serve_udp, sock))
    loops.start("tcp", streams.work)
    threading.Event().wait()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
