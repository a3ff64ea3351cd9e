"""Logs of containers on sockets: text as it comes.

Source: kubernetes apiserver pkg/registry/generic/rest/streamer.go, pkg/endpoints/handlers/responsewriters.
"""

from __future__ import annotations

from contextlib import aclosing

from aiohttp import web

from netproxy.apiserver.connect import LogOptions, Stream, log_refused
from netproxy.apiserver.status import bad_request
from netproxy.serve.nodes import Nodes, log_url, refusal, unreachable


async def answer_log(request: web.Request, stream: Stream, wanted: LogOptions, nodes: Nodes) -> web.StreamResponse:
    """Write a log until it ends or the client has gone. Raises ApiError before anything is written."""
    if stream.kubelet is None:
        return web.Response(status=204)
    if not nodes.reaches(stream.kubelet.node):
        raise unreachable(f'Get "{log_url(stream, stream.kubelet, wanted)}": {refusal(stream.kubelet)}')
    refused = log_refused(stream.pod, stream.container, previous=wanted.previous)
    if refused:
        raise bad_request(refused)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    async with aclosing(nodes.log(stream)) as pieces:  # type: ignore[type-var]  # every generator can be closed
        await response.prepare(request)
        async for piece in pieces:
            await response.write(piece)
    await response.write_eof()
    return response
