"""docs/api.md, executed; and everything that is not in it is refused, never a failure of the agent."""

import json
import os
import re
import signal
import socket
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cluster import REPO, Cluster, wait_until

from netproxy.agent.handlers import DOORS
from netproxy.objects.kinds import RESOURCES

TEXT = (REPO / "docs" / "api.md").read_text()
EXAMPLES = re.findall(r"```http\n(\S+) (\S+)\n(.*?)```\n```json\n(.*?)```", TEXT, re.DOTALL)
PATHS = [(method, f"/netproxy/{path}") for path, doors in DOORS.items() for method in doors]


class Connection(HTTPConnection):
    """To the agent's socket."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("netproxy")
        self._cluster = cluster

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._cluster.folder / "agent.sock"))

    def answer(self, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
        with closing(self):
            self.request(method, target, body, {"Content-Type": "application/json"})
            response = self.getresponse()
            return response.status, json.loads(response.read())


@pytest.fixture(scope="module")
def lab(shared_cluster: Cluster) -> Cluster:
    shared_cluster("up", "-f", "labs/01-clusterip")
    return shared_cluster


def differences(expected: Any, got: Any, at: str = "") -> list[str]:
    """Where an answer is not what the document shows: `…` is anything, and any number of items in a list."""
    if expected == "…":
        return []
    if isinstance(expected, dict) and isinstance(got, dict) and set(expected) == set(got):
        return [text for key in expected for text in differences(expected[key], got[key], f"{at}.{key}")]
    if isinstance(expected, list) and isinstance(got, list):
        items, rest = [item for item in expected if item != "…"], "…" in expected
        pairs = zip(items, got[-len(items) :] if expected[0] == "…" else got, strict=False) if items else []
        short = len(items) > len(got) or (not rest and len(items) < len(got))
        return [f"{at}: {got}"] * short + [text for one, other in pairs for text in differences(one, other, f"{at}[]")]
    return [] if expected == got else [f"{at}: {expected!r} is {got!r}"]


def test_every_path_is_described_with_an_example():
    assert {(method, path) for method, path in re.findall(r"^## (\S+) (\S+)$", TEXT, re.MULTILINE)} == set(PATHS)
    assert {(method, target.partition("?")[0]) for method, target, _, _ in EXAMPLES} == set(PATHS)


@pytest.mark.parametrize("example", [e for e in EXAMPLES if "/down" not in e[1]], ids=lambda e: f"{e[0]} {e[1]}")
def test_an_example_is_answered_as_it_says(lab: Cluster, example: tuple[str, str, str, str]):
    method, target, body, expected = example
    _, got = Connection(lab).answer(method, target, body.encode())
    assert differences(json.loads(expected), got) == []


def test_reading_makes_no_file(lab: Cluster):
    etc = lab.folder / "client" / "etc" / "resolv.conf"
    assert "nameserver 10.96.0.10" in etc.read_text()
    etc.unlink()
    assert Connection(lab).answer("GET", "/netproxy/entry?target=client")[0] == 200
    assert not etc.exists()
    os.kill(lab.pid, signal.SIGKILL)
    lab("up")
    assert "nameserver 10.96.0.10" in etc.read_text()


def test_down_is_answered_before_the_end(cluster: Cluster):
    cluster("up")
    pid = cluster.pid
    assert Connection(cluster).answer("POST", "/netproxy/down") == (200, {"ending": pid})
    wait_until(lambda: not cluster.folder.exists())
    cluster("down")
    cluster.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("method", "target", "body", "code", "message"),
    [
        ("GET", "/netproxy/nothing", "", 404, "the agent has no /netproxy/nothing; there are /netproxy/status, "),
        ("GET", "/netproxy/down", "", 405, "/netproxy/down takes POST, not GET"),
        ("DELETE", "/netproxy/mode", "", 405, "/netproxy/mode takes GET and POST, not DELETE"),
        ("POST", "/netproxy/mode?node=node1", '{"mode": "iptables"}', 400, "query: Invalid value"),
        ("POST", "/netproxy/mode", "{", 400, "body: Invalid value: it is not JSON"),
        ("POST", "/netproxy/mode", '{"mode": "nftables", "layout": "round"}', 400, 'layout: Unsupported value: "round"'),
        ("POST", "/netproxy/mode", '{"mode": "iptables", "node": "n"}', 422, 'node: Not found: "n": there are node1, node2'),
        ("GET", "/netproxy/pending?node=n", "", 422, 'node: Not found: "n": there are node1, node2'),
        ("GET", "/netproxy/rules", "", 400, "service: Required value"),
        ("GET", "/netproxy/rules?service=nobody", "", 404, 'services "nobody" not found in namespace default; there are kubernetes, web'),
        ("GET", "/netproxy/logs?pod=nobody", "", 404, 'pods "nobody" not found in namespace default; there are '),
        ("POST", "/netproxy/mode", '{"mode": "nftables", "timeout": 0}', 504, "the rules are not there yet: "),
        ("POST", "/netproxy/mode", '{"mode": "iptables", "timeout": 0}', 504, "the rules are not there yet: "),
        ("GET", "/netproxy/entry?target=nobody", "", 404, 'pods "nobody" not found in namespace default; there are node1, '),
        ("POST", "/netproxy/apply", "[]", 400, "body: Invalid value: []: must be an object"),
        ("POST", "/netproxy/apply", '{"items": [{"source": "f", "obj": {"kind": 5}}]}', 422, "f: 5: apiVersion: Required value"),
        ("POST", "/netproxy/apply", '{"items": [{"source": "f", "obj": {"apiVersion": "v1", "kind": "Sock", "metadata": {"name": "x"}}}]}',
         422, 'f: Sock x: kind: Unsupported value: no kind "Sock" in version "v1"'),
        ("POST", "/netproxy/apply", '{"items": [{"source": "f", "obj": {"apiVersion": "v1", "kind": "Pod", "metadata": 5}}]}',
         422, "f: Pod: metadata: Invalid value: 5: must be an object"),
    ],
)  # fmt: skip
def test_wrong_input_is_a_status_that_says_what_is_wrong(
    lab: Cluster, method: str, target: str, body: str, code: int, message: str
):
    got, status = Connection(lab).answer(method, target, body.encode())
    assert (got, status["kind"], status["code"]) == (code, "Status", code)
    assert status["message"].startswith(message)


SMALL = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.text(max_size=4)
    | st.floats()
    | st.lists(st.integers(), max_size=2)
)
WORDS = st.sampled_from(
    ["Pod", "Service", "Node", "Cluster", "v1", "netproxy.dev/v1alpha1", "KubeProxyConfiguration", "node1"]
)
VALUE = (
    SMALL
    | WORDS
    | st.dictionaries(st.sampled_from(["name", "labels", "ports", "nodes", "a"]), SMALL | WORDS, max_size=3)
)
OBJECT = st.dictionaries(
    st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "mode"]), VALUE, max_size=6
)
KINDS = st.sampled_from([(resource.api_version, resource.kind) for resource in RESOURCES])
META = st.dictionaries(st.sampled_from(["name", "namespace", "labels", "annotations"]), VALUE, max_size=3)
OBJECT |= st.builds(
    lambda kind, meta, rest: {**rest, "apiVersion": kind[0], "kind": kind[1], "metadata": meta},
    KINDS,
    META | VALUE,
    OBJECT,
)
ITEM = VALUE | st.fixed_dictionaries({"obj": OBJECT | VALUE, "source": SMALL})
BODY = VALUE | st.dictionaries(
    st.sampled_from(["mode", "layout", "node", "timeout", "items", "x"]), VALUE | st.lists(ITEM, max_size=2), max_size=4
)
QUERY = st.dictionaries(
    st.sampled_from(["target", "namespace", "container", "pod", "service", "node", "family", "timeout", "x"]),
    st.text(st.characters(min_codepoint=48, max_codepoint=122), max_size=5) | st.sampled_from(["0", "nan", "-1", "../..", "²", "node1"]),
    max_size=3,
)  # fmt: skip


@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(path=st.sampled_from([p for p in PATHS if "down" not in p[1]]), query=QUERY, body=BODY)
def test_anything_is_answered_without_a_failure_of_the_agent(
    lab: Cluster, path: tuple[str, str], query: dict, body: Any
):
    method, target = path
    if method == "GET":
        target += "?" + urlencode({**({"timeout": "0"} if "wait" in target else {}), **query})
    code, answer = Connection(lab).answer(method, target, json.dumps(body).encode())
    assert code in (200, 400, 404, 409, 422), (method, target, body, answer)
    assert code == 200 or answer["kind"] == "Status"


def test_the_agent_is_as_it_was(lab: Cluster):
    assert lab.run("verify").returncode == 0
    assert "4/4 Pods ready" in lab("status")
