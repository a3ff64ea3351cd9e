"""A container's log on disk: where it is, and how it is kept small while something writes to it.

The layout is the kubelet's: `logs/NAMESPACE_POD_UID/CONTAINER/N.log` for the N-th run of a container, of which the
last two are kept. A file that has become too large is renamed to `N.log.000001`, `N.log.000002` …, the higher the
newer, and the oldest go. Rotation falls between two lines where there is one within reach. Beside each file `FILE.times` tells
when what stands from which byte on was written.

Source: kubernetes pkg/kubelet/logs/container_log_manager.go (limits, what is counted), pkg/kubelet/kuberuntime/helpers.go.
"""

from __future__ import annotations

import os
import re
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 1 << 16
KEPT_RUNS = 2
TIME = struct.Struct("<QQ")
"""One entry of a file of times: the byte from which on it holds, and the time in nanoseconds since 1970."""
FINEST_NS = 1_000_000
"""Nothing tells times apart that are closer."""
_NAME = re.compile(r"(\d+)\.log(?:\.(\d+))?")


class Part(NamedTuple):
    """One file of a log; NUMBER counts the files that were put aside, 0 is the one that is written to."""

    run: int
    number: int
    path: Path


def parts(folder: Path) -> list[Part]:
    """The files of a container's log, in the order in which they were written."""
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append(Part(int(match[1]), int(match[2] or 0), path))
    return sorted(found, key=lambda part: (part.run, part.number or sys.maxsize))


def run_file(folder: Path, run: int) -> Path:
    """The file that the RUN-th run of a container writes to."""
    return folder / f"{run}.log"


def times_file(path: Path) -> Path:
    """The file beside a log's file that tells when what was written."""
    return path.with_name(f"{path.name}.times")


def times(path: Path) -> list[tuple[int, int]]:
    """When what was written to a log's file: pairs of a byte and a time in nanoseconds, both in order."""
    data = b""
    with suppress(OSError):
        data = times_file(path).read_bytes()
    whole = len(data) - len(data) % TIME.size
    return [(offset, at) for offset, at in TIME.iter_unpack(data[:whole])]


