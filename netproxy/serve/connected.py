"""The streams of a Pod on sockets."""

from __future__ import annotations

from aiohttp import web

from netproxy.apiserver.connect import LogOptions, Stream, Terminal
from netproxy.apiserver.status import bad_request
from netproxy.serve.logs import answer_log
from netproxy.serve.nodes import Nodes
from netproxy.serve.websocket import answer_command, is_websocket


async def connected(request: web.Request, wanted: Stream, nodes: Nodes) -> web.StreamResponse:
    """Serve a stream of a Pod. Raises NetproxyError."""
    match wanted.wanted:
        case LogOptions():
            return await answer_log(request, wanted, wanted.wanted, nodes)
        case Terminal() if is_websocket(request):
            return await answer_command(request, wanted, wanted.wanted, nodes)
        case _:
            raise bad_request("Upgrade request required")
