"""`metrics.k8s.io`: what Pods and Nodes use, as metrics-server tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from support.api import Client
from support.build import FixedClock

from netproxy.apiserver.metrics import Measured, Usage
from netproxy.apiserver.routes import Api
from netproxy.core.names import NamespacedName

GROUP = "/apis/metrics.k8s.io/v1beta1"


class Meter:
    def __init__(self, pods: Mapping[str, Mapping[str, Usage]]) -> None:
        self._pods = pods

    def usage(self) -> Measured:
        pods = {NamespacedName("default", name): used for name, used in self._pods.items()}
        return Measured(15.25, ("n1", "n2"), pods)


@pytest.fixture
def ask() -> Client:
    client = Client()
    meter = Meter(
        {"a": {"d": Usage(2_000_000, 2048), "c": Usage(1, 1024)}, "b": {"c": Usage()}, "gone": {"c": Usage(1, 1)}}
    )
    client.api = Api(client.registry, FixedClock(), meter=meter)
    for node in ("n1", "n2", "foreign"):
        client("POST", "/api/v1/nodes", {"metadata": {"name": node, "labels": {"zone": node}}})
    for pod, node in (("a", "n1"), ("b", "n1"), ("idle", "n2"), ("elsewhere", "foreign")):
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "x"}]}
        body = {"metadata": {"name": pod, "labels": {"app": pod} if pod == "a" else {}}, "spec": spec}
        assert client("POST", "/api/v1/namespaces/default/pods", body)[0] == 201
    return client


def test_a_pod(ask: Client) -> None:
    code, said = ask("GET", f"{GROUP}/namespaces/default/pods/a")
    at = said["timestamp"]
    assert (code, said) == (200, {
        "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1", "timestamp": at, "window": "15.25s",
        "metadata": {"name": "a", "namespace": "default", "creationTimestamp": at, "labels": {"app": "a"}},
        "containers": [{"name": "c", "usage": {"cpu": "1n", "memory": "1Ki"}}, {"name": "d", "usage": {"cpu": "2000000n", "memory": "2Ki"}}],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        ("pods", {}, ["a", "b"]),
        ("namespaces/default/pods", {}, ["a", "b"]),
        ("namespaces/other/pods", {}, []),
        ("pods", {"labelSelector": "app=a"}, ["a"]),
        ("pods", {"fieldSelector": "metadata.name=b"}, ["b"]),
        ("nodes", {}, ["n1", "n2"]),
        ("nodes", {"labelSelector": "zone=n2"}, ["n2"]),
    ],
)
def test_many(ask: Client, path: str, query: dict[str, str], names: list[str]) -> None:
    code, said = ask("GET", f"{GROUP}/{path}", **query)
    assert (code, said["kind"]) == (200, "NodeMetricsList" if path == "nodes" else "PodMetricsList")
    assert [item["metadata"]["name"] for item in said["items"]] == names


def test_a_node_uses_what_its_pods_use(ask: Client) -> None:
    assert ask("GET", f"{GROUP}/nodes/n1")[1]["usage"] == {"cpu": "2000001n", "memory": "3Ki"}
    assert ask("GET", f"{GROUP}/nodes/n2")[1]["usage"] == {"cpu": "0", "memory": "0Ki"}


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "namespaces/default/pods/idle", 404, 'podmetrics.metrics.k8s.io "default/idle" not found'),
        ("GET", "nodes/foreign", 404, 'nodemetrics.metrics.k8s.io "foreign" not found'),
        ("POST", "nodes", 405, "the server does not allow this method on the requested resource"),
        ("DELETE", "namespaces/default/pods/a", 405, "the server does not allow this method on the requested resource"),
    ],
)
def test_what_cannot_be(ask: Client, method: str, path: str, code: int, message: str) -> None:
    status, said = ask(method, f"{GROUP}/{path}")
    assert (status, said["message"]) == (code, message)


def test_it_is_served_where_something_is_measured(ask: Client) -> None:
    def groups(client: Client) -> list[str]:
        answer: Any = client("GET", "/apis")
        return [group["name"] for group in answer[1]["groups"]]

    assert "metrics.k8s.io" in groups(ask)
    assert "metrics.k8s.io" not in groups(Client())
    listed = ask("GET", GROUP)[1]["resources"]
    assert [(each["name"], each["kind"], each["verbs"]) for each in listed] == [
        ("nodes", "NodeMetrics", ["get", "list"]), ("pods", "PodMetrics", ["get", "list"]),
    ]  # fmt: skip
    assert Client()("GET", f"{GROUP}/nodes").status == 404  # type: ignore[union-attr]
