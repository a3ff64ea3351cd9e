"""Requests and answers below /netproxy/: what is right survives, what is wrong is named with its place and the way out."""

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netproxy.core.errors import ManifestError
from netproxy.objects import messages
from netproxy.objects.messages import (
    ApplyRequest,
    EntryRequest,
    LogsAnswer,
    ModeAnswer,
    ModeRequest,
    NodeMode,
    Nothing,
    PendingRequest,
    RulesLine,
    RulesRequest,
    StatusAnswer,
    WaitRequest,
)
from netproxy.objects.typed import Message, shown

CLASSES = sorted(
    (c for c in vars(messages).values() if isinstance(c, type) and issubclass(c, Message) and dataclasses.fields(c)),
    key=lambda c: c.__name__,
)


def refused(cls: type[Message], value: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        cls.from_json(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("cls", "value", "message"),
    [
        pytest.param(ModeRequest, [], "body: Invalid value: []: must be an object", id="a list for an object"),
        pytest.param(ModeRequest, {}, "mode: Required value", id="missing"),
        pytest.param(ModeRequest, {"mode": 5}, "mode: Invalid value: 5: must be a string", id="a number for a string"),
        pytest.param(ModeRequest, {"mode": None}, "mode: Invalid value: None: must be a string", id="null for a string"),
        pytest.param(ModeRequest, {"mode": "ebpf"}, 'mode: Unsupported value: "ebpf": supported values: "iptables", "ipvs", '
                     '"nftables", "userspace"', id="no such mode"),
        pytest.param(ModeRequest, {"mode": "nftables", "layout": "round"}, 'layout: Unsupported value: "round": supported '
                     'values: "kube-proxy", "flat"', id="no such layout"),
        pytest.param(ModeRequest, {"mode": "ipvs", "layout": "flat"}, 'layout: Invalid value: "flat": mode ipvs has no '
                     'layouts, nftables has', id="a layout of another mode"),
        pytest.param(ModeRequest, {"mode": "ipvs", "timeout": -1}, "timeout: Invalid value: -1.0: must be between 0 and 86400",
                     id="too little"),
        pytest.param(WaitRequest, {"timeout": math.nan}, "timeout: Invalid value: nan: must be a number", id="not a number"),
        pytest.param(WaitRequest, {"timeout": 10**400}, f"timeout: Invalid value: 1{'0' * 79}…: must be a number", id="no float"),
        pytest.param(WaitRequest, {"timeout": True}, "timeout: Invalid value: True: must be a number", id="true is no number"),
        pytest.param(WaitRequest, {"timeut": 1}, "timeut: unknown field (there are: timeout)", id="misspelt"),
        pytest.param(Nothing, {"x": 1}, "x: unknown field (there are: none)", id="no fields at all"),
        pytest.param(EntryRequest, {"target": ""}, "target: Required value", id="empty"),
        pytest.param(RulesRequest, {"service": "web", "family": "IPv4"}, 'family: Unsupported value: "IPv4": supported values: '
                     '"ipv4", "ipv6"', id="no such family"),
        pytest.param(ApplyRequest, {"items": {}}, "items: Invalid value: {}: must be a list", id="an object for a list"),
        pytest.param(ApplyRequest, {"items": [1, {"obj": [], "source": "x"}, {"obj": {}}]},
                     "items[0]: Invalid value: 1: must be an object\nitems[1].obj: Invalid value: []: must be an object\n"
                     "items[2].source: Required value", id="each with its path"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(cls: type[Message], value: Any, message: str):
    assert refused(cls, value) == message


def test_a_query_is_text_and_its_numbers_are_numbers():
    assert WaitRequest.from_query({"timeout": "1e1"}) == WaitRequest(10.0)
    assert WaitRequest.from_query({}) == WaitRequest(30.0)
    assert PendingRequest.from_query({"node": "5"}) == PendingRequest("5")
    for text in ("nan", "inf", "²", "", "1" * 5000):
        with pytest.raises(ManifestError):
            WaitRequest.from_query({"timeout": text})


def test_a_query_leaves_out_what_is_empty():
    asked = RulesRequest("web", node="node1")
    assert asked.to_query() == {"service": "web", "namespace": "default", "node": "node1", "family": "ipv4"}
    assert RulesRequest.from_query(asked.to_query()) == asked


@pytest.mark.parametrize(
    "message",
    [
        ModeRequest("nftables", "node1", "flat"),
        ApplyRequest((messages.ApplyItem({"kind": "Pod", "spec": {"a": [1]}}, "file"),)),
        messages.EntryAnswer("ns", "host", "/etc", {"A": "b"}, "/", 7, {"uid": 0}, "/sys/fs/cgroup/x"),
        messages.ProxyStatus(3, (messages.RuleError("node1", "IPv4", "no room"),)),
        messages.NodeStatus("node1", "ns", ("10.0.0.1",), ("10.1.0.0/24",), 2, "1.36"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_json_and_back_is_the_same(message: Message):
    assert type(message).from_json(json.loads(json.dumps(message.to_json()))) == message


def test_an_answer_may_say_more_than_is_known():
    said = {"nodes": [{"name": "n", "mode": "ipvs", "layout": "", "weight": 3}], "errors": [], "more": 1}
    assert ModeAnswer.from_json(said) == ModeAnswer((NodeMode("n", "ipvs", ""),))
    assert refused(LogsAnswer, {"folder": "/x", "pod": "p"}) == "container: Required value"


def test_what_may_be_null_may_be_null():
    line = {
        "port": "p",
        "table": "t",
        "chain": "c",
        "number": 1,
        "text": "",
        "why": "",
        "packets": None,
        "bytes": 7,
        "present": True,
    }
    assert RulesLine.from_json(line).to_json() == line
    assert refused(RulesLine, {**line, "bytes": "7"}) == "bytes: Invalid value: 7: must be a whole number"
    assert refused(
        messages.EntryAnswer,
        {"namespace": "", "hostname": "", "etc": "", "env": {"A": 1}, "cwd": "", "pid": 1, "user": {}, "group": ""},
    ) == ("env.A: Invalid value: 1: must be a string")


def test_names_in_json_are_those_of_kubernetes():
    keys = {"apiVersion", "kind", "cluster", "scope", "agent", "mode", "iptables", "proxy", "nodes", "client", "pods",
            "services", "endpointSlices", "dns"}  # fmt: skip
    assert {line.partition(":")[0] for line in refused(StatusAnswer, {}).splitlines()} == keys
    assert "podCIDRs: Required value" in refused(messages.NodeStatus, {})


def test_long_values_are_cut():
    assert shown("x" * 81) == "x" * 80 + "…"
    assert shown(["x"]) == "['x']"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["ipvs", "ipv4", "flat"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["mode", "layout", "node", "timeout", "target", "namespace", "container", "items", "obj", "source", "service", "family",
     "nodes", "errors", "settled", "notReady", "pod"]
)  # fmt: skip


@given(cls=st.sampled_from(CLASSES), value=VALUES | st.dictionaries(KEYS, VALUES, max_size=5))
def test_anything_is_understood_or_refused(cls: type[Message], value: Any):
    try:
        understood = cls.from_json(value)
    except ManifestError:
        return
    assert cls.from_json(json.loads(json.dumps(understood.to_json()))) == understood


@given(query=st.dictionaries(KEYS, st.text(max_size=5) | st.from_regex(r"-?[0-9.e]{1,6}", fullmatch=True), max_size=4))
def test_any_query_is_understood_or_refused(query: dict[str, str]):
    for cls in (WaitRequest, EntryRequest, RulesRequest, PendingRequest):
        try:
            understood = cls.from_query(query)
        except ManifestError:
            continue
        assert cls.from_query(understood.to_query()) == understood
