"""The agent's end of the shim: start, signal, and hear of exits."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

from netproxy.core.errors import KernelError

Message = dict[str, Any]


class Runtime:
    """Containers by id, through the shim's socket."""

    def __init__(self, on_exit: Callable[[str, int], None]) -> None:
        self._on_exit = on_exit
        self._writer: asyncio.StreamWriter | None = None
        self._starting: dict[str, asyncio.Future[int]] = {}
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._on_start: dict[str, Callable[[int], None]] = {}
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.running: dict[str, int] = {}

    async def connect(self, path: str) -> None:
        """Connect and learn what runs. Raises OSError when there is no shim."""
        reader, self._writer = await asyncio.open_unix_connection(path, limit=1 << 24)
        self._task = asyncio.create_task(self._listen(reader))
        await self._known.wait()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self._hear(json.loads(line))

    def _hear(self, message: Message) -> None:
        name = message.get("id", "")
        match message["event"]:
            case "running":
                self.running.update(message["containers"])
                self._known.set()
            case "started":
                self.running[name] = message["pid"]
                begin = self._on_start.pop(name, None)
                if begin:
                    begin(message["pid"])
                waiting = self._starting.pop(name, None)
                if waiting and not waiting.done():
                    waiting.set_result(message["pid"])
            case "failed":
                self._on_start.pop(name, None)
                waiting = self._starting.pop(name, None)
                if waiting and not waiting.done():
                    waiting.set_exception(KernelError(message["error"]))
            case "exited":
                self.running.pop(name, None)
                watcher = self._waiting.pop(name, None)
                if watcher and not watcher.done():
                    watcher.set_result(message["code"])
                self._on_exit(name, message["code"])

    def _send(self, message: Message) -> None:
        if self._writer is None:
            raise KernelError("the shim is not connected")
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def start(self, name: str, message: Message, on_start: Callable[[int], None] = lambda _: None) -> int:
        """Start a container; its process number. Raises KernelError with the reason.

        ON_START hears the process number before anything else does: the container may have ended already when this
        returns, and its end must not be heard before its start.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._starting[name] = future
        self._on_start[name] = on_start
        self._send({"op": "start", "id": name, **message})
        return await future

    async def execute(self, name: str, message: Message, limit_s: float) -> int:
        """Run a command to its end; its exit status. Raises TimeoutError, KernelError."""
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[name] = ended
        await self.start(name, message)
        try:
            async with asyncio.timeout(limit_s):
                return await ended
        except TimeoutError:
            self.kill(name, signal.SIGKILL)
            raise

    async def ended(self, name: str, limit_s: float) -> bool:
        """Wait for a container's end; False when it still runs after LIMIT_S."""
        if name not in self.running:
            return True
        future = self._waiting.setdefault(name, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.shield(future)
        except TimeoutError:
            return False
        return True

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a container and all its processes; gone is fine."""
        if name in self.running:
            self._send({"op": "signal", "id": name, "signal": int(number)})

    async def quit(self, limit_s: float = 6.0) -> None:
        """End the shim and with it every container; it is given some time for that."""
        if self._writer and self._task:
            self._on_exit = lambda *_: None  # they end because they shall
            self._send({"op": "quit"})
            await asyncio.wait([self._task], timeout=limit_s)
        await self.close()

    async def close(self) -> None:
        """Leave the shim running, and its containers with it."""
        if self._writer:
            self._writer.close()
        if self._task:
            self._task.cancel()
