"""The command line's way to its agent: HTTP without asyncio over a Unix socket; the same bytes and errors as the other ways."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netproxy.agent.marks import Process, write_process
from netproxy.agent.paths import Paths
from netproxy.apiserver.status import status_of
from netproxy.cli.client import Agent
from netproxy.client import wire
from netproxy.client.blocking import BlockingReply, opened
from netproxy.client.http1 import HEAD_BYTES, Body, head_of, parsed_head
from netproxy.client.transport import Request
from netproxy.core.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ManifestError,
    NotFoundError,
    Problem,
    UnavailableError,
)
from netproxy.objects.messages import ModeAnswer, ModeRequest, NodeMode, Nothing
from netproxy.objects.typed import Message

CHUNKED = {"transfer-encoding": "chunked"}
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def a_server(path, *pieces, ends=True):
    """Answers one connection by these pieces, each sent on its own; what it was asked is in the list that it gives."""
    asked, done = [], threading.Event()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen()

    def answer():
        connection, _ = listening.accept()
        with connection:
            asked.append(connection.recv(1 << 16))
            for piece in pieces:
                connection.sendall(piece)
            if not ends:
                done.wait()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        with listening, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(str(path))  # an accept that nobody came to
            thread.join()


def a_cluster(folder):
    """A cluster whose agent is this process; its socket is still to be made."""
    where = Paths("test", folder)
    write_process(where.pid_file, Process.of(os.getpid()))
    return where


def whole(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def failed(error):
    """A Status as the agent sends it."""
    response = status_of(error)
    return whole(response.body, f"{response.status} X")


@contextmanager
def an_agent(folder, *pieces):
    where = a_cluster(folder)
    with a_server(where.socket, *pieces) as asked:
        yield Agent(where), asked


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_a_body_is_the_same_however_the_network_cuts_it(contents, data):
    text = b"".join(b"%x;name=value\r\n%s\r\n" % (len(c), c) for c in contents) + b"0\r\n\r\n"
    for headers, sent in ((CHUNKED, text), ({"content-length": str(len(b"".join(contents)))}, b"".join(contents))):
        body, got = Body(headers), []
        while sent:
            size = data.draw(st.integers(1, len(sent)))
            got += body.of(sent[:size])
            sent = sent[size:]
        assert body.ended
        assert b"".join(got) == b"".join(contents)
        body.stop()


def test_a_body_without_a_length_ends_with_its_connection():
    body = Body({})
    assert [*body.of(b"one"), *body.of(b"two")] == [b"one", b"two"]
    assert not body.ended
    body.stop()
    assert body.ended


def test_what_comes_after_a_body_is_none_of_it():
    body = Body({"content-length": "2"})
    assert list(body.of(b"{}HTTP/1.1 200 OK")) == [b"{}"]


@pytest.mark.parametrize("headers", [{"content-length": "3"}, CHUNKED], ids=["length", "chunks"])
def test_a_body_that_is_cut_off_is_no_body(headers):
    body = Body(headers)
    list(body.of(b"2\r"))
    with pytest.raises(EOFError, match="in the middle of an answer"):
        body.stop()


@pytest.mark.parametrize(
    "size", [b"zz\r\n", b"-5\r\n", b"\r\n" + b"1" * (HEAD_BYTES + 1)], ids=["word", "below zero", "endless"]
)
def test_a_chunk_that_does_not_say_how_long_it_is(size):
    with pytest.raises(ValueError, match=r"invalid literal|below zero|how long"):
        list(Body(CHUNKED).of(size))


def test_a_length_below_zero():
    with pytest.raises(ValueError, match="below zero"):
        Body({"content-length": "-1"})


@pytest.mark.parametrize("head", [b"", b"nonsense", b"HTTP/1.1 OK\r\n"])
def test_a_head_that_is_none(head):
    with pytest.raises(ValueError, match="does not begin as HTTP"):
        parsed_head(head)


def test_a_request_says_how_long_its_body_is_and_that_no_other_follows():
    head = head_of(Request("POST", "/x?y=1", (("Accept", "a/b"),), b"{}"))
    assert head == (
        b"POST /x?y=1 HTTP/1.1\r\nHost: netproxy\r\nConnection: close\r\nContent-Length: 2\r\nAccept: a/b\r\n\r\n"
    )


def test_an_answer_in_pieces(tmp_path):
    pieces = HEAD[:20], HEAD[20:] + b"4\r\n{}\n{", b"\r\n2\r\n}\n\r\n", b"0\r\n\r\n"
    with a_server(tmp_path / "s", *pieces), opened(tmp_path / "s", Request("GET", "/")) as reply:
        assert (reply.status, dict(reply.headers)) == (200, CHUNKED)
        assert list(reply.lines()) == [b"{}", b"{}"]


def test_lines_are_told_while_the_answer_goes_on():
    ours, theirs = socket.socketpair()
    theirs.sendall(HEAD + b"3\r\n{}\n\r\n")
    with theirs, BlockingReply(ours, "here: ") as reply:
        lines = reply.lines()
        assert next(lines) == b"{}"
        theirs.sendall(b"3\r\n[]\n\r\n")
        assert next(lines) == b"[]"
        theirs.sendall(b"0\r\n\r\n")
        assert list(lines) == []


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200", b"nonsense\r\n\r\n", b"x" * (3 * HEAD_BYTES), HEAD + b"5\r\nab"]
)
def test_an_answer_that_is_none_or_half_is_an_unavailable_server(said, tmp_path):
    with a_server(tmp_path / "s", said), pytest.raises(UnavailableError, match=str(tmp_path)):  # noqa: SIM117
        with opened(tmp_path / "s", Request("GET", "/")) as reply:
            reply.read()


def test_nobody_listens(tmp_path):
    with pytest.raises(UnavailableError, match="No such file"):
        opened(tmp_path / "s", Request("GET", "/"))


def test_a_server_that_is_silent_for_longer_than_it_may(tmp_path):
    with a_server(tmp_path / "s", ends=False), pytest.raises(UnavailableError, match="timed out"):
        opened(tmp_path / "s", Request("GET", "/", idle_s=0.01))


def test_an_agent_is_asked_and_ordered_in_typed_words(tmp_path):
    said = ModeAnswer((NodeMode("node1", "ipvs", ""),))
    with an_agent(tmp_path, whole(json.dumps(said.to_json()).encode())) as (agent, asked):
        assert agent.order("mode", ModeRequest("ipvs"), ModeAnswer) == said
    assert asked[0].startswith(b"POST /netproxy/mode HTTP/1.1\r\n")
    assert json.loads(asked[0].partition(b"\r\n\r\n")[2])["mode"] == "ipvs"
    (tmp_path / "agent.sock").unlink()
    with an_agent(tmp_path, whole(json.dumps(said.to_json()).encode())) as (agent, asked):
        assert agent.look("mode", Nothing(), ModeAnswer) == said
    assert asked[0].startswith(b"GET /netproxy/mode HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError('pods "x" not found'),
        AlreadyExistsError("it is there"),
        ConflictError("it has changed"),
        ExpiredError("too old"),
        ManifestError([Problem("spec.x", "Invalid value: 1", "Service default/web", "a.yaml")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_an_agent_refuses_is_raised_as_it_was_there(error, tmp_path):
    with an_agent(tmp_path, failed(error)) as (agent, _), pytest.raises(type(error)) as raised:
        agent.ask("GET", "/api/v1/pods/x")
    assert str(raised.value) == str(error)


def test_a_bad_request_below_netproxy_names_the_fields(tmp_path):
    """The user's mistake, with exit status 2; one without fields is the API's own answer."""
    cause = {"field": "node", "message": "Not found", "object": "", "source": "", "reason": ""}
    status = {"kind": "Status", "reason": "BadRequest", "message": "no", "details": {"causes": [cause]}}
    answer = whole(json.dumps(status).encode(), "400 X")
    with an_agent(tmp_path, answer) as (agent, _), pytest.raises(ManifestError, match="node: Not found"):
        agent.look("rules", Nothing(), Message)


@pytest.mark.parametrize(
    ("said", "why"),
    [(b"", "does not answer: .*ended before an answer"), (whole(b"{}")[:-1], "has ended while it answered")],
)
def test_an_agent_that_ends_meanwhile_is_named(said, why, tmp_path):
    with an_agent(tmp_path, said) as (agent, _), pytest.raises(UnavailableError, match=f"agent of cluster test {why}"):
        agent.ask("GET", "/")


def test_no_agent_runs(tmp_path):
    with pytest.raises(NotFoundError, match="is not running; `netproxy up --cluster test` takes the cluster over"):
        Agent(Paths("test", tmp_path))


def event(kind, obj):
    line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
    return b"%x\r\n%s\r\n" % (len(line), line)


TABLE = {"kind": "Table", "metadata": {"resourceVersion": "7"}, "rows": []}


def test_a_watch_of_tables_leaves_bookmarks_and_unknown_events_out(tmp_path):
    events = [("BOOKMARK", {"metadata": {"resourceVersion": "6"}}), ("SONG", {}), ("ADDED", TABLE)]
    with an_agent(tmp_path, HEAD, *(event(*one) for one in events), b"0\r\n\r\n") as (agent, asked):
        assert [(one.type, one.obj) for one in agent.events("/api/v1/pods?watch=true", accept="x/y")] == [
            ("ADDED", TABLE)
        ]
    assert b"Accept: x/y\r\n" in asked[0]


def test_a_watch_that_is_too_old_says_so(tmp_path):
    status = json.loads(status_of(ExpiredError("too old resource version")).body)
    said = HEAD + event("ERROR", status)
    with an_agent(tmp_path, said) as (agent, _), pytest.raises(ExpiredError, match="too old resource version"):
        list(agent.events("/api/v1/pods?watch=true"))


def test_a_query_leaves_out_what_is_empty():
    assert wire.with_query("/x", {"a": "", "b": None, "c": 0, "d": "e f"}) == "/x?c=0&d=e+f"


def test_the_command_line_does_not_import_what_it_does_not_need():
    """asyncio, ssl, aiohttp and http.client take longer to import than most commands run."""
    slow = "asyncio", "aiohttp", "http.client", "cryptography", "pyroute2", "scapy", "yaml"
    program = (
        f"import sys, netproxy.cli.client, netproxy.client.blocking; print([m for m in {slow} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
