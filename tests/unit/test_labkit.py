"""Labs: which one a word means, and checks that say soon how they went."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netproxy.core.errors import KernelError, ManifestError
from netproxy.labkit import shelf
from netproxy.labkit.check import ENOUGH_FAILURES, Dns, Http, Spread
from netproxy.labkit.run import line, run_checks
from netproxy.labkit.spec import load_lab
from netproxy.labkit.world import Reply

LABS = Path(__file__).parents[2] / "labs"


class Answers:
    """A cluster whose answers are known beforehand."""

    def __init__(self, replies: Iterator[Reply]) -> None:
        self.replies = replies
        self.asked = 0

    def http(self, machine, host, port, path="/"):
        self.asked += 1
        return next(self.replies)

    def resolve(self, machine, name, kind="A"):
        raise KernelError("nobody answers")


@pytest.mark.parametrize(
    ("word", "name"),
    [("1", "01-clusterip"), ("01", "01-clusterip"), ("001", "01-clusterip"), ("07", "07-four-modes"), ("04-ipt", "04-iptables-by-hand"),
     ("clusterip", "01-clusterip"), ("pods", "02-pods-and-ports"), ("06-nftables", "06-nftables"), ("ipvs", "05-ipvs")],
)  # fmt: skip
def test_a_number_a_name_or_a_beginning_says_which_lab(word, name, monkeypatch):
    for folder in (LABS.parent, Path("/")):  # a checkout's labs are found from anywhere
        monkeypatch.chdir(folder)
        assert shelf.found(word) == LABS / name


@pytest.mark.parametrize("word", ["0", "8", "nonsense", "", "../labs", "1x", "²"])
def test_what_means_no_lab_or_several_is_said_with_all_there_are(word):
    with pytest.raises(ManifestError, match=r"LAB: .*01-clusterip, .*07-four-modes"):
        shelf.found(word)


def test_a_folder_is_a_lab_wherever_it_is(tmp_path):
    (tmp_path / "lab.yaml").write_text("title: mine")
    (tmp_path / "checks.yaml").write_text("")
    lab = load_lab(str(tmp_path))
    assert (lab.folder, lab.title, lab.short) == (tmp_path, "mine", str(tmp_path))
    assert load_lab("1").short == "01"


def test_labs_of_the_working_directory_come_first(tmp_path, monkeypatch):
    (tmp_path / "labs/01-own").mkdir(parents=True)
    (tmp_path / "labs/01-own/lab.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert shelf.folders() == [tmp_path / "labs/01-own"]
    monkeypatch.setattr(shelf, "SHELVES", ())
    assert shelf.folders() == []
    with pytest.raises(ManifestError, match="there are none"):
        shelf.found("1")


def test_a_hopeless_spread_ends_after_a_few_failures():
    world = Answers(Reply(error="timeout") for _ in range(300))
    found = Spread("s", "client", "10.96.0.51", 3, count=300).run(world)
    assert found == f"{ENOUGH_FAILURES} of {ENOUGH_FAILURES} connections failed: timeout"
    assert world.asked == ENOUGH_FAILURES


def test_a_spread_with_one_failure_among_many_fails_in_the_end():
    replies = [Reply(200, "a"), Reply(200, "b")] * 10
    world = Answers(iter([*replies, Reply(error="refused"), *replies]))
    assert Spread("s", "client", "10.96.0.51", 2, count=41).run(world) == "1 of 41 connections failed: refused"
    assert Spread("s", "client", "fd00::1", 2, count=20).run(Answers(iter(replies))) == ""


def test_every_outcome_is_there_as_soon_as_its_check_has_ended():
    world = Answers(iter([Reply(200, "yes"), Reply(error="no HTTP: b''")]))
    checks = [Http("one", "client", "10.96.0.1"), Dns("two", "client", "web"), Http("three", "client", "10.96.0.1")]
    lines = (line(outcome) for outcome in run_checks(checks, world))
    assert next(lines) == "pass  one"
    assert world.asked == 1
    assert list(lines) == ["FAIL  two: nobody answers", "FAIL  three: 10.96.0.1:80 from client: no HTTP: b''"]
