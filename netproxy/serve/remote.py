"""A command in a container and whoever is at the other end of its streams, however those are carried.

Source: kubernetes 1.36 cri-streaming pkg/streaming/remotecommand (exec.go, attach.go), apiserver pkg/util/proxy/streamtranslator.go.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

from netproxy.apiserver.connect import Stream, Terminal
from netproxy.core.errors import KernelError
from netproxy.serve.channels import RESIZE, STDERR, STDIN, STDOUT, Sizes
from netproxy.serve.nodes import Nodes, Process
from netproxy.serve.tasks import end

DRAIN_S = 0.5
"""How long there is still read after the end: what it began may go on and keep its streams open."""
SUCCESS = {"metadata": {}, "status": "Success"}
Status = dict[str, Any]


class Wire(Protocol):
    """What carries the streams of one command; channels are those of `channels`."""

    def received(self) -> AsyncIterator[tuple[int, bytes | None]]:
        """What comes, with its channel; None when a channel was closed. Ends when the other end has gone."""
        ...

    async def send(self, channel: int, data: bytes) -> None:
        """Send, at the pace at which it is taken. Raises ConnectionError."""
        ...

    async def finish(self, status: Status) -> None:
        """Say how it ended, and that this is all. Raises ConnectionError."""
        ...


async def converse(wire: Wire, stream: Stream, wanted: Terminal, nodes: Nodes) -> None:
    """Run what is wanted until it ends or nobody is there any more. Raises ConnectionError."""
    try:
        process = await nodes.run(stream)
    except KernelError as error:
        await wire.finish(internal_error(f"error executing command in container: {error}"))
        return
    try:
        status = await _carried(wire, process, wanted)
    finally:
        await process.end()
    if status is not None:
        await wire.finish(status)


async def _carried(wire: Wire, process: Process, wanted: Terminal) -> Status | None:
    """How it ended; None when the other end has gone before."""
    shown = (wanted.stdout, wanted.stderr and not wanted.tty)
    telling = [
        asyncio.ensure_future(_tell(wire, process, number, channel if shown[number] else None))
        for number, channel in enumerate((STDOUT, STDERR)[: process.outputs])
    ]
    hearing = asyncio.ensure_future(_hear(wire, process, wanted))
    try:
        ends: list[asyncio.Future[Any]] = [hearing, process.status]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not process.status.done():
            return None
        await asyncio.wait(telling, timeout=DRAIN_S)
        return _status_of(process)
    finally:
        await end(hearing, *telling)


async def _tell(wire: Wire, process: Process, output: int, channel: int | None) -> None:
    with suppress(ConnectionError):
        while data := await process.read(output):
            if channel is not None:
                await wire.send(channel, data)


async def _hear(wire: Wire, process: Process, wanted: Terminal) -> None:
    sizes = Sizes()
    with suppress(ConnectionError):
        async for channel, data in wire.received():
            if channel == RESIZE:
                for columns, rows in sizes.told(data or b""):
                    process.resize(columns, rows)
            elif channel == STDIN and wanted.stdin and (data is None or not await process.write(data)):
                process.close_input()


def _status_of(process: Process) -> Status:
    try:
        code = process.status.result()
    except KernelError as error:
        return internal_error(str(error))
    return exit_status(code if code >= 0 else 128 - code)


def exit_status(code: int) -> Status:
    """How a command ended.

    >>> exit_status(3)["details"]
    {'causes': [{'reason': 'ExitCode', 'message': '3'}]}
    """
    if code == 0:
        return SUCCESS
    return {
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }  # fmt: skip


def internal_error(why: str) -> Status:
    """That it could not be done."""
    return {
        "metadata": {}, "status": "Failure", "message": f"Internal error occurred: {why}", "reason": "InternalError",
        "details": {"causes": [{"message": why}]}, "code": 500,
    }  # fmt: skip


def written(status: Status, *, as_status: bool) -> bytes:
    """What is said on the error stream: the Status, or only why it failed.

    >>> written(SUCCESS, as_status=False), written(internal_error("no"), as_status=False)
    (b'', b'Internal error occurred: no')
    """
    return json.dumps(status, separators=(",", ":")).encode() if as_status else status.get("message", "").encode()
