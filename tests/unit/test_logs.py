"""A container's log over several files: bounded, in order, each byte once."""

import os
import random
from pathlib import Path

import pytest

from netproxy.kubelet.logs import Reader, RotatedLog, parts, run_file


def lines(first: int, last: int) -> bytes:
    return b"".join(b"line %06d\n" % n for n in range(first, last))


def everything(reader: Reader) -> bytes:
    return b"".join(iter(reader.read, b""))


def a_log(folder: Path, *, run: int = 0, max_bytes: int = 1000, max_files: int = 3) -> RotatedLog:
    return RotatedLog(run_file(folder, run), max_bytes, max_files)


def test_files_are_put_aside_between_two_lines_and_the_oldest_go(tmp_path):
    log = a_log(tmp_path)
    log.write(lines(0, 1000))
    log.close()
    there = parts(tmp_path)
    assert len(there) == 3
    assert sum(part.path.stat().st_size for part in there) <= 3 * 1000
    texts = [part.path.read_bytes() for part in there]
    assert all(text == b"" or (text.startswith(b"line ") and text.endswith(b"\n")) for text in texts)
    assert lines(0, 1000).endswith(b"".join(texts))


@pytest.mark.parametrize("data", [pytest.param(b"x" * 100_000, id="a line longer than a file"),
                                  pytest.param(b"short\n" + b"y" * 5000 + b"\nshort\n", id="a long line among short ones")])  # fmt: skip
def test_long_lines_stay_whole_bytes(tmp_path, data):
    log = a_log(tmp_path, max_files=100)
    for at in range(0, len(data), 700):
        log.write(data[at : at + 700])
    assert everything(Reader(tmp_path)) == data


def test_a_reader_beside_a_writer_sees_each_byte_once(tmp_path):
    chance = random.Random(7)
    log, reader, seen, at = a_log(tmp_path, max_files=50), Reader(tmp_path), b"", 0
    while at < 2000:
        more = chance.randrange(1, 90)
        log.write(lines(at, at + more))
        at += more
        for _ in range(chance.randrange(3)):
            seen += reader.read()
    assert seen + everything(reader) == lines(0, at)
    assert reader.read() == b""
    log.write(b"the last one\n")
    assert reader.read() == b"the last one\n"
    reader.close()


def test_a_reader_that_is_too_slow_goes_on_with_what_is_left(tmp_path):
    log = a_log(tmp_path)
    log.write(lines(0, 10))
    reader = Reader(tmp_path)
    assert reader.read() == lines(0, 10)
    log.write(lines(10, 1000))
    rest = everything(reader).splitlines(keepends=True)
    assert rest == sorted(set(rest)), "in order, none twice"
    assert len(rest) >= 100
    assert rest[-1] == b"line 000999\n"


def test_runs_are_read_one_after_the_other_and_two_are_kept(tmp_path):
    a_log(tmp_path, run=0).write(b"first\n")
    follower = Reader(tmp_path)
    assert everything(follower) == b"first\n"
    a_log(tmp_path, run=1).write(b"second\n")
    assert everything(follower) == b"second\n"
    a_log(tmp_path, run=4).write(b"fifth\n")
    assert everything(follower) == b"fifth\n"
    assert {part.run for part in parts(tmp_path)} == {4}
    a_log(tmp_path, run=5).write(b"sixth\n")
    assert everything(Reader(tmp_path)) == b"sixth\n", "a new reader begins with the last run"
    assert everything(Reader(tmp_path, 4)) == b"fifth\n"
    assert everything(Reader(tmp_path, 3)) == b""


def test_a_new_shim_goes_on_where_the_old_one_was(tmp_path):
    a_log(tmp_path, max_files=9).write(lines(0, 150))
    a_log(tmp_path, max_files=9).write(lines(150, 300))
    assert everything(Reader(tmp_path)) == lines(0, 300)


def test_what_cannot_be_written_is_lost_and_the_log_says_so(tmp_path):
    folder = tmp_path / "logs"
    folder.write_text("a file where the folder should be")
    log = a_log(folder)
    log.write(b"unheard\n")
    assert Reader(folder).read() == b""
    assert not Reader(folder).gone
    folder.unlink()
    assert Reader(folder).gone
    log.write(b"heard\n")
    assert everything(Reader(folder)) == b"\n[netproxy lost 8 bytes of output here]\nheard\n"


def test_a_disk_without_room_costs_output_and_nothing_else(tmp_path):
    path = run_file(tmp_path, 0)
    path.symlink_to("/dev/full")
    log = a_log(tmp_path)
    log.write(b"unheard\n")
    path.unlink()
    log.close()
    log.write(b"heard\n")
    assert path.read_bytes() == b"\n[netproxy lost 8 bytes of output here]\nheard\n"
    assert sorted(os.listdir(tmp_path)) == ["0.log", "0.log.times"]
