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


@pytest.mark.parametrize(
    ("lab", "checks", "says"),
    [
        ("[1]", "", ["lab.yaml: document: Invalid value: must be an object"]),
        ("title: 5", "", ["lab.yaml: title: Invalid value: must be a string; put it into quotes"]),
        ("breaks: [a]\nneeds: 5", "", ["lab.yaml: breaks: Invalid", "lab.yaml: needs: Invalid value: must be a word or a list of words"]),
        ("needs: [ipvs, 5]\nprograms: {node1: 5}", "", ["lab.yaml: needs: Invalid", "lab.yaml: programs: Invalid value: must be an object"]),
        ("programs: [a]", "", ["lab.yaml: programs: Invalid"]),
        ("title: a\ntitle: b", "", ["lab.yaml: line 2, column 1"]),
        ("a: &a [*a]", "", ["lab.yaml: line 1"]),
        ("", "5", ["checks.yaml: document: Invalid value: must be an object"]),
        ("", "checks: 5", ["checks.yaml: checks: Invalid value: must be a list of checks"]),
        ("", "checks: [5, {kind: x}]", ["checks.yaml: checks[0]: Invalid value: must be an object", "checks[1].kind: Unsupported value"]),
        ("", "checks: [{kind: dns, name: a, source: c, query: q, code: ODD}]", ["checks[0].code: Unsupported value: \"ODD\""]),
        ("", "checks: [{kind: dns, name: a, source: c, query: 5, count: x, answers: [1]}]",
         ["checks[0].query: Invalid value: must be a string", "checks[0].count: Invalid value: must be a number",
          "checks[0].answers: Invalid value: must be a list of strings"]),
        ("", "checks: [{kind: http, source: c, host: h, body: '[', hots: h}]",
         ["checks[0].hots: unknown field; known ones are name", "checks[0].name: Required value",
          "checks[0].body: Invalid value: '[': must be a regular expression: unterminated"]),
        ("", "checks: [{kind: rules, name: r, service: w, contains: ['(']}]", ["checks[0].contains: Invalid value: '('"]),
        ("", "checks: [", ["checks.yaml: line 2, column 1: did not find expected node content"]),
    ],
)  # fmt: skip
def test_each_mistake_in_the_files_of_a_lab_is_said_with_its_place(lab, checks, says, tmp_path):
    (tmp_path / "lab.yaml").write_text(lab)
    (tmp_path / "checks.yaml").write_text(checks)
    with pytest.raises(ManifestError) as raised:
        load_lab(str(tmp_path))
    found = [str(problem) for problem in raised.value.problems]
    assert len(found) == len(says), found
    assert all(part in text for part, text in zip(says, found, strict=True)), found


def test_what_may_be_left_out_of_a_check_may_be_null(tmp_path):
    (tmp_path / "lab.yaml").write_text("")
    (tmp_path / "checks.yaml").write_text(
        "checks: [{kind: dns, name: a, source: c, query: q, count: null, answers: [x]}]"
    )
    assert load_lab(str(tmp_path)).checks == (Dns("a", "c", "q", answers=["x"]),)


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
