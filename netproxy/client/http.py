"""An API behind HTTP: netproxy's own on its Unix socket, or any Kubernetes API server.

Source: kubernetes client-go rest/request.go (Retry-After, watches), tools/cache/reflector.go (timeouts, bookmarks, initial
events), tools/pager/pager.go (pages).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import orjson

from netproxy.client import wire
from netproxy.client.credentials import Credentials, Run, run_program
from netproxy.client.kubeconfig import Connection, load
from netproxy.client.port import (
    APPLY_PATCH,
    EVERYTHING,
    INITIAL,
    Listing,
    Selector,
    WatchEvent,
)
from netproxy.client.supervise import Backoff, Pause
from netproxy.client.transport import NOBODY, Identity, Reply, Request, Transport
from netproxy.core.clock import Clock
from netproxy.core.errors import ExpiredError, ManifestError, Problem, UnavailableError, UnsupportedError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import PODS, Resource, resource_of
from netproxy.objects.meta import INITIAL_EVENTS_END, Object, annotations_of, describe, key, metadata

log = logging.getLogger(__name__)

PAGE = 500
TRIES = 10
"""How often a request is sent when the server asks each time to come back later."""

WATCH_S = (300.0, 600.0)
"""A watch ends after a time between these, so that not all watches of a server end together."""

JSON = "application/json"
AGENT = "netproxy/0.1.0 (linux)"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a silent server is waited for, in seconds."""

    answer_s: float = 60.0
    """One that has not begun to answer by then is lost."""
    watch_s: float = 150.0
    """A watch that tells nothing for so long is asked for anew: servers tell every minute that nothing is new."""
    initial_s: float = 30.0
    """One that pauses for so long in the middle of the initial events does not know how they end."""


USUAL = Patience()


