"""HTTP over a Unix socket for the API: requests to values, values to answers, watches and streams as what comes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict

from netproxy.apiserver.body import MOST_BYTES
from netproxy.apiserver.connect import Stream
from netproxy.apiserver.paths import meant
from netproxy.apiserver.proxied import Proxied
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.apiserver.status import status_of
from netproxy.apiserver.watch import Teller, Told, Watch
from netproxy.core.clock import Clock
from netproxy.core.errors import ApiError, NetproxyError
from netproxy.core.user import ANONYMOUS, User
from netproxy.serve.metrics import CONTENT_TYPE, Requests, text
from netproxy.serve.nodes import Nodes, NoNodes
from netproxy.serve.patience import IDLE_S, Patience, worth_a_line
from netproxy.serve.streams import LIMITS, Limits, Rounds, stream
from netproxy.serve.who import OPEN_PATHS, TOKEN_USER, authenticated, is_local, user_of
from netproxy.store.store import Store

log = logging.getLogger(__name__)
_LOG_OF_HTTP = logging.getLogger(f"{__name__}.aiohttp")
_LOG_OF_HTTP.addFilter(worth_a_line)

Extra = Callable[[Request], Awaitable[Response]]
"""What the agent serves beside the Kubernetes API, below /netproxy/."""

MOST_APPLIED = 256 << 20
"""Of a request below /netproxy/: all manifests at once."""
BODY_S = 60.0
"""How long a client may take to send a body."""
LINE_BYTES = 32 << 10
"""Of the first line, in which are selectors, and of each header."""


async def serve(
    path: Path, api: Api, store: Store, clock: Clock, extra: Extra, *, limits: Limits = LIMITS,
    token_user: Callable[[str], User | None] | None = None, nodes: Nodes | None = None,
) -> web.AppRunner:  # fmt: skip
    """Listen on a Unix socket that only its owner can open; returns what ends it. TOKEN_USER: see `who.TOKEN_USER`.

    NODES are those that can be reached: for logs, for commands in containers.
    """
    streamed = _streamed(store, clock, limits, nodes or NoNodes())

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await _answer(request, api, extra, streamed)
        except web.HTTPRequestEntityTooLarge:
            return _whole(status_of(_too_large(MOST_BYTES)))
        except NetproxyError as error:
            return _whole(status_of(error))
        except ConnectionError:
            raise  # the client has gone
        except Exception as error:  # a fault of ours in one request ends no other
            log.exception("%s %s", request.method, request.path)
            return _whole(status_of(error))

    patience = Patience(lambda: runner.server.connections if runner.server else [])
    app = web.Application(client_max_size=MOST_BYTES, middlewares=[patience.heard, authenticated])
    app.cleanup_ctx.append(patience.work)
    if token_user:
        app[TOKEN_USER] = token_user
    app.router.add_route("*", "/{path:.*}", _counted(answer, api, store))
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2, keepalive_timeout=IDLE_S,
        max_line_size=LINE_BYTES, max_field_size=LINE_BYTES, auto_decompress=False, logger=_LOG_OF_HTTP,
    )  # fmt: skip
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    path.chmod(0o600)
    return runner


def _counted(answer: Handler, api: Api, store: Store) -> Handler:
    """ANSWER, and a count of what was asked, which is the answer of `/metrics`."""
    requests = Requests()

    async def counted(request: web.Request) -> web.StreamResponse:
        begun = time.perf_counter()
        response: web.StreamResponse
        if request.path == "/metrics" and request.method == "GET":
            refusal = api.refusal(_asked(request, b""))
            whole = web.Response(body=text(requests, store), headers={"Content-Type": CONTENT_TYPE})
            response = whole if refusal is None else _whole(refusal)
        else:
            response = await answer(request)
        requests.add(request.method, meant(request.path), response.status, time.perf_counter() - begun)
        return response

    return counted


Streamed = Callable[[web.Request, Watch | Stream | Proxied], Awaitable[web.StreamResponse]]


def _streamed(store: Store, clock: Clock, limits: Limits, nodes: Nodes) -> Streamed:
    """What serves all that is more than one answer; frames of watches that many are told are made once."""
    told, rounds, random = Told(), Rounds(limits), Random()

    async def streamed(request: web.Request, wanted: Watch | Stream | Proxied) -> web.StreamResponse:
        if isinstance(wanted, Watch):
            return await stream(request, Teller(wanted, clock, told), store, limits, rounds)
        if isinstance(wanted, Proxied):
            from netproxy.serve.proxying import pass_on  # an API without nodes never needs them

            return await pass_on(request, wanted, nodes, random)
        from netproxy.serve.connected import connected

        return await connected(request, wanted, nodes)

    return streamed


async def _answer(
    request: web.Request, api: Api, extra: Extra, streamed: Streamed
) -> web.StreamResponse:  # fmt: skip
    if request.path.startswith("/netproxy/") and is_local(request):
        return _whole(await extra(_asked(request, await _body(request, MOST_APPLIED))))
    result = api.handle(_asked(request, await _body(request, MOST_BYTES) if _has_body(request) else b""))
    return _whole(result) if isinstance(result, Response) else await streamed(request, result)


def _has_body(request: web.Request) -> bool:
    """Whether there is something to be read now: not what is passed on, and nothing for pages that anybody may ask."""
    target = meant(request.path)
    return not (target and target.subresource == "proxy") and request.path.rstrip("/") not in OPEN_PATHS


async def _body(request: web.Request, most: int) -> bytes:
    """What a request brings. Raises ApiError when it is too much, or takes too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while piece := await request.content.readany():
                body += piece
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError as error:
        raise ApiError(504, "Timeout", "request did not complete within the allotted timeout") from error
    return bytes(body)


def _too_large(most: int) -> ApiError:
    return ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {most}")


def _asked(request: web.Request, body: bytes) -> Request:
    query, headers = request.query, request.headers
    asked = [(_text(name), _text(value)) for name, value in query.items()]
    first = dict(reversed(asked))
    repeated = {} if len(asked) == len(first) else {name: tuple(v for n, v in asked if n == name) for name in first}
    return Request(
        request.method, _text(request.path), first, body, _text(headers.get("Content-Type", "")),
        _text(headers.get("Accept", "")), repeated, user_of(request) or ANONYMOUS, _text(headers.get("User-Agent", "")),
        headers=tuple([(name, _text(value)) for name, value in headers.items() if name[:12].lower() == "impersonate-"]),
    )  # fmt: skip


def _text(text: str) -> str:
    """A text in which bytes that are no characters are replaced, as they are wherever Go writes them."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _whole(response: Response) -> web.Response:
    headers = CIMultiDict((("Content-Type", response.content_type), *response.headers))
    return web.Response(status=response.status, body=response.body, headers=headers)
