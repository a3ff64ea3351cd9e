"""Lists and watches as they are asked for: selectors, versions, pages, forms; words as a real kube-apiserver 1.36.2 says them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from support.api import Client
from support.build import FixedClock, pod_object

from netproxy.apiserver.request import Request
from netproxy.apiserver.watch import Watch
from netproxy.core.errors import ExpiredError
from netproxy.store.store import Store

BASE = "/api/v1/namespaces/default"
MAPS = f"{BASE}/configmaps"
META = "v=v1;g=meta.k8s.io"
PARTIAL = f"application/json;as=PartialObjectMetadataList;{META}"
TABLE = f"application/json;as=Table;{META}"

LABELS: dict[str, dict[str, str]] = {
    "p": {"a": "b", "c": "d"}, "q": {"a": "2"}, "r": {}, "t": {"a": "in", "in": "in"}, "u": {"a": "", "x.y/a": "b"},
}  # fmt: skip


def config_map(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": LABELS[name]}}


@pytest.fixture
def ask() -> Client:
    client = Client()
    for name in LABELS:
        assert client("POST", MAPS, config_map(name))[0] == 201
    return client


def names(answer: tuple[int, Any]) -> str:
    assert answer[0] == 200, answer[1]
    return "".join(item["metadata"]["name"] for item in answer[1]["items"] or ())


# --- label selectors


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        ("", "pqrtu"), ("a", "pqtu"), ("a,c", "p"), ("!a", "r"), ("! a", "r"), ("a=b", "p"), ("a==b", "p"), ("a!=b", "qrtu"),
        ("a in (b)", "p"), ("a in (b,2)", "pq"), ("a notin (b)", "qrtu"), ("a in (b,,c)", "pu"), ("a in (,)", "u"),
        ("a in ( )", "u"), ("in=b", ""), ("notin in (in)", ""), ("in", "t"), ("a=in", "t"), ("a in (in,notin)", "t"),
        ("in in (in)", "t"), ("a>1", "q"), ("a<1", ""), ("a=", "u"), ("a==", "u"), ("!a,c", ""), ("a= b", "p"),
        ("a =b ", "p"), ("\ta\t=\tb", "p"), ("a\n=b", "p"), ("x.y/a=b", "u"), ("a!=", "pqrt"), ("a!=,c", "p"),
        ("a notin ()", "pqrt"), ("a notin (b),!c,in", "t"), ("a in (c,b,a)", "p"),
    ],
)  # fmt: skip
def test_what_labels_pick(ask: Client, selector: str, picked: str) -> None:
    assert names(ask("GET", MAPS, labelSelector=selector)) == picked


NAME = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
    "'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
PREFIX = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
UNREADABLE = "unable to parse requirement: "
OPERATORS = "expected: in, notin, =, ==, !=, gt, lt"
INTEGER = "for 'Gt', 'Lt' operators, the value must be an integer"


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("a in (b", f"{UNREADABLE}found '', expected: ',' or ')'"),
        ("a in b", f"{UNREADABLE}found 'b' expected: '('"),
        ("a in", f"{UNREADABLE}found '' expected: '('"),
        ("a in (", f"{UNREADABLE}found '', expected: ',', ')' or identifier"),
        ("a in ((b))", f"{UNREADABLE}found '(', expected: ',', ')' or identifier"),
        ("a in (b c)", f"{UNREADABLE}found 'c', expected: ',' or ')'"),
        ("a in (b,=", f"{UNREADABLE}found '=', expected: ',', or identifier"),
        ("a notin", f"{UNREADABLE}found '' expected: '('"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("=", "found '=', expected: !, identifier, or 'end of string'"),
        ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
        ("!", f"{UNREADABLE}found '', expected: identifier"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a !b", f"{UNREADABLE}found '!', {OPERATORS}"),
        ("a b", f"{UNREADABLE}found 'b', {OPERATORS}"),
        ("a\0b", f"{UNREADABLE}found 'b', {OPERATORS}"),
        ("a>=1", f"{UNREADABLE}found '=', expected: identifier"),
        ("a>x", f'{UNREADABLE}values[0]: Invalid value: "x": {INTEGER}'),
        ("a>9223372036854775808", f'{UNREADABLE}values[0]: Invalid value: "9223372036854775808": {INTEGER}'),
        ("a=b_", f'{UNREADABLE}values[0][a]: Invalid value: "b_": {VALUE}'),
        ('a="b"', f'{UNREADABLE}values[0][a]: Invalid value: "\\"b\\"": {VALUE}'),
        ("a in (-,b)", f'{UNREADABLE}values[0][a]: Invalid value: "-": {VALUE}'),
        ("a>-", f'{UNREADABLE}[values[0]: Invalid value: "-": {INTEGER}, values[0][a]: Invalid value: "-": {VALUE}]'),
        (f"a={'b' * 64}", f'{UNREADABLE}values[0][a]: Invalid value: "{"b" * 64}": must be no more than 63 bytes'),
        ("-a=b", f'{UNREADABLE}<nil>: Invalid value: "-a": name part {NAME}'),
        ("a" * 64, f'{UNREADABLE}<nil>: Invalid value: "{"a" * 64}": name part must be no more than 63 bytes'),
        ("A/b=c", f'{UNREADABLE}<nil>: Invalid value: "A/b": {PREFIX}'),
        ("/a=b", f'{UNREADABLE}<nil>: Invalid value: "/a": prefix part must be non-empty'),
        ("a/", f'{UNREADABLE}<nil>: Invalid value: "a/": name part must be non-empty; name part {NAME}'),
        ("a/b/c=d", (f'{UNREADABLE}<nil>: Invalid value: "a/b/c": a valid label key {NAME} with an optional DNS subdomain prefix'
                    " and '/' (e.g. 'example.com/MyName')")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, {"watch": "1"}])
def test_what_is_no_label_selector(selector: str, said: str, more: dict[str, str]) -> None:
    status, answer = Client()("GET", MAPS, labelSelector=selector, **more)
    assert (status, answer["reason"], answer["message"]) == (400, "BadRequest", said)


def test_a_prefix_may_be_long_but_not_too_long() -> None:
    long = ".".join(["a" * 60] * 5)
    status, answer = Client()("GET", MAPS, labelSelector=f"{long}/a=b")
    assert status == 400
    assert "prefix part must be no more than 253 bytes" in answer["message"]


# --- field selectors


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        ("metadata.name=p", "p"), ("metadata.name==p", "p"), ("metadata.name!=p", "qrtu"), ("metadata.name=p,metadata.name!=q", "p"),
        ("metadata.name=p,metadata.name=q", ""), (",", "pqrtu"), (",,metadata.name=p", "p"), (r"metadata.name=a\,b", ""),
        ("metadata.name=a!b", ""), ("metadata.namespace=default", "pqrtu"), ("metadata.namespace=other", ""),
        ("metadata.namespace!=default", ""), ("metadata.name=", ""), ("metadata.name!=", "pqrtu"), ("metadata.name=.", ""),
    ],
)  # fmt: skip
def test_what_fields_pick(ask: Client, selector: str, picked: str) -> None:
    assert names(ask("GET", MAPS, fieldSelector=selector)) == picked


EVENT = {
    "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"}, "note": "n", "reason": "R",
    "type": "Normal", "action": "a", "reportingController": "k", "reportingInstance": "i",
    "eventTime": "2020-01-01T00:00:00.000000Z",
}  # fmt: skip
PATHS = {"jobs": "/apis/batch/v1/namespaces/default/jobs", "new": "/apis/events.k8s.io/v1/namespaces/default/events"}


@pytest.mark.parametrize(
    ("path", "body", "selector", "otherwise"),
    [
        (f"{BASE}/pods", pod_object(), "spec.nodeName=node1", "spec.nodeName="),
        (f"{BASE}/pods", pod_object(), "spec.host=node1", "spec.host=x"),
        (f"{BASE}/pods", pod_object(), "spec.hostNetwork=false", "spec.hostNetwork=true"),
        (f"{BASE}/pods", pod_object(), "status.podIP=", "status.podIP=1.2.3.4"),
        (f"{BASE}/pods", pod_object(), "status.podIPs=", "status.podIPs=1.2.3.4"),
        (f"{BASE}/pods", pod_object(), "status.nominatedNodeName=", "status.nominatedNodeName=x"),
        ("/api/v1/nodes", {"metadata": {"name": "n"}, "spec": {"unschedulable": True}}, "spec.unschedulable=true", "spec.unschedulable=1"),
        ("/api/v1/namespaces", {"metadata": {"name": "n"}}, "metadata.name=n,status.phase=Active", "status.phase=x"),
        (f"{BASE}/secrets", {"metadata": {"name": "s"}, "type": "x/y"}, "type=x/y", "type=Opaque"),
        (f"{BASE}/events", {"metadata": {"name": "e"}, "source": {"component": "k"}}, "source=k", "source="),
        (f"{BASE}/events", {"metadata": {"name": "e"}, "reportingComponent": "k"}, "source=k", "reportingComponent="),
        (PATHS["new"], EVENT, "regarding.kind=Pod", "regarding.kind=x"),
        (PATHS["new"], EVENT, "reportingController=k", "reportingController="),
    ],
)  # fmt: skip
def test_fields_of_kinds(path: str, body: dict[str, Any], selector: str, otherwise: str) -> None:
    ask = Client()
    assert ask("POST", path, body)[0] == 201
    assert len(ask("GET", path, fieldSelector=selector)[1]["items"]) == 1
    assert len(ask("GET", path, fieldSelector=otherwise)[1]["items"]) == 0


def test_numbers_of_kinds_are_fields() -> None:
    ask = Client()
    assert names(ask("GET", PATHS["jobs"], fieldSelector="status.successful=0")) == ""
    answer = ask("GET", PATHS["jobs"], fieldSelector="status.x=0")[1]
    assert answer["message"] == 'field label "status.x" not supported for Job'
    assert names(ask("GET", f"{BASE}/replicationcontrollers", fieldSelector="status.replicas!=1")) == ""


# --- versions and pages


def token(**more: Any) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": -1, "start": "q"} | more)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


NO_TOKEN = "invalid continue token: continue key is not valid"
JSON_TYPE = f"{NO_TOKEN}: json: cannot unmarshal"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("!!", f"{NO_TOKEN}: illegal base64 data at input byte 0"),
        ("Y", f"{NO_TOKEN}: illegal base64 data at input byte 0"),
        ("YQ==", f"{NO_TOKEN}: illegal base64 data at input byte 2"),
        ("YQ", f"{NO_TOKEN}: invalid character 'a' looking for beginning of value"),
        ("garbage", f"{NO_TOKEN}: invalid character '\\u0081' looking for beginning of value"),
        ("IA", f"{NO_TOKEN}: unexpected end of JSON input"),
        ("WzFd", f"{JSON_TYPE} array into Go value of type storage.continueToken"),
        ("Ingi", f"{JSON_TYPE} string into Go value of type storage.continueToken"),
        ("NQ", f"{JSON_TYPE} number into Go value of type storage.continueToken"),
        ("dHJ1ZQ", f"{JSON_TYPE} bool into Go value of type storage.continueToken"),
        (token(rv="x"), f"{JSON_TYPE} string into Go struct field continueToken.rv of type int64"),
        (token(rv=1.5), f"{JSON_TYPE} number 1.5 into Go struct field continueToken.rv of type int64"),
        (token(start=5), f"{JSON_TYPE} number into Go struct field continueToken.start of type string"),
        (token(start={}), f"{JSON_TYPE} object into Go struct field continueToken.start of type string"),
        (token(v="x"), f"{NO_TOKEN}: server does not recognize this encoded version x"),
        (token(v=None), f"{NO_TOKEN}: server does not recognize this encoded version "),
        (token(rv=0), f"{NO_TOKEN}: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (token(start=""), f"{NO_TOKEN}: encoded start key empty (version meta.k8s.io/v1)"),
        (token(start="../q"), f"{NO_TOKEN}: ../q"), (token(start="a//b"), f"{NO_TOKEN}: a//b"), (token(start="."), f"{NO_TOKEN}: ."),
    ],
)  # fmt: skip
def test_what_is_no_token(given: str, said: str) -> None:
    status, answer = Client()("GET", MAPS, limit="2", **{"continue": given})
    assert (status, answer["reason"], answer["message"]) == (400, "BadRequest", said)


@pytest.mark.parametrize(
    ("given", "more", "picked", "left"),
    [
        (token(), {"limit": "2"}, "qr", 2), (token(start="q\0"), {"limit": "2"}, "rt", 1), (token(start="/q"), {"limit": "2"}, "qr", 2),
        (token(start="zz"), {"limit": "2"}, "", None), (token(), {"resourceVersion": "0"}, "qrtu", None),
        (token(), {"fieldSelector": "metadata.name=t"}, "t", None), (token(), {"limit": "9"}, "qrtu", None),
    ],
)  # fmt: skip
def test_a_token_goes_on_with_a_list(
    ask: Client, given: str, more: dict[str, str], picked: str, left: int | None
) -> None:
    answer = ask("GET", MAPS, **more, **{"continue": given})
    assert names(answer) == picked
    assert answer[1]["metadata"].get("remainingItemCount") == left


def test_a_list_in_pieces_is_that_of_its_first_piece(ask: Client) -> None:
    first = ask("GET", MAPS, limit="2")
    meta = first[1]["metadata"]
    assert (names(first), meta["remainingItemCount"]) == ("pq", 3)
    ask("DELETE", f"{MAPS}/r")
    ask("POST", MAPS, {"metadata": {"name": "qq"}})
    ask("PUT", f"{MAPS}/t", {"metadata": {"name": "t"}, "data": {"new": "1"}})
    second = ask("GET", MAPS, limit="2", **{"continue": meta["continue"]})
    assert (names(second), second[1]["metadata"]["resourceVersion"]) == ("rt", meta["resourceVersion"])
    assert "data" not in second[1]["items"][1]
    last = ask("GET", MAPS, limit="2", **{"continue": second[1]["metadata"]["continue"]})
    assert (names(last), "continue" in last[1]["metadata"]) == ("u", False)
    assert names(ask("GET", MAPS)) == "pqqqtu"


def test_a_list_in_pieces_of_what_is_picked_does_not_count_what_is_left(ask: Client) -> None:
    meta = ask("GET", MAPS, limit="1", labelSelector="a=b")[1]["metadata"]
    assert (bool(meta["continue"]), "remainingItemCount" in meta) == (True, False)
    assert "continue" not in ask("GET", MAPS, limit="1", fieldSelector="metadata.name=p")[1]["metadata"]
    assert "continue" not in ask("GET", MAPS, limit="2", labelSelector="a=b")[1]["metadata"]


def test_lists_are_sorted_as_keys_are(ask: Client) -> None:
    for at in ("x", "x-a"):
        ask("POST", "/api/v1/namespaces", {"metadata": {"name": at}})
        for name in ("z", "a", "a-b", "a0"):
            ask("POST", f"/api/v1/namespaces/{at}/configmaps", {"metadata": {"name": name, "labels": {"all": ""}}})
    first = ask("GET", "/api/v1/configmaps", labelSelector="all", limit="5")[1]
    found = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in first["items"]]
    assert found == [("x-a", "a"), ("x-a", "a-b"), ("x-a", "a0"), ("x-a", "z"), ("x", "a")]
    rest = ask("GET", "/api/v1/configmaps", labelSelector="all", **{"continue": first["metadata"]["continue"]})[1]
    assert [item["metadata"]["name"] for item in rest["items"]] == ["a-b", "a0", "z"]
    token = first["metadata"]["continue"]
    elsewhere = ask("GET", "/api/v1/namespaces/x/configmaps", **{"continue": token})[1]
    assert [item["metadata"]["name"] for item in elsewhere["items"]] == ["z"]


def version_of(ask: Client, name: str) -> str:
    return str(ask("GET", f"{MAPS}/{name}")[1]["metadata"]["resourceVersion"])


@pytest.mark.parametrize(
    ("query", "picked"),
    [
        ({}, "pqrtu"), ({"resourceVersionMatch": "NotOlderThan"}, "pqrtu"), ({"resourceVersionMatch": "Exact"}, "pq"),
        ({"limit": "9"}, "pq"), ({"limit": "9", "resourceVersionMatch": "NotOlderThan"}, "pqrtu"),
        ({"limit": "9", "fieldSelector": "metadata.name=u"}, "u"),
        ({"resourceVersionMatch": "Exact", "fieldSelector": "metadata.name=u"}, ""),
    ],
)  # fmt: skip
def test_a_list_of_a_version(ask: Client, query: dict[str, str], picked: str) -> None:
    version = version_of(ask, "q")
    answer = ask("GET", MAPS, resourceVersion=version, **query)
    assert names(answer) == picked
    is_exact = answer[1]["metadata"]["resourceVersion"] == version
    assert is_exact is (picked in ("pq", ""))


def test_any_version_is_the_newest_and_whole(ask: Client) -> None:
    assert names(ask("GET", MAPS, resourceVersion="0", limit="1")) == "pqrtu"
    assert names(ask("GET", MAPS, limit="-1")) == "pqrtu"


FORBIDDEN, UNSUPPORTED = "FieldValueForbidden", "FieldValueNotSupported"


@pytest.mark.parametrize(
    ("query", "causes"),
    [
        ({"resourceVersionMatch": "Exact"}, [FORBIDDEN]),
        ({"resourceVersionMatch": "Foo"}, [FORBIDDEN, UNSUPPORTED]),
        ({"resourceVersionMatch": "Foo", "continue": "x"}, [FORBIDDEN, FORBIDDEN, UNSUPPORTED]),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, [FORBIDDEN]),
        ({"sendInitialEvents": ""}, [FORBIDDEN]),
        ({"watch": "1", "sendInitialEvents": "true"}, [FORBIDDEN]),
        ({"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "Exact"}, [FORBIDDEN, UNSUPPORTED]),
        ({"watch": "1", "resourceVersionMatch": "NotOlderThan"}, [FORBIDDEN]),
        ({"watch": "", "continue": "x"}, [FORBIDDEN]),
    ],
)
def test_options_that_do_not_go_together(query: dict[str, str], causes: list[str]) -> None:
    status, answer = Client()("GET", MAPS, **query)
    assert (status, answer["details"]["kind"], answer["details"]["group"]) == (422, "ListOptions", "meta.k8s.io")
    assert [cause["reason"] for cause in answer["details"]["causes"]] == causes


NO_NUMBER = 'resourceVersion: Invalid value: "{0}": strconv.ParseUint: parsing "{0}": {1}'


@pytest.mark.parametrize(
    ("version", "why"),
    [("abc", "invalid syntax"), ("-5", "invalid syntax"), ("1 ", "invalid syntax"), ("\u00b2", "invalid syntax"),
     ("18446744073709551616", "value out of range")],
)  # fmt: skip
def test_what_is_no_version(ask: Client, version: str, why: str) -> None:
    said = NO_NUMBER.format(version, why)
    status, answer = ask("GET", MAPS, resourceVersion=version)
    assert (status, answer["reason"], answer["message"]) == (400, "BadRequest", f"invalid resource version: {said}")
    for path, query in ((MAPS, {"watch": "1"}), (f"{MAPS}/p", {})):
        status, answer = ask("GET", path, resourceVersion=version, **query)
        assert (status, answer.get("reason"), answer["message"]) == (500, None, said)


@pytest.mark.parametrize("path", [MAPS, f"{MAPS}/p", f"{MAPS}/none"])
def test_a_version_that_is_still_to_come(ask: Client, path: str) -> None:
    status, answer = ask("GET", path, resourceVersion="9999999999")
    current = ask.registry.store.version
    assert (status, answer["reason"]) == (504, "Timeout")
    assert answer["message"] == f"Timeout: Too large resource version: 9999999999, current: {current}"
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    assert answer["details"] == {"causes": causes, "retryAfterSeconds": 1}


def test_a_list_can_be_continued_for_a_while(ask: Client) -> None:
    clock = ask.registry.store.clock
    first = ask("GET", MAPS, limit="1")[1]["metadata"]["continue"]
    clock.time += 200
    second = ask("GET", MAPS, limit="1", **{"continue": first})[1]["metadata"]["continue"]
    clock.time += 101
    for given, rest in ((first, "qrtu"), (second, "rtu")):
        status, answer = ask("GET", MAPS, limit="1", **{"continue": given})
        assert (status, answer["reason"]) == (410, "Expired")
        assert "too old to display a consistent list result" in answer["message"]
        assert names(ask("GET", MAPS, **{"continue": answer["metadata"]["continue"]})) == rest
    anew = ask("GET", MAPS, limit="1", **{"continue": answer["metadata"]["continue"]})[1]["metadata"]["continue"]
    clock.time += 300
    assert names(ask("GET", MAPS, **{"continue": anew})) == "tu", "what is continued as it is now is a list of its own"


@pytest.mark.parametrize("since", ["x", None, 0, 1.5])
def test_a_token_that_says_no_time_is_good(ask: Client, since: object) -> None:
    assert names(ask("GET", MAPS, **{"continue": token(rv=ask.registry.store.version, start="t", since=since)})) == "tu"


def test_versions_and_tokens_that_are_forgotten(ask: Client) -> None:
    store = ask.registry.store
    store._history.clear()
    status, answer = ask("GET", MAPS, resourceVersion="1", resourceVersionMatch="Exact")
    assert (status, answer["message"]) == (410, "The resourceVersion for the provided list is too old.")
    assert "details" not in answer
    status, answer = ask("GET", MAPS, **{"continue": token(rv=1, start="r\0")})
    assert (status, answer["reason"]) == (410, "Expired")
    assert answer["message"].startswith(
        "The provided continue parameter is too old to display a consistent list result. You can"
    )
    assert names(ask("GET", MAPS, **{"continue": answer["metadata"]["continue"]})) == "tu"


def test_what_is_not_asked_of_one_object_does_not_matter(ask: Client) -> None:
    for query in (
        {"limit": "x"},
        {"labelSelector": "(("},
        {"watch": "true"},
        {"includeObject": "x"},
        {"resourceVersion": "0"},
    ):
        assert ask("GET", f"{MAPS}/p", **query)[1]["kind"] == "ConfigMap"
    status, answer = ask("GET", f"{MAPS}/p", export="true")
    assert (status, answer["message"]) == (400, "the export parameter, deprecated since v1.14, is no longer supported")


# --- watches


def watch_of(**query: str) -> Watch:
    found = Client()("GET", MAPS, **{"watch": "true", **query})
    assert isinstance(found, Watch), found
    return found


@pytest.mark.parametrize(
    ("query", "initial", "marks"),
    [
        ({}, True, False),
        ({"resourceVersion": "0"}, True, False),
        ({"allowWatchBookmarks": "true"}, True, True),
        ({"resourceVersion": "0", "allowWatchBookmarks": ""}, True, True),
        ({"resourceVersion": "3", "allowWatchBookmarks": "1"}, False, False),
        ({"sendInitialEvents": "", "resourceVersionMatch": "NotOlderThan"}, True, False),
        (
            {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "yes"},
            True,
            True,
        ),
        ({"sendInitialEvents": "false", "resourceVersionMatch": "NotOlderThan", "resourceVersion": "0"}, False, False),
    ],
)
def test_how_a_watch_begins(query: dict[str, str], initial: bool, marks: bool) -> None:
    watch = watch_of(**query)
    assert (watch.initial, watch.marks_initial) == (initial, marks)


@pytest.mark.parametrize("given", ["true", "1", "yes", ""])
def test_a_switch_is_on_when_it_is_there(given: str) -> None:
    assert watch_of(watch=given)
    assert Client()("GET", MAPS, watch="False")[1]["kind"] == "ConfigMapList"


@pytest.mark.parametrize(("given", "timeout_s"), [("5", 5.0), ("0", None), ("-1", 0.0), ("9" * 18, None)])
def test_how_long_a_watch_goes_on(given: str, timeout_s: float | None) -> None:
    assert watch_of(timeoutSeconds=given).timeout_s == timeout_s


def test_the_old_paths_of_watches(ask: Client) -> None:
    for path, picked in (
        ("watch/configmaps", "pqrtu"), ("watch/namespaces/default/configmaps", "pqrtu"), ("watch/namespaces/default/configmaps/p", "p"),
    ):  # fmt: skip
        watch = ask("GET", f"/api/v1/{path}")
        assert isinstance(watch, Watch)
        found = [obj for obj in ask.registry.store.list(watch.resource) if watch.picks is None or watch.picks(obj)]
        assert "".join(obj["metadata"]["name"] for obj in found) == picked
        assert (watch.initial, watch.marks_initial) == (True, False)
    one = "/api/v1/watch/namespaces/default/configmaps/p"
    assert isinstance(ask("GET", one, fieldSelector="metadata.name=p"), Watch)
    for selector in ("metadata.name=q", "metadata.namespace=default"):
        status, answer = ask("GET", one, fieldSelector=selector)
        assert (status, answer["message"]) == (400, "fieldSelector metadata.name doesn't match requested name")
    assert ask("GET", one, sendInitialEvents="true", resourceVersionMatch="NotOlderThan")[0] == 422
    assert ask("POST", one, {})[0] == 405


# --- forms

MERGE = "application/merge-patch+json"
MADE = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
STREAMED = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
NONE_OF = "406: Not Acceptable\n\nAvailable representations: {}"
ONLY = "only the following media types are accepted: {}"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "ConfigMapList"), ("*/*", "ConfigMapList"), ("application/json", "ConfigMapList"), ("text/plain,application/json", "ConfigMapList"),
        ("application/vnd.kubernetes.protobuf,application/json", "ConfigMapList"), ("application/cbor,application/json", "ConfigMapList"),
        (f"{TABLE},application/json", "Table"), (f"{TABLE};q=0.1,application/json;q=0.9", "ConfigMapList"), (f"*/*;as=Table;{META}", "Table"),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", "Table"), (f"application/json ; as=Table ; {META}", "Table"),
        (f"application/vnd.kubernetes.protobuf;as=Table;{META},{TABLE}", "Table"), (PARTIAL, "PartialObjectMetadataList"),
        ("application/json;as=Table;v=v2;g=meta.k8s.io,application/json", "ConfigMapList"), ("application/json;stream=watch", "ConfigMapList"),
        ("application/json;sv=v1", "ConfigMapList"), ("application/json;foo=bar", "ConfigMapList"), ("image/png,*/*;q=0.1", "ConfigMapList"),
        ("application/json;q=x", "ConfigMapList"), ("application/json;a=b=c", "ConfigMapList"), ("a/b/c,*,application/json", "ConfigMapList"),
    ],
)  # fmt: skip
def test_the_form_of_a_list(accept: str, kind: str) -> None:
    assert Client()("GET", MAPS, accept=accept)[1]["kind"] == kind


@pytest.mark.parametrize(
    ("accept", "said"),
    [
        ("text/html", NONE_OF), ("application/*", NONE_OF), ("application/cbor", NONE_OF), (",", NONE_OF), ("APPLICATION/JSON", NONE_OF),
        ("application/json;as=Table", ONLY), ("application/json;as=Table;v=v2;g=meta.k8s.io", ONLY), (f"application/json;as=Foo;{META}", ONLY),
        ("application/json;stream=foo", ONLY), ("application/json;sv=v2", ONLY), ("application/json;g=meta.k8s.io", ONLY),
        ("application/vnd.kubernetes.protobuf", ONLY),
    ],
)  # fmt: skip
def test_forms_that_there_are_not(accept: str, said: str) -> None:
    for method, path, made in (
        ("GET", MAPS, f"{MADE}, {STREAMED}" if said is NONE_OF else MADE), ("GET", f"{MAPS}/none", MADE), ("DELETE", f"{MAPS}/none", MADE),
    ):  # fmt: skip
        status, answer = Client()(method, path, accept=accept)
        assert (status, answer["reason"], answer["message"]) == (406, "NotAcceptable", said.format(made))
        assert answer.get("details") == ({} if said is NONE_OF else None)


def test_metadata_only(ask: Client) -> None:
    one = f"application/json;as=PartialObjectMetadata;{META}"
    meta = ask("GET", f"{MAPS}/p")[1]["metadata"]
    found = ask("GET", f"{MAPS}/p", accept=one)[1]
    assert found == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}
    assert found in ask("GET", MAPS, accept=PARTIAL)[1]["items"]
    assert ask("GET", MAPS, accept=PARTIAL, labelSelector="none")[1]["items"] is None
    assert ask("POST", MAPS, {"metadata": {"name": "new"}}, accept=one)[1]["kind"] == "PartialObjectMetadata"
    for path, accept, said in (
        (MAPS, one, "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"),
        (f"{MAPS}/p", PARTIAL, "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"),
        ("/apis/apps/v1/deployments", one, "you requested PartialObjectMetadata, but the requested object is a list (*apps.DeploymentList)"),
    ):  # fmt: skip
        status, answer = ask("GET", path, accept=accept)
        assert (status, answer["message"]) == (406, said)


def test_what_a_table_says_beside_its_cells(ask: Client) -> None:
    def rows(**query: str) -> Any:
        return ask("GET", MAPS, accept=TABLE, limit="1", **query)[1]["rows"]

    meta = ask("GET", f"{MAPS}/p")[1]
    assert rows()[0]["object"]["kind"] == "PartialObjectMetadata"
    assert rows(includeObject="Metadata") == rows(includeObject="") == rows()
    assert rows(includeObject="Object")[0]["object"] == meta
    assert rows(includeObject="None")[0]["object"] is None
    status, answer = ask("GET", MAPS, accept=TABLE, includeObject="Foo")
    said = """includeObject: Invalid value: "Foo": must be 'Metadata', 'Object', 'None', or empty"""
    assert (status, answer["message"]) == (400, f"Unable to convert to Table as requested: {said}")


def test_the_items_of_a_list_do_not_say_what_the_list_says(ask: Client) -> None:
    listed = ask("GET", MAPS)[1]
    assert {"kind", "apiVersion"}.isdisjoint(listed["items"][0])


def answered(path: str, accept: str = "application/json", agent: str = "", **query: str) -> bytes:
    answer = Client().api.handle(Request("GET", path, query, accept=accept, user_agent=agent))
    assert not isinstance(answer, Watch)
    return answer.body


@pytest.mark.parametrize("path", [MAPS, f"{MAPS}/none", "/api"])
def test_people_get_it_pretty(path: str) -> None:
    plain = answered(path)
    assert plain.endswith(b"}\n")
    assert plain.startswith(b'{"')
    pretty = answered(path, pretty="true")
    assert pretty.startswith(b'{\n  "')
    assert json.loads(pretty) == json.loads(plain)
    assert answered(path, agent="curl/8.5") == pretty
    assert answered(path, "application/json;pretty=1") == pretty
    assert answered(path, agent="curl/8.5", pretty="false") == plain
    assert answered(path, "application/json;a=b") == plain
    assert answered(path, "*/*", agent="Mozilla/5.0 (X11)") == pretty


def test_yaml() -> None:
    assert answered(MAPS, "application/yaml").startswith(b"apiVersion: v1\nitems: []\nkind: ConfigMapList\n")
    assert b"\ncode: 404\n" in answered(f"{MAPS}/none", "application/yaml")
    assert b"\nreason: NotAcceptable\n" in answered(MAPS, "application/yaml", watch="1")
    assert b'"reason":"NotAcceptable"' in answered(MAPS, "text/html")


def test_whoever_asks_for_endpoints_is_told_what_to_use_instead() -> None:
    told = ("Warning", '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"')
    for query in ({}, {"watch": "1"}):
        for path in (f"{BASE}/endpoints", f"{BASE}/endpoints/none"):
            answer = Client().api.handle(Request("GET", path, query))
            assert answer.headers == (told,)


def test_what_is_written_is_answered_in_the_form_that_is_asked_for(ask: Client) -> None:
    one = f"application/json;as=PartialObjectMetadata;{META}"
    assert ask("PATCH", f"{MAPS}/p", {"data": {"a": "1"}}, MERGE, TABLE)[1]["rows"][0]["cells"][:2] == ["p", 1]
    assert ask("DELETE", f"{MAPS}/p", accept=one)[1]["kind"] == "Status"
    assert ask("DELETE", f"{MAPS}/p", accept=TABLE)[1]["code"] == 404
    assert ask("DELETE", MAPS, accept=f"text/html;{META}")[0] == 406
    gone = ask("DELETE", MAPS, accept=TABLE, labelSelector="a=2")[1]
    assert [row["cells"][0] for row in gone["rows"]] == ["q"]
    assert names(ask("DELETE", MAPS, limit="1")) == "r"
    assert names(ask("GET", MAPS)) == "tu"
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    ask(
        "POST",
        deployments,
        {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}},
    )
    scale = ask("GET", f"{deployments}/d/scale")[1]
    for answer in (
        ask("GET", f"{deployments}/d/scale", accept=TABLE),
        ask("PUT", f"{deployments}/d/scale", scale, accept=TABLE),
    ):
        assert answer[1]["rows"][0]["cells"][:3] == ["d", 1, 0]
        assert answer[1]["columnDefinitions"][0]["format"] == ""


@pytest.mark.parametrize("path", ["/api/v1", "/apis/apps/v1"])
def test_what_is_no_object_is_no_table(path: str) -> None:
    assert Client()("GET", path, accept=TABLE)[1]["message"] == ONLY.format(MADE)
    assert Client()("GET", path, accept=f"{TABLE},application/json")[1]["kind"] == "APIResourceList"
    assert Client()("GET", path, accept="text/html")[1]["message"] == NONE_OF.format(MADE)


def test_a_group_that_there_is_not_is_no_path() -> None:
    for path in ("/apis/example.com/v1/widgets", "/apis/example.com"):
        assert Client()("GET", path).body == b"404 page not found\n"
    for path in ("/apis/apps/v9/deployments", "/apis/apps/v1/widgets"):
        assert Client()("GET", path)[1]["reason"] == "NotFound"


def test_a_watch_of_a_new_cluster_does_not_begin_before_it() -> None:
    store = Store(FixedClock(), lambda: "uid", begins=1000)
    assert (store.version, list(store.since(1000))) == (1000, [])
    with pytest.raises(ExpiredError, match=r"too old resource version: 1 \(1000\)"):
        store.since(1)


REVIEW = {
    "apiVersion": "authorization.k8s.io/v1",
    "kind": "SelfSubjectAccessReview",
    "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}},
}
TABLELESS = {
    "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews": REVIEW,
    "POST /api/v1/namespaces/default/serviceaccounts/robot/token": {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    "GET /api/v1/namespaces/default/pods/web/ephemeralcontainers": None,
    "GET /api/v1/namespaces/default/pods/web/resize": None,
    "PUT /api/v1/namespaces/default/finalize": {"metadata": {"name": "default"}, "spec": {"finalizers": ["kubernetes"]}},
    "POST /api/v1/namespaces/default/pods/web/eviction": {"metadata": {"name": "web"}},
    "POST /api/v1/namespaces/default/pods/none/binding": {"metadata": {"name": "none"}, "target": {"name": "n"}},
}  # fmt: skip


@pytest.mark.parametrize("what", TABLELESS)
def test_what_has_no_table(what: str) -> None:
    method, path = what.split()
    client = Client()
    assert client("POST", f"{BASE}/pods", pod_object("web"))[0] == 201
    status, answer = client(method, path, TABLELESS[what], accept=TABLE)
    assert (status, answer["reason"], answer["message"]) == (406, "NotAcceptable", ONLY.format(MADE))
    assert client("GET", f"{BASE}/pods/web")[1]["metadata"].get("deletionTimestamp") is None, "nothing was written"


@pytest.mark.parametrize("accept", ["application/json;as=PartialObjectMetadata;" + META, f"{TABLE},application/json"])
def test_a_review_in_other_forms(accept: str) -> None:
    status, answer = Client()("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", REVIEW, accept=accept)
    assert status == 201
    assert answer["kind"] == ("PartialObjectMetadata" if "Partial" in accept else "SelfSubjectAccessReview")
    assert answer["metadata"]["managedFields"][0]["apiVersion"] == "authorization.k8s.io/v1"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("invalid", 'invalid duration "invalid"'),
        ("5", 'missing unit in duration "5"'),
        ("3x", 'unknown unit "x" in duration "3x"'),
    ],
)
def test_a_timeout_that_is_none(given: str, why: str) -> None:
    for path in ("/version", MAPS, "/api/v1/nonsense"):
        status, answer = Client()("GET", path, timeout=given)
        assert (status, answer["reason"]) == (400, "BadRequest")
        assert answer["message"] == f"invalid timeout specified in the request URL - time: {why}"


@pytest.mark.parametrize("given", ["", "0s", "3m", "-1s", "1h1.5ms"])
def test_a_timeout(given: str) -> None:
    assert Client()("GET", MAPS, timeout=given)[0] == 200


def test_what_lasts_has_no_timeout(ask: Client) -> None:
    assert isinstance(ask("GET", MAPS, watch="1", timeout="invalid"), Watch)
