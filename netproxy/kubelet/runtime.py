"""The agent's end of the shim: start, signal, hear of exits, and notice when the shim itself is gone."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from netproxy.core.errors import KernelError
from netproxy.kubelet.state import KILLED

log = logging.getLogger(__name__)

Message = dict[str, Any]
GREETING_S = 15.0
"""A new shim first ends what the containers of an old one left."""
AGAIN_S = (0.0, 0.5, 2.0, 5.0, 15.0)
"""Waiting before the n-th new shim; it begins anew after a minute."""
WELL_S = 60.0


class ShimLostError(KernelError):
    """The shim has gone, and with it every container: what was asked of it may have been done or not."""


class Listener(Protocol):
    """Who is told what becomes of containers."""

    def exited(self, name: str, code: int) -> None:
        """A container ended."""
        ...

    def all_lost(self) -> None:
        """The shim has gone, and every container is ended before there is a new one."""
        ...


class Runtime:
    """Containers by id, through the shim's socket.

    `running` has each with its process number, `notes` what was noted down at its start, `dead` the exit statuses of
    those that ended while nobody listened.
    """

    def __init__(
        self, path: str, new_shim: Callable[[], Awaitable[None]], *, patience_s: float = GREETING_S
    ) -> None:  # fmt: skip
        """NEW_SHIM starts a shim that listens on PATH, and returns when it does; PATIENCE_S is how long to wait for one."""
        self._path = path
        self._patience_s = patience_s
        self._new_shim = new_shim
        self._listener: Listener | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._starting: dict[str, asyncio.Future[int]] = {}
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._feeding: dict[str, asyncio.Future[int]] = {}
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._over = False
        self.running: dict[str, int] = {}
        self.notes: dict[str, Any] = {}
        self.dead: dict[str, Message] = {}

    async def connect(self) -> None:
        """Connect and learn what runs; from then on a shim that goes is replaced. Raises KernelError."""
        reader = await self._open()
        self._task = asyncio.create_task(self._keep(reader))

    def listen(self, listener: Listener) -> None:
        """Tell LISTENER from now on."""
        self._listener = listener

    # --- the connection

    async def _open(self) -> asyncio.StreamReader:
        try:
            async with asyncio.timeout(self._patience_s):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=1 << 24)
                greeting = json.loads(await reader.readline())
        except (OSError, ValueError) as error:  # a time-out is an OSError, an empty line no JSON
            raise KernelError(f"the shim does not answer: {error}", request=self._path) from error
        self.running = {name: each["pid"] for name, each in greeting["containers"].items()}
        self.notes = {name: each.get("note") or {} for name, each in greeting["containers"].items()}
        self.dead = greeting["ended"]
        self._writer = writer
        self._connected.set()
        return reader

    async def _keep(self, reader: asyncio.StreamReader) -> None:
        """Listen; when the shim goes, tell, start a new one, and listen to that."""
        tries = 0
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            await self._hear_all(reader)
            if self._over:
                return
            self._fail_waiters()
            again = await self._same_shim()
            tries = 0 if clock() - begun > WELL_S else tries
            while again is None:
                await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
                tries += 1
                try:
                    await self._new_shim()
                    again = await self._open()
                except Exception:
                    log.exception("there is no new shim yet")
            reader = again

    async def _same_shim(self) -> asyncio.StreamReader | None:
        """The connection may have been taken from us by another one: whoever answers still holds what runs."""
        before = dict(self.running)
        try:
            reader = await self._open()
        except KernelError:
            log.error("the shim has gone; what runs is ended and started again")
            self.running, self.notes, self.dead = {}, {}, {}
            if self._listener:
                self._listener.all_lost()
            return None
        for name in before.keys() - self.running.keys():
            self._ended(name, self.dead.get(name, {}).get("code", KILLED))
        return reader

    async def _hear_all(self, reader: asyncio.StreamReader) -> None:
        with suppress(OSError, ValueError):  # a line that is too long is a ValueError: not from a shim of ours
            while line := await reader.readline():
                try:
                    self._hear(json.loads(line))
                except Exception:
                    log.exception("a message of the shim: %r", line[:200])

    def _fail_waiters(self) -> None:
        """Nobody waits for what will not come."""
        self._connected.clear()
        if self._writer:
            self._writer.close()
        self._writer = None
        for future in (*self._starting.values(), *self._waiting.values()):
            if not future.done():
                future.set_exception(ShimLostError("the shim has gone"))
        self._starting, self._waiting = {}, {}
        for future in self._feeding.values():
            _resolve(future, 0)

    def _hear(self, message: Message) -> None:
        name = message["id"]
        match message["event"]:
            case "started":
                if name in self._starting:
                    self.running[name] = message["pid"]
                elif name not in self.running:  # nobody waits for it any more
                    self._write({"op": "signal", "id": name, "signal": int(signal.SIGKILL)})
                _resolve(self._starting.pop(name, None), message["pid"])
            case "failed":
                future = self._starting.pop(name, None)
                if future and not future.done():
                    future.set_exception(KernelError(message["error"]))
                elif name in self.running:  # it was being started when we took over
                    self._ended(name, 127)
            case "exited":
                self._ended(name, message["code"])
            case "took":
                _resolve(self._feeding.get(name), int(message["all"]))

    def _ended(self, name: str, code: int) -> None:
        self.running.pop(name, None)
        _resolve(self._waiting.pop(name, None), code)
        _resolve(self._feeding.get(name), 0)
        if self._listener:
            self._listener.exited(name, code)
        else:
            self.dead[name] = {"code": code, "at": time.time(), "note": self.notes.get(name) or {}}

    async def _send(self, message: Message) -> None:
        """Send, as soon as there is a shim. Raises KernelError when there is none for a while."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._connected.wait()
        except TimeoutError:
            raise ShimLostError("there is no shim") from None
        self._write(message)

    def _write(self, message: Message) -> None:
        if self._writer:
            self._writer.write(json.dumps(message).encode() + b"\n")

    # --- containers

    async def start(self, name: str, message: Message) -> int:
        """Start a container; its process number. Raises KernelError with the reason, ShimLostError among them."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._starting[name] = future
        try:
            await self._send({"op": "start", "id": name, **message})
            return await future
        finally:
            if self._starting.get(name) is future:
                del self._starting[name]

    async def execute(self, name: str, message: Message, limit_s: float) -> int:
        """Run a command to its end; its exit status. Raises TimeoutError, KernelError."""
        ended = await self.begin(name, message)
        try:
            async with asyncio.timeout(limit_s):
                return await ended
        finally:
            self.kill(name, signal.SIGKILL)
            self._waiting.pop(name, None)

    async def begin(self, name: str, message: Message) -> asyncio.Future[int]:
        """Start a command; what becomes its exit status, when it has ended. Raises KernelError."""
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[name] = ended
        try:
            await self.start(name, message)
        except BaseException:
            self.kill(name, signal.SIGKILL)
            self._waiting.pop(name, None)
            raise
        return ended

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a container and all its processes; gone is fine."""
        if name in self.running:
            self._write({"op": "signal", "id": name, "signal": int(number)})

    async def feed(self, name: str, data: bytes) -> bool:
        """Give a container something to read, and wait until it is taken; False when it reads nothing (any more)."""
        while name in self._feeding:
            await asyncio.wait([self._feeding[name]])
        if name not in self.running:
            return False
        future = self._feeding[name] = asyncio.get_running_loop().create_future()
        try:
            self._write({"op": "input", "id": name, "data": base64.b64encode(data).decode()})
            return bool(await future)
        finally:
            future.cancel()
            del self._feeding[name]

    def close_input(self, name: str) -> None:
        """There is nothing more for a container to read."""
        self._write({"op": "close-input", "id": name})

    def resize(self, name: str, columns: int, rows: int) -> None:
        """Tell a container's terminal how large it is."""
        self._write({"op": "resize", "id": name, "columns": columns, "rows": rows})

    def forget(self, prefix: str) -> None:
        """Let the shim forget the exit statuses of the containers whose ids begin with this."""
        self._write({"op": "forget", "prefix": prefix})

    # --- the end

    async def quit(self, limit_s: float = 6.0) -> None:
        """End the shim and with it every container; it is given some time for that."""
        self._over, self._listener = True, None
        if self._writer and self._task:
            self._write({"op": "quit"})
            await asyncio.wait([self._task], timeout=limit_s)
        await self.close()

    async def close(self) -> None:
        """Leave the shim running, and its containers with it."""
        self._over, self._listener = True, None
        if self._writer:
            self._writer.close()
        if self._task:
            self._task.cancel()


def _resolve(future: asyncio.Future[int] | None, value: int) -> None:
    if future and not future.done():
        future.set_result(value)
