"""Parts of a container's log: the last lines, those since a time, those that come."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from netproxy.kubelet.extract import Wanted, extract, rfc3339_nano, tail_start
from netproxy.kubelet.logs import RotatedLog, run_file, times, times_file

SECOND = 10**9


class Written:
    """A log of which the n-th write is at second n."""

    def __init__(self, folder: Path, *, max_bytes: int = 100, run: int = 0) -> None:
        self.folder, self.run, self.second = folder, run, 0
        self.log = RotatedLog(run_file(folder, run), max_bytes, 100, now_ns=lambda: self.second * SECOND)

    def write(self, *pieces: str) -> None:
        for piece in pieces:
            self.second += 1
            self.log.write(piece.encode())

    def part(self, **wanted: object) -> str:
        async def collected() -> str:
            pieces = extract(self.folder, self.run, Wanted(**wanted), lambda: False)  # type: ignore[arg-type]
            return b"".join([piece async for piece in pieces]).decode()

        return asyncio.run(collected())


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


LINES = [f"line {n:03}\n" for n in range(1, 51)]


@pytest.mark.parametrize("count", [0, 1, 2, 10, 11, 12, 49, 50, 51, 1000])
def test_the_last_lines_over_many_files(written: Written, count: int) -> None:
    written.write(*LINES)
    assert written.part(tail=count) == "".join(LINES[max(0, 50 - count) :])


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "en"), (2, "b\nen"), (9, "a\nb\nen")])
def test_a_line_that_has_not_ended_is_a_line(written: Written, count: int, text: str) -> None:
    written.write("a\nb\n", "en")
    assert written.part(tail=count) == text


def test_nothing_was_written(written: Written) -> None:
    assert written.part(tail=3) == ""
    assert written.part(timestamps=True) == ""
    assert tail_start(written.folder, 7, 3) == 0


def test_each_line_has_the_time_at_which_it_began(written: Written) -> None:
    written.write("a\nb", "b\nc\r\n", "d")
    told = written.part(timestamps=True).splitlines(keepends=True)
    at = {n: rfc3339_nano(n * SECOND) for n in (1, 2, 3)}
    assert at[1] == "1970-01-01T00:00:01.000000000Z"
    assert "".join(told) == f"{at[1]} a\n{at[1]} bb\n{at[2]} c\r\n{at[3]} d"


def test_times_survive_that_files_are_put_aside(written: Written) -> None:
    written.write(*LINES)
    told = written.part(timestamps=True)
    assert told == "".join(f"{rfc3339_nano(n * SECOND)} {line}" for n, line in enumerate(LINES, 1))


def test_lines_since_a_time(written: Written) -> None:
    written.write(*LINES)
    assert written.part(since=48.0) == "".join(LINES[47:])
    assert written.part(since=1.0, tail=2) == "".join(LINES[48:])
    assert written.part(since=51.0) == ""


def test_no_more_bytes_than_wanted(written: Written) -> None:
    written.write(*LINES)
    assert written.part(limit=12) == "line 001\nlin"
    assert written.part(limit=12, timestamps=True) == "1970-01-01T0"
    assert written.part(limit=10_000) == "".join(LINES)


def test_only_this_run(tmp_path: Path) -> None:
    first, second = Written(tmp_path, run=0), Written(tmp_path, run=1)
    first.write("old\n")
    second.write("new\n")
    assert (first.part(), second.part()) == ("old\n", "new\n")


def test_a_log_that_is_followed_ends_with_its_container(written: Written) -> None:
    async def follow() -> list[str]:
        runs = [True, True, False]
        told = []
        async for piece in extract(written.folder, 0, Wanted(follow=True), lambda: runs.pop(0)):
            told.append(piece.decode())
            if len(told) == 1:
                written.write("late\n")
        return told

    written.write("early\n")
    assert asyncio.run(follow()) == ["early\n", "late\n"]


def test_times_that_are_close_are_one(tmp_path: Path) -> None:
    now = iter([0, 100, 2_000_000, 2_000_001, 1, 5_000_000])
    log = RotatedLog(run_file(tmp_path, 0), 1000, 3, now_ns=lambda: 10**18 + next(now))
    for _ in range(6):
        log.write(b"12")
    log.close()
    assert times(run_file(tmp_path, 0)) == [
        (0, 10**18),
        (4, 10**18 + 2_000_000),
        (8, 10**18 + 2_000_000),
        (10, 10**18 + 5_000_000),
    ]


def test_a_file_of_times_that_was_cut_off(written: Written) -> None:
    written.write("a\n", "b\n")
    path = run_file(written.folder, 0)
    times_file(path).write_bytes(times_file(path).read_bytes()[:-3])
    assert written.part(timestamps=True) == "1970-01-01T00:00:01.000000000Z a\n1970-01-01T00:00:01.000000000Z b\n"
    times_file(path).unlink()
    assert written.part(timestamps=True).startswith("1970-01-01T00:00:00.000000000Z a\n")