class HttpApi:
    """An Api over HTTP. One event loop uses it; `close` gives its connections back."""

    def __init__(
        self, transport: Transport, credentials: Credentials | None = None, *, clock: Clock, random: Random,
        headers: Sequence[tuple[str, str]] = (), pause: Pause = asyncio.sleep, patience: Patience = USUAL,
    ) -> None:  # fmt: skip
        self._transport = transport
        self._credentials = credentials
        self._clock = clock
        self._random = random
        self._headers = (("Accept", JSON), ("User-Agent", AGENT), *headers)
        self._pause = pause
        self._patience = patience
        self._without_initial: set[Resource] = set()

    @classmethod
    def on_socket(
        cls, path: Path, *, clock: Clock, random: Random, pause: Pause = asyncio.sleep, patience: Patience = USUAL
    ) -> HttpApi:
        """The API of the agent that listens on this Unix socket."""
        from netproxy.client.unix import UnixTransport

        return cls(UnixTransport(path), clock=clock, random=random, pause=pause, patience=patience)

    @classmethod
    def of(
        cls, connection: Connection, *, clock: Clock, random: Random, pause: Pause = asyncio.sleep,
        patience: Patience = USUAL, run: Run = run_program,
    ) -> HttpApi:  # fmt: skip
        """The API server of a connection; RUN runs its credential plugin, if it has one."""
        from netproxy.client.tcp import TcpTransport  # here, because it takes 160 ms, which not everybody needs

        return cls(
            TcpTransport(connection), Credentials(connection, clock=clock, run=run), clock=clock, random=random,
            headers=connection.headers, pause=pause, patience=patience,
        )  # fmt: skip

    @classmethod
    def from_kubeconfig(cls, path: Path | None = None, *, context: str = "", clock: Clock, random: Random) -> HttpApi:
        """The API server of a kubeconfig's context, as `kubeconfig.load` finds it. Raises ManifestError."""
        return cls.of(load(path, context=context), clock=clock, random=random)

    async def close(self) -> None:
        """Give all connections back."""
        await self._transport.close()

    # --- reading

    async def get(self, resource: Resource, at: NamespacedName) -> Object:
        """One object. Raises NotFoundError."""
        return await self._object("GET", wire.path_of(resource, at))

    async def list(self, resource: Resource, selector: Selector = EVERYTHING) -> Listing:
        """Everything that the selector picks, page by page; at once when a page's moment is forgotten meanwhile."""
        pages: list[Any] = []
        token = ""
        try:
            while token or not pages:
                target = wire.target_of(resource, selector, **{"limit": PAGE, "continue": token})
                pages.append(await self._object("GET", target))
                token = metadata(pages[-1]).get("continue") or ""
        except ExpiredError:
            if not token:
                raise
            pages = [await self._object("GET", wire.target_of(resource, selector))]
        items = [obj for page in pages for obj in wire.objects_of(resource, page.get("items") or ())]
        return Listing(tuple(items), str(metadata(pages[0]).get("resourceVersion") or ""))

    async def watch(
        self, resource: Resource, version: str, selector: Selector = EVERYTHING
    ) -> AsyncIterator[WatchEvent]:
        """What happens after VERSION; see `Api.watch`. It begins with a BOOKMARK of VERSION as soon as the server accepts."""
        initial = version == INITIAL
        if initial and resource in self._without_initial:
            raise UnsupportedError(f"initial events of {resource.plural}: the server does not send them")
        request = replace(self._request("GET", self._watch_target(resource, version, selector)), idle_s=2 * WATCH_S[1])
        async with self._opened(request) as reply:
            if initial and reply.status in (400, 422):
                self._without_initial.add(resource)
                why = wire.error_of(reply.status, await reply.read())
                raise UnsupportedError(f"initial events of {resource.plural}: {why}")
            await _checked(reply)
            if not initial:
                yield WatchEvent("BOOKMARK", {"kind": resource.kind, "metadata": {"resourceVersion": version}})
            async for event in _events(reply, self._patience, initial=initial):
                yield event

    def _watch_target(self, resource: Resource, version: str, selector: Selector) -> str:
        first = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        return wire.target_of(
            resource, selector, watch="true", allowWatchBookmarks="true", timeoutSeconds=int(self._random.uniform(*WATCH_S)),
            **(first if version == INITIAL else {"resourceVersion": version}),
        )  # fmt: skip

    # --- writing

    async def create(self, obj: Object) -> Object:
        """Store a new object. Raises AlreadyExistsError, ManifestError."""
        resource, at = _where(obj)
        return await self._object("POST", wire.path_of(resource, at._replace(name="")), obj)

    async def replace(self, obj: Object) -> Object:
        """Put OBJ in the place of the stored one. Raises ConflictError, NotFoundError, ManifestError."""
        return await self._object("PUT", wire.path_of(*_where(obj)), obj)

    async def replace_status(self, obj: Object) -> Object:
        """Put OBJ's status in the place of the stored one. Raises as `replace`."""
        return await self._object("PUT", wire.path_of(*_where(obj), "status"), obj)

    async def bind(self, pod: NamespacedName, node: str) -> None:
        """Let a Pod run on a node. Raises ConflictError, NotFoundError."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": pod._asdict(), "target": target}
        await self._object("POST", wire.path_of(PODS, pod, "binding"), binding)

    async def finalize(self, obj: Object) -> Object:
        """Put a Namespace's `spec.finalizers` in the place of the stored ones. Raises as `replace`."""
        return await self._object("PUT", wire.path_of(*_where(obj), "finalize"), obj)

    async def patch(
        self, resource: Resource, at: NamespacedName, body: Any, content_type: str, subresource: str = ""
    ) -> Object:
        """Change one object by a patch. Raises ConflictError, NotFoundError, ManifestError, UnsupportedError."""
        query = "?fieldManager=netproxy" if content_type == APPLY_PATCH else ""
        return await self._object("PATCH", wire.path_of(resource, at, subresource) + query, body, content_type)

    async def delete(
        self, resource: Resource, at: NamespacedName, *, grace_s: int | None = None, propagation: str | None = None,
        uid: str | None = None,
    ) -> None:  # fmt: skip
        """Ask for the object's end. Raises NotFoundError, ConflictError (another one has its name)."""
        options = wire.delete_options(grace_s=grace_s, propagation=propagation, uid=uid)
        await self._object("DELETE", wire.path_of(resource, at), options)

    # --- requests

    async def _object(self, method: str, target: str, body: Any = None, content_type: str = JSON) -> Object:
        """A request and its whole answer; sent again when the server says when to come back."""
        backoff, tries = Backoff(self._random), 0
        while True:
            tries += 1
            try:
                async with self._opened(self._request(method, target, body, content_type)) as reply:
                    await _checked(reply)
                    return wire.decoded(await reply.read())
            except UnavailableError as error:
                if error.retry_after_s is None or tries == TRIES:
                    raise
                log.debug("%s %s: %s; again after %s s", method, target, error, error.retry_after_s)
                await self._pause(backoff.next(at_least_s=error.retry_after_s))

    def _request(self, method: str, target: str, body: Any = None, content_type: str = JSON) -> Request:
        headers = self._headers if body is None else (*self._headers, ("Content-Type", content_type))
        data = b"" if body is None else orjson.dumps(body)
        return Request(method, target, headers, data, self._patience.answer_s)

    @asynccontextmanager
    async def _opened(self, request: Request) -> AsyncIterator[Reply]:
        """The answer to a request, whatever its status; after a 401 once more as who we are by then."""
        identity = await self._identity()
        async with AsyncExitStack() as stack:
            reply = await self._reply(stack, request, identity)
            if reply.status == 401 and self._credentials:
                self._credentials.refused(identity)
                again = await self._identity()
                if again != identity:
                    await stack.aclose()
                    reply = await self._reply(stack, request, again)
            yield reply

    async def _identity(self) -> Identity:
        return await self._credentials.current() if self._credentials else NOBODY

    async def _reply(self, stack: AsyncExitStack, request: Request, identity: Identity) -> Reply:
        given = (("Authorization", identity.authorization),) if identity.authorization else ()
        signed = replace(request, headers=(*request.headers, *given), identity=identity)
        wait = self._patience.answer_s
        try:
            async with asyncio.timeout(wait):
                return await stack.enter_async_context(self._transport.open(signed))
        except TimeoutError as error:
            raise UnavailableError(0, "Timeout", f"the server did not answer within {wait:.0f} s") from error


