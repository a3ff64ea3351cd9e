"""nftables in one namespace: small transactions by libnftables in this process, large ones by `nft -f -`.

The kernel counts its transactions (the ruleset's generation), so one small message tells whether anybody has changed
anything since the last look; only then is the table read.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.linux import netns
from netproxy.linux.netlink import (
    NETFILTER,
    Netlink,
    Request,
    attribute,
    is_missing,
    netfilter_attributes,
    netfilter_body,
)
from netproxy.ruleset.nft import WORDS, Table
from netproxy.ruleset.nft_plan import NftPlan, render_plan_parts
from netproxy.ruleset.nftables import parse

LARGE = 2000
"""After a transaction of more parts than this the library's memory, which is large, goes back to the kernel."""

_STATELESS = 1 << 2
_GET_GENERATION = 10 << 8 | 16
_GENERATION_ID = 1
_GET_TABLE = 10 << 8 | 1
_TABLE_NAME = 1


class Nftables:
    """libnftables, working in one namespace. Use one thread at a time."""

    def __init__(self, namespace: str | None) -> None:
        self._library = _library()
        self._namespace = namespace
        with netns.inside(namespace):
            self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise KernelError("libnftables: no context")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)
        self._library.nft_ctx_output_set_flags(self._context, _STATELESS)

    def run(self, commands: str) -> str:
        """Run commands as one transaction; what they print. Raises KernelError with the request."""
        with netns.inside(self._namespace):  # the library may open its socket anew, where the calling thread is
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


def generation(kernel: Netlink) -> int:
    """How many transactions the nftables of a namespace have seen. Raises KernelError."""
    answer = kernel.ask(Request(_GET_GENERATION, 0, netfilter_body(0), "nftables generation"))
    found = netfilter_attributes(answer).get(_GENERATION_ID)
    if found is None:
        raise KernelError("the kernel does not tell the generation of its nftables ruleset")
    return int.from_bytes(found, "big")


class Generations:
    """Who changes one namespace's nftables: the kernel counts all transactions, and each Writer counts its own.

    Writers may live in different threads. Each writes only its own counts and reads those of the others, so no lock is
    needed; while one of them is in the middle of a transaction, the others cannot tell and say so.
    """

    def __init__(self, namespace: str | None) -> None:
        self.namespace = namespace
        self._writers: tuple[Writer, ...] = ()

    def writer(self) -> Writer:
        """One more writer; call this before the writers' threads begin."""
        made = Writer(self)
        self._writers = (*self._writers, made)
        return made

    @property
    def writers(self) -> tuple[Writer, ...]:
        """All of them."""
        return self._writers


class Writer:
    """One thread's transactions in a namespace, and its eye on everybody else's."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._socket: Netlink | None = None
        self.begun = 0
        """Transactions that were begun, failed ones among them."""
        self.ended = 0
        """Those of them that are over."""
        self.done = 0
        """Those of them that changed something."""

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Around one transaction of our own, so that nobody takes it for a stranger's."""
        self.begun += 1
        try:
            yield
            self.done += 1
        finally:
            self.ended += 1

    def strangers(self) -> int | None:
        """How many transactions were not of our writers; None while another writer is in the middle of one."""
        writers = self._generations.writers
        ended = [writer.ended for writer in writers]
        done = [writer.done for writer in writers]
        current = self._current()
        if any(writer.begun != before for writer, before in zip(writers, ended, strict=True)):
            return None
        return (current - sum(done)) & 0xFFFFFFFF

    def _current(self) -> int:
        if self._socket is None:
            self._socket = Netlink(NETFILTER, self._generations.namespace)
        return generation(self._socket)

    def close(self) -> None:
        """Close the socket; the next look opens another one."""
        if self._socket:
            self._socket.close()
            self._socket = None


class NftablesKernel:
    """One table of one family in one namespace."""

    def __init__(self, namespace: str | None, family: Family, writer: Writer, *, table: str) -> None:
        self.namespace = namespace
        self.family = family
        self.table = table
        self._writer = writer
        self._nft: Nftables | None = None

    def strangers(self) -> int | None:
        """A number that stays the same as long as nobody else changes the namespace's ruleset; None: somebody may just now."""
        return self._writer.strangers()

    def read(self) -> Table | None:
        """The table as the kernel has it; None when there is none."""
        if not self._is_there():
            return None
        try:
            text = self.run(f"list table {WORDS[self.family]} {self.table}")
        except KernelError as error:
            if "No such file or directory" in str(error):
                return None
            raise
        return next(iter(parse(text)), None)

    def _is_there(self) -> bool:
        """Whether there is the table: libnftables reads all chains of all tables before it finds that there is none."""
        number = socket.AF_INET6 if self.family is Family.IPV6 else socket.AF_INET
        body = netfilter_body(number, attribute(_TABLE_NAME, self.table.encode() + b"\0"))
        with contextlib.closing(Netlink(NETFILTER, self.namespace)) as kernel:
            try:
                kernel.ask(Request(_GET_TABLE, 0, body, f"table {self.table}"))
            except KernelError as error:
                if is_missing(error):
                    return False
                raise
        return True

    def write(self, change: NftPlan) -> None:
        """Make the change, in one transaction."""
        self._load("".join(render_plan_parts(change)), large=change.size > LARGE)

    def write_all(self, changes: Iterable[NftPlan]) -> None:
        """Make several changes, one transaction each; each is made ready while the one before is loaded."""
        with ThreadPoolExecutor(1, thread_name_prefix="nft") as loading:
            last: Future[None] | None = None
            for change in changes:
                text = "".join(render_plan_parts(change))
                if last is not None:
                    last.result()
                last = loading.submit(self._load, text, large=change.size > LARGE)
            if last is not None:
                last.result()

    def _load(self, text: str, *, large: bool) -> None:
        with self._writer.transaction():
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
        self._writer.close()
        if self._nft:
            self._nft.close()
            self._nft = None
