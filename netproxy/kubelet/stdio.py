"""What a command in a container reads and writes: pipes from the agent, or a terminal of the container's that the agent holds.

The agent listens on a Unix socket for this one command. The child that becomes it calls there while it still sees this
machine's files, and gets the pipes, or gives away the other end of the terminal that it opens inside.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import termios
from collections.abc import Mapping
from typing import Any

PIPES = 3


def call(stdio: Mapping[str, Any]) -> socket.socket:
    """The line to whoever wants the command. Raises OSError."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    line.connect(stdio["socket"])
    return line


def take_pipes(line: socket.socket) -> None:
    """Have standard input, output and errors be what the agent sends. Raises OSError."""
    _, fds, _, _ = socket.recv_fds(line, 1, PIPES)
    if len(fds) != PIPES:
        raise ConnectionResetError("nobody wants the command any more")
    for target, source in enumerate(fds):
        os.dup2(source, target)
        os.close(source)


def send_pipes(line: socket.socket, fds: list[int]) -> None:
    """The agent's side of `take_pipes`. Raises OSError."""
    socket.send_fds(line, [b"p"], fds)


def open_terminal(line: socket.socket) -> None:
    """Have all three be a terminal of the container that this process is in, and send its other end. Raises OSError."""
    master, slave = os.openpty()
    for target in range(PIPES):
        os.dup2(slave, target)
    socket.send_fds(line, [b"t"], [master])
    os.close(master)
    if slave >= PIPES:
        os.close(slave)


def take_terminal(line: socket.socket) -> int:
    """The agent's side of `open_terminal`; it is not to wait when nothing has come yet. Raises OSError."""
    ancillary = socket.CMSG_SPACE(array.array("i").itemsize)
    _, messages, _, _ = line.recvmsg(1, ancillary, socket.MSG_CMSG_CLOEXEC)
    if not messages:
        raise ConnectionResetError("the command has gone")
    return array.array("i", messages[0][2])[0]


def control_terminal() -> None:
    """Have the terminal control the session that this process leads. Raises OSError."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
