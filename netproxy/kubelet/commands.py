"""Commands in containers that somebody talks to: their streams, their end."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from netproxy.core.errors import KernelError
from netproxy.kubelet import stdio
from netproxy.kubelet.ends import End, readable
from netproxy.kubelet.runtime import Runtime

Message = dict[str, Any]
HANG_UP_S = 0.3
"""How long a command has to end by itself when nobody is there any more."""
CALL_S = 15.0
"""How long the child may take to call."""


class Command:
    """A command that runs."""

    def __init__(self, runtime: Runtime, name: str, ends: tuple[End, ...], status: asyncio.Future[int]) -> None:
        self._runtime = runtime
        self._name = name
        self._ends = ends
        self._outputs = ends[1:] or ends
        self.status = status
        """Its exit status, when it has ended. Raises KernelError when nobody knows."""

    @property
    def outputs(self) -> int:
        """How many there are: output and errors, or the terminal."""
        return len(self._outputs)

    async def read(self, output: int) -> bytes:
        """What it writes next to one of its outputs; empty when that is over."""
        return await self._outputs[output].read()

    async def write(self, data: bytes) -> bool:
        """Give it to read; False when it does not any more."""
        return await self._ends[0].write(data)

    def close_input(self) -> None:
        """There is nothing more to read; a terminal has no such end."""
        if len(self._ends) > 1:
            self._ends[0].close()

    def resize(self, columns: int, rows: int) -> None:
        """Tell its terminal how large it is."""
        self._ends[0].resize(columns, rows)

    async def end(self) -> None:
        """Hang up: with the command, if it still runs, everything that it began goes."""
        for each in self._ends:
            each.close()
        if not self.status.done():
            self._runtime.kill(self._name, signal.SIGHUP)
            await asyncio.wait([self.status], timeout=HANG_UP_S)
            self._runtime.kill(self._name, signal.SIGKILL)
        if self.status.done() and not self.status.cancelled():
            self.status.exception()  # nobody waits for it


class Commands:
    """Starts commands; FOLDER is one in which only this user can put anything."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self._runtime = runtime
        self._folder = folder
        self._numbers = itertools.count(1)

    async def begin(self, pod: str, message: Message, *, tty: bool) -> Command:
        """Start a command (see `Launch.command`) of the Pod with this uid. Raises KernelError with the reason."""
        number = next(self._numbers)
        name, path = f"{pod}/stream/{number}", self._folder / f"command-{os.getpid()}-{number}.sock"
        with ExitStack() as cleanup:
            listener = cleanup.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(str(path))
            cleanup.callback(path.unlink)
            listener.listen(1)
            listener.setblocking(False)
            asked = {**message, "stdio": {"socket": str(path), "tty": tty}}
            begun = asyncio.ensure_future(self._runtime.begin(name, asked))
            ends: tuple[End, ...] = ()
            try:
                ends = await _met(listener, begun, tty=tty)
                return Command(self._runtime, name, ends, await begun)
            except BaseException:
                begun.cancel()
                self._runtime.kill(name, signal.SIGKILL)
                for end in ends:
                    end.close()
                raise


async def _met(listener: socket.socket, begun: asyncio.Future[Any], *, tty: bool) -> tuple[End, ...]:
    """What the child that calls reads and writes. Raises KernelError when it does not come to that."""
    meeting = asyncio.ensure_future(_meet(listener, tty=tty))
    try:
        await asyncio.wait([meeting, begun], timeout=CALL_S, return_when=asyncio.FIRST_COMPLETED)
        if not meeting.done() and begun.done():
            await begun  # why not
        async with asyncio.timeout(CALL_S):
            return await meeting
    except OSError as error:
        await asyncio.wait([begun], timeout=CALL_S)
        if begun.done():
            await begun
        raise KernelError(f"the command did not begin: {error}") from error
    finally:
        meeting.cancel()


async def _meet(listener: socket.socket, *, tty: bool) -> tuple[End, ...]:
    loop = asyncio.get_running_loop()
    line, _ = await loop.sock_accept(listener)
    with line:
        if tty:
            while True:
                with suppress(BlockingIOError):
                    return (End(stdio.take_terminal(line)),)
                await readable(line.fileno())
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(stdio.PIPES)]
        theirs, ours = [pipes[0][0], pipes[1][1], pipes[2][1]], [pipes[0][1], pipes[1][0], pipes[2][0]]
        try:
            stdio.send_pipes(line, theirs)
        except BaseException:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        return tuple(map(End, ours))
