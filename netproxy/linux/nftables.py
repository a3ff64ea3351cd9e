"""nftables in one namespace: small transactions by libnftables in this process, large ones by `nft -f -`.

The kernel counts its transactions (the ruleset's generation), so one small message tells whether anybody has changed
anything since the last look; only then is the table read.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.ruleset.nft import WORDS, Table
from netproxy.ruleset.nft_plan import NftPlan, render_plan_parts
from netproxy.ruleset.nftables import parse

LARGE = 2000
"""After a transaction of more parts than this the library's memory, which is large, goes back to the kernel."""

_STATELESS = 1 << 2
_NETLINK_NETFILTER = 12
_GET_GENERATION = 10 << 8 | 16
_GENERATION_ID = 1


class Nftables:
    """libnftables, working in one namespace. Use one thread at a time."""

    def __init__(self, namespace: str | None) -> None:
        self._library = _library()
        self._namespace = namespace
        with netns.visiting(namespace):
            self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise KernelError("libnftables: no context")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_output_set_flags(self._context, _STATELESS)

    def run(self, commands: str) -> str:
        """Run commands as one transaction; what they print. Raises KernelError with the request."""
        with netns.visiting(self._namespace):  # the library may open its socket anew, where the calling thread is
            failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        message = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise KernelError(f"nft: {message.decode(errors='replace').strip()}", request=commands)
        return str(output.decode(errors="replace"))

    def close(self) -> None:
        """Give the library's memory and socket back."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def __del__(self) -> None:
        self.close()


def is_installed() -> bool:
    """Whether this host has libnftables."""
    try:
        return bool(_library())
    except KernelError:
        return False


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError as error:
        raise KernelError("libnftables.so.1 is not installed: it comes with the package nftables") from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    buffers = ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer")
    for function in buffers:
        getattr(library, function).restype = ctypes.c_char_p
    for function in (*buffers, "nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_free"):
        getattr(library, function).argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


@dataclass
class Generations:
    """What is known of one namespace's ruleset: its generation after our last transaction, and who else wrote.

    The proxies of both families share one, since the kernel counts all transactions of a namespace together.
    """

    namespace: str | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: int = -1
    strangers: int = 0
    """How often somebody else had changed the ruleset when we looked."""
    _socket: socket.socket | None = None

    def look(self) -> int:
        """Ask the kernel; the number of foreign changes noticed so far."""
        with self.lock:
            self._notice(self._current())
            return self.strangers

    def during(self, transaction: Iterable[None]) -> None:
        """Run our own transactions, one with each step, and do not take them for somebody else's."""
        with self.lock:
            steps = iter(transaction)
            while True:
                before = self._current()
                self._notice(before)
                if next(steps, steps) is steps:
                    return
                self.known = before + 1
                self._notice(self._current())

    def _notice(self, current: int) -> None:
        if current != self.known:
            self.strangers += 1
            self.known = current

    def close(self) -> None:
        """Close the socket; the next look opens another one."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self.close()

    def _current(self) -> int:
        if self._socket is None:
            with netns.visiting(self.namespace):
                self._socket = socket.socket(
                    socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
                )
        self._socket.send(struct.pack("=IHHIIBBH", 20, _GET_GENERATION, 1, 0, 0, 0, 0, 0))
        answer = self._socket.recv(4096)
        at = 20
        while at + 4 <= len(answer):
            length, kind = struct.unpack_from("=HH", answer, at)
            if kind == _GENERATION_ID:
                return int(struct.unpack_from(">I", answer, at + 4)[0])
            at += max(4, (length + 3) & ~3)
        raise KernelError("the kernel does not tell the generation of its nftables ruleset")


class NftablesKernel:
    """One table of one family in one namespace."""

    def __init__(self, namespace: str | None, family: Family, generations: Generations, *, table: str) -> None:
        self.namespace = namespace
        self.family = family
        self.table = table
        self._generations = generations
        self._nft: Nftables | None = None

    def strangers(self) -> int:
        """How many times somebody else was noticed to have changed this namespace's ruleset: the same, so has nobody."""
        return self._generations.look()

    def read(self) -> Table | None:
        """The table as the kernel has it; None when there is none."""
        try:
            text = self.run(f"list table {WORDS[self.family]} {self.table}")
        except KernelError as error:
            if "No such file or directory" in str(error):
                return None
            raise
        return next(iter(parse(text)), None)

    def write(self, change: NftPlan) -> None:
        """Make the change, in one transaction."""
        self._generations.during(self._transaction(change))

    def write_all(self, changes: Iterable[NftPlan]) -> None:
        """Make several changes, one transaction each; each is made ready while the one before is loaded."""
        self._generations.during(self._transactions(changes))

    def _transaction(self, change: NftPlan) -> Iterator[None]:
        self._load("".join(render_plan_parts(change)), change.size > LARGE)
        yield

    def _transactions(self, changes: Iterable[NftPlan]) -> Iterator[None]:
        with ThreadPoolExecutor(1, thread_name_prefix="nft") as loading:
            last: Future[None] | None = None
            for change in changes:
                text = "".join(render_plan_parts(change))
                if last is not None:
                    last.result()
                    yield
                last = loading.submit(self._load, text, change.size > LARGE)
            if last is not None:
                last.result()
                yield

    def _load(self, text: str, large: bool) -> None:
        self.run(text)
        if large:
            with contextlib.suppress(AttributeError):  # a C library that does it by itself
                ctypes.CDLL(None).malloc_trim(0)

    def run(self, commands: str) -> str:
        """Let libnftables do something in this namespace. Raises KernelError."""
        if self._nft is None:
            self._nft = Nftables(self.namespace)
        return self._nft.run(commands)

    def close(self) -> None:
        """Give sockets back."""
        if self._nft:
            self._nft.close()
            self._nft = None