class RotatedLog:
    """A file that is put aside when it is full; at most MAX_FILES of them, with this one.

    Nothing here raises: what cannot be written is lost, and the log says so as soon as it can.
    """

    def __init__(
        self, path: Path, max_bytes: int, max_files: int, *, now_ns: Callable[[], int] = time.time_ns
    ) -> None:  # fmt: skip
        self._path = path
        self._now_ns = now_ns
        self._run = int(path.name.partition(".")[0])
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._fd = self._times = -1
        self._size = 0
        self._told_ns = 0
        """The last time that was written down for this file."""
        self._number = 0
        self._lost = 0
        self._open()
        for part in parts(path.parent):
            if part.run <= self._run - KEPT_RUNS:
                _remove(part.path)

    def write(self, data: bytes) -> None:
        """Append, and put the file aside when it is full."""
        while data:
            cut = self._cut(data)
            self._append(data[:cut])
            data = data[cut:]
            if self._size >= self._max_bytes or data:
                self._rotate()

    def close(self) -> None:
        """No more is written."""
        for fd in (self._fd, self._times):
            if fd >= 0:
                os.close(fd)
        self._fd = self._times = -1

    def _cut(self, data: bytes) -> int:
        """How much of DATA still goes into this file: whole lines that fit, else up to the first end of a line."""
        room = self._max_bytes - self._size
        if len(data) <= room:
            return len(data)
        return (data.rfind(b"\n", 0, max(room, 0)) + 1) or (data.find(b"\n") + 1) or len(data)

    def _append(self, data: bytes) -> None:
        if self._fd < 0:
            self._open()
        self._note_time()
        if self._lost and not self._unwritten(f"\n[netproxy lost {self._lost} bytes of output here]\n".encode()):
            self._lost = 0
        self._lost += len(data) if self._lost else self._unwritten(data)

    def _note_time(self) -> None:
        """Write down when what comes now was written."""
        now = self._now_ns()
        if self._times >= 0 and not 0 <= now - self._told_ns < FINEST_NS:
            with suppress(OSError):
                os.write(self._times, TIME.pack(self._size, max(now, self._told_ns)))
                self._told_ns = max(now, self._told_ns)

    def _unwritten(self, data: bytes) -> int:
        """Write; how many bytes could not be: a full disk, a folder that is gone. The container shall not wait for it."""
        while data:
            try:
                written = os.write(self._fd, data)
            except OSError:
                break
            self._size += written
            data = data[written:]
        return len(data)

    def _open(self) -> None:
        self._number = max((part.number for part in parts(self._path.parent) if part.run == self._run), default=0)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._size = os.fstat(self._fd).st_size
            self._told_ns = 0
            self._times = os.open(times_file(self._path), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError:
            self.close()

    def _rotate(self) -> None:
        self.close()
        with suppress(OSError):
            aside = Path(f"{self._path}.{self._number + 1:06}")
            self._path.rename(aside)
            times_file(self._path).rename(times_file(aside))
        self._open()
        old = [part for part in parts(self._path.parent) if part.run == self._run and part.number]
        for part in old[: max(0, len(old) - (self._max_files - 1))]:
            _remove(part.path)


def _remove(path: Path) -> None:
    """Remove a log's file and its times."""
    for each in (path, times_file(path)):
        with suppress(OSError):
            each.unlink()


class Reader:
    """Reads a log across its files, each byte once, also while it is written and rotated."""

    def __init__(self, folder: Path, run: int | None = None) -> None:
        """RUN is the one to read, and no other; without it the last one, and those that come."""
        self._folder = folder
        runs = sorted({part.run for part in parts(folder)})
        self._only = run
        self._run = run if run is not None else (runs[-1] if runs else 0)
        self._fd = -1
        self._done = 0
        """The highest number of a file that was read to its end."""

    def read(self) -> bytes:
        """What comes next, in pieces; empty when there is nothing more now."""
        while True:
            if self._fd < 0 and not self._open():
                return b""
            finished = self._is_finished()  # asked first: what was written before it was put aside must be read
            data = os.read(self._fd, CHUNK_BYTES)
            if data or not finished:
                return data
            self._leave()

    @property
    def where(self) -> tuple[Path | None, int]:
        """The file from which was read last (None when it has gone), and up to which byte."""
        if self._fd < 0:
            return None, 0
        mine = os.fstat(self._fd).st_ino
        path = next((part.path for part in self._parts() if _inode(part.path) == mine), None)
        return path, os.lseek(self._fd, 0, os.SEEK_CUR)

    @property
    def gone(self) -> bool:
        """Whether the log was removed, as it is with its Pod."""
        return not self._folder.exists()

    def close(self) -> None:
        """Give the file back."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _parts(self) -> list[Part]:
        return [part for part in parts(self._folder) if part.run == self._run]

    def _open(self) -> bool:
        """Open the oldest file that was not read yet; False when there is none."""
        while True:
            unread = [part for part in self._parts() if part.number > self._done or not part.number]
            if not unread:
                if not self._next_run():
                    return False
                continue
            try:
                fd = os.open(unread[0].path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # put aside or removed meanwhile: look again
            rotated = [part for part in self._parts() if part.number > self._done]
            if unread[0].number or not rotated:
                self._fd = fd
                return True
            os.close(fd)  # the file that is written to was put aside: there may be others before it now

    def _is_finished(self) -> bool:
        """Whether nothing more will be written to the open file."""
        mine, parts_now = os.fstat(self._fd).st_ino, self._parts()
        newest = parts_now[-1] if parts_now else None
        is_last = newest is not None and not newest.number and _inode(newest.path) == mine
        return not is_last or self._later_run() is not None

    def _later_run(self) -> int | None:
        runs = (part.run for part in parts(self._folder) if part.run > self._run) if self._only is None else ()
        return min(runs, default=None)

    def _next_run(self) -> bool:
        """Go on to the run after this one, when there is one."""
        later = self._later_run()
        if later is None:
            return False
        self._run, self._done = later, 0
        return True

    def _leave(self) -> None:
        """Go on to what comes after the open file."""
        mine = os.fstat(self._fd).st_ino
        self.close()
        there = self._parts()
        number = next((part.number for part in there if _inode(part.path) == mine), None)
        if number == 0:  # the last file of a run that has ended
            self._next_run()
        elif number is not None:
            self._done = number
        else:  # it was removed before we were through: on with the oldest that is left
            self._done = min((part.number for part in there if part.number), default=self._done + 1) - 1


def _inode(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_ino
    return 0
