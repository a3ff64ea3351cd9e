"""The streams of a Pod on sockets."""

from __future__ import annotations

from aiohttp import web

from netproxy.apiserver.connect import LogOptions, PortForward, Stream, Terminal
from netproxy.apiserver.status import bad_request
from netproxy.serve import spdycommand, websocket
from netproxy.serve.forward import answer_forward
from netproxy.serve.logs import answer_log
from netproxy.serve.nodes import Nodes
from netproxy.serve.upgrade import is_spdy
from netproxy.serve.websocket import is_websocket


async def connected(request: web.Request, wanted: Stream, nodes: Nodes) -> web.StreamResponse:
    """Serve a stream of a Pod. Raises NetproxyError."""
    match wanted.wanted:
        case LogOptions():
            return await answer_log(request, wanted, wanted.wanted, nodes)
        case Terminal() if is_websocket(request):
            return await websocket.answer_command(request, wanted, wanted.wanted, nodes)
        case Terminal() if is_spdy(request):
            return await spdycommand.answer_command(request, wanted, wanted.wanted, nodes)
        case PortForward() if is_websocket(request) or is_spdy(request):
            return await answer_forward(request, wanted, wanted.wanted, nodes)
        case _:
            raise bad_request("Upgrade request required")