async def _checked(reply: Reply) -> None:
    """Raise what a failure's Status says."""
    if reply.status >= 300:
        raise wire.error_of(reply.status, await reply.read(), reply.headers.get("retry-after", ""))


async def _events(reply: Reply, patience: Patience, *, initial: bool) -> AsyncIterator[WatchEvent]:
    """The events of a watch until it ends, or is silent for too long. A line that does not end is no event."""
    lines, chunks = wire.Lines(), reply.chunks()
    while True:
        try:
            async with asyncio.timeout(patience.initial_s if initial else patience.watch_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            return
        if chunk is None:
            return
        for line in lines.of(chunk):
            event = wire.event_of(line)
            if event is None:
                log.warning("an event of an unknown type: %r", line[:100])
                continue
            if event.type == "BOOKMARK" and annotations_of(event.obj).get(INITIAL_EVENTS_END) == "true":
                initial = False
            yield event


def _where(obj: Object) -> tuple[Resource, NamespacedName]:
    resource = resource_of(obj)
    if resource is None:
        what = f"{obj.get('apiVersion')} {obj.get('kind')}"
        raise ManifestError([Problem("kind", f'Unsupported value: "{what}": no such resource is known', describe(obj))])
    at = key(obj)
    if not resource.namespaced:
        return resource, NamespacedName("", at.name)
    return resource, NamespacedName(at.namespace or "default", at.name)
