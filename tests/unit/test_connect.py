"""What is asked of a Pod's streams, and the words of a real kube-apiserver 1.36.2 for what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import Client

from netproxy.apiserver.connect import (
    Kubelet,
    LogOptions,
    PortForward,
    Stream,
    Terminal,
    log_refused,
)
from netproxy.apiserver.request import Request

PODS = "/api/v1/namespaces/default/pods"
ADDRESSES = [
    {"type": "ExternalIP", "address": "192.0.2.1"}, {"type": "InternalIP", "address": "10.0.0.1"},
    {"type": "InternalIP", "address": "10.0.0.2"},
]  # fmt: skip


def pod(name: str, *containers: str, **spec: Any) -> dict[str, Any]:
    listed = [{"name": each, "image": "x"} for each in containers or ("c",)]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": listed, **spec}}


@pytest.fixture
def ask() -> Client:
    client = Client()
    for name, told in (("near", ADDRESSES), ("named", [{"type": "Hostname", "address": "host"}]), ("bare", [])):
        client("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        body = {"status": {"addresses": told, "daemonEndpoints": {"kubeletEndpoint": {"Port": 7 * (name == "named")}}}}
        client("PATCH", f"/api/v1/nodes/{name}/status", body, "application/merge-patch+json")
    several = pod("two", "c", "d", initContainers=[{"name": "i", "image": "x"}], nodeName="near")
    placed = [pod(f"on-{node}", nodeName=node) for node in ("near", "named", "bare")]
    for each in (pod("idle"), several, *placed):
        assert client("POST", PODS, each)[0] == 201
    return client


def stream(ask: Client, path: str, **query: str) -> Stream:
    answer = ask("GET", f"{PODS}/{path}", **query)
    assert isinstance(answer, Stream), answer
    return answer


NO_NUMBER = 'strconv.ParseInt: parsing "abc": invalid syntax'
TOO_LARGE = 'strconv.ParseInt: parsing "9223372036854775808": value out of range'
NO_TIME = 'parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006"'
CHOOSE = "a container name must be specified for pod two, choose one of: [i c d]"


@pytest.mark.parametrize(
    ("method", "path", "query", "code", "message"),
    [
        ("GET", "nope/log", {}, 404, 'pods "nope" not found'),
        ("GET", "nope/exec", {}, 404, 'pods "nope" not found'),
        ("GET", "nope/portforward", {}, 404, 'pods "nope" not found'),
        ("GET", "idle/log", {"container": "zz"}, 400, "container zz is not valid for pod idle"),
        ("GET", "two/log", {}, 400, CHOOSE),
        ("POST", "two/attach", {}, 400, CHOOSE),
        ("GET", "idle/exec", {"command": "a"}, 400, "pod idle does not have a host assigned"),
        ("GET", "idle/exec", {"container": "zz"}, 400, "container zz is not valid for pod idle"),
        ("POST", "idle/portforward", {}, 400, "pod idle does not have a host assigned"),
        ("GET", "on-near/portforward", {"ports": "80,0"}, 400, 'port "0" must be between 1 and 65535, inclusive'),
        ("GET", "on-bare/log", {}, 500, "no preferred addresses found; known addresses: []"),
        ("GET", "idle/log", {"tailLines": "abc"}, 400, NO_NUMBER),
        ("GET", "idle/log", {"limitBytes": "9223372036854775808"}, 400, TOO_LARGE),
        ("GET", "idle/log", {"sinceTime": "abc"}, 400, NO_TIME),
        ("GET", "idle/log", {"sinceTime": "2020-13-01T00:00:00Z"}, 400, 'parsing time "2020-13-01T00:00:00Z": out of range'),
        ("POST", "idle/log", {}, 405, "the server does not allow this method on the requested resource"),
        ("PUT", "on-near/exec", {}, 405, "the server does not allow this method on the requested resource"),
        ("DELETE", "on-near/portforward", {}, 405, "the server does not allow this method on the requested resource"),
        ("GET", "idle/log/a", {}, 404, "the server could not find the requested resource"),
    ],
)  # fmt: skip
def test_what_cannot_be(ask: Client, method: str, path: str, query: dict[str, str], code: int, message: str) -> None:
    status, said = ask(method, f"{PODS}/{path}", **query)
    assert (status, said["code"], said["message"]) == (code, code, message)


def test_every_wrong_option_of_a_log_is_told(ask: Client) -> None:
    code, said = ask("GET", f"{PODS}/idle/log", tailLines="-1", limitBytes="0", sinceSeconds="0", stream="Stdout")
    assert (code, said["reason"]) == (422, "Invalid")
    assert said["message"] == (
        'PodLogOptions "idle" is invalid: [tailLines: Invalid value: -1: must be greater than or equal to 0, '
        "limitBytes: Invalid value: 0: must be greater than 0, sinceSeconds: Invalid value: 0: must be greater than 0, "
        "stream: Forbidden: may not be specified]"
    )
    assert (said["details"]["name"], said["details"]["kind"]) == ("idle", "PodLogOptions")
    assert "group" not in said["details"]


def test_a_log_is_since_one_moment(ask: Client) -> None:
    code, said = ask("GET", f"{PODS}/idle/log", sinceSeconds="0", sinceTime="2020-01-01T00:00:00Z")
    why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
    assert (code, said["message"]) == (422, f'PodLogOptions "idle" is invalid: []: {why}')
    assert said["details"]["causes"] == [{"reason": "FieldValueForbidden", "message": why, "field": "[]"}]


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, LogOptions()),
        ({"follow": "true", "previous": "1", "timestamps": "yes"}, LogOptions(follow=True, previous=True, timestamps=True)),
        ({"follow": "false", "sinceTime": ""}, LogOptions()),
        ({"tailLines": "+3", "limitBytes": "10", "sinceSeconds": "5"}, LogOptions(tail=3, limit=10, since_s=5)),
        ({"sinceTime": "1970-01-01T01:00:00.5+01:00"}, LogOptions(since=0.5)),
    ],
)  # fmt: skip
def test_which_part_of_a_log_is_wanted(ask: Client, query: dict[str, str], options: LogOptions) -> None:
    assert stream(ask, "two/log", container="i", **query).wanted == options


def test_where_a_pod_is_reached(ask: Client) -> None:
    assert stream(ask, "idle/log").kubelet is None
    assert stream(ask, "on-near/log").kubelet == Kubelet("near", "10.0.0.1", 10250)
    assert stream(ask, "on-named/log").kubelet == Kubelet("named", "host", 7)


def test_a_command_and_its_streams(ask: Client) -> None:
    query = {"stdin": "1", "stdout": "true", "tty": "true"}
    found = ask.api.handle(
        Request("POST", f"{PODS}/on-near/exec", {**query, "command": "a"}, repeated={"command": ("a", "b")})
    )
    assert isinstance(found, Stream)
    assert found.container == "c"
    assert found.wanted == Terminal(("a", "b"), stdin=True, stdout=True, tty=True)
    assert stream(ask, "on-near/attach", stderr="1").wanted == Terminal(None, stderr=True)


def test_ports_that_are_said_at_once(ask: Client) -> None:
    assert stream(ask, "on-near/portforward").wanted == PortForward()
    assert stream(ask, "on-near/portforward", ports="80,443").wanted == PortForward((80, 443))


RUNNING, ENDED, FAILED = {"running": {}}, {"terminated": {"exitCode": 0}}, {"terminated": {"exitCode": 1}}


@pytest.mark.parametrize(
    ("state", "last", "previous", "why"),
    [
        (RUNNING, {}, False, ""),
        (ENDED, {}, False, ""),
        (RUNNING, FAILED, True, ""),
        (RUNNING, {}, True, 'previous terminated container "c" in pod "p" not found'),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, FAILED, False, ""),
        ({"waiting": {"reason": "ContainerCreating"}}, {}, False, 'container "c" in pod "p" is waiting to start: ContainerCreating'),
        ({"waiting": {"reason": "ErrImagePull"}}, {}, False, 'container "c" in pod "p" is waiting to start: image can\'t be pulled'),
        ({}, {}, False, 'container "c" in pod "p" is waiting to start - no logs yet'),
    ],
)  # fmt: skip
def test_what_a_kubelet_says_of_a_log(state: Any, last: Any, previous: bool, why: str) -> None:
    told = {
        "metadata": {"name": "p"},
        "status": {"containerStatuses": [{"name": "c", "state": state, "lastState": last}]},
    }
    assert log_refused(told, "c", previous=previous) == why


def test_a_container_of_which_nothing_is_known() -> None:
    assert (
        log_refused({"metadata": {"name": "p"}, "status": {}}, "c", previous=False)
        == 'container "c" in pod "p" is not available'
    )
