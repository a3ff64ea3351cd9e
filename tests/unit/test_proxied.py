"""To whom requests below `proxy` are passed on, and what a real kube-apiserver 1.36.2 says when that is nobody."""

from __future__ import annotations

from typing import Any

import pytest
from support.api import Client

from netproxy.apiserver.proxied import Proxied
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import ENDPOINTS, PODS

BASE = "/api/v1/namespaces/default"
MERGE = "application/merge-patch+json"


def put_pod(client: Client, name: str, ips: list[str], *ports: int) -> None:
    containers = [
        {"name": "a", "image": "x"},
        {"name": "b", "image": "x", "ports": [{"containerPort": p} for p in ports]},
    ]
    assert client("POST", f"{BASE}/pods", {"metadata": {"name": name}, "spec": {"containers": containers}})[0] == 201
    status = {"podIPs": [{"ip": ip} for ip in ips], "podIP": ips[0] if ips else ""}
    assert client("PATCH", f"{BASE}/pods/{name}/status", {"status": status}, MERGE)[0] == 200


def put_node(client: Client, name: str, *addresses: tuple[str, str], port: int = 0) -> None:
    client("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    told = [{"type": kind, "address": address} for kind, address in addresses]
    body = {"status": {"addresses": told, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}}
    assert client("PATCH", f"/api/v1/nodes/{name}/status", body, MERGE)[0] == 200


def put_service(client: Client, name: str, *ports: tuple[str, int]) -> None:
    spec = {"ports": [{"name": each, "port": port} for each, port in ports]}
    assert client("POST", f"{BASE}/services", {"metadata": {"name": name}, "spec": spec})[0] == 201


def put_slice(
    client: Client, service: str, address: str, pod: str, *, ready: bool = True, namespace: str = "default"
) -> None:
    reference = {"kind": "Pod", "name": pod, "namespace": namespace}
    body = {
        "metadata": {"generateName": service, "labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}, "targetRef": reference}],
        "ports": [{"name": "http", "port": 8080}, {"name": "other", "port": 9090}],
    }  # fmt: skip
    assert client("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", body)[0] == 201


@pytest.fixture
def ask() -> Client:
    client = Client()
    put_pod(client, "web", ["10.244.0.5", "fd00::5"], 80, 81)
    put_pod(client, "bare", ["10.244.0.6"])
    put_pod(client, "six", ["fd00::7"])
    put_pod(client, "none", [])
    put_pod(client, "local", ["127.0.0.1"])
    put_node(client, "near", ("Hostname", "near"), ("InternalIP", "172.18.0.2"))
    put_node(client, "far", ("ExternalIP", "192.0.2.1"), port=7)
    put_node(client, "here", ("InternalIP", "127.0.0.1"))
    put_node(client, "named", ("Hostname", "named"))
    put_service(client, "web", ("http", 80), ("other", 90))
    put_slice(client, "web", "10.244.0.5", "web")
    put_slice(client, "web", "10.244.0.6", "bare", ready=False)
    put_slice(client, "web", "10.244.0.9", "web")
    put_slice(client, "web", "10.244.0.9", "gone")
    put_slice(client, "web", "10.244.0.6", "bare", namespace="elsewhere")
    put_slice(client, "else", "10.244.0.6", "bare")
    put_service(client, "empty", ("", 80))
    put_service(client, "written", ("", 80))
    put_service(client, "alone", ("", 80))
    reference = {"kind": "Pod", "name": "bare", "namespace": "default"}
    subsets = [
        {"addresses": [{"ip": "10.244.0.6", "targetRef": reference}, {"ip": "192.0.2.9"}], "ports": [{"port": 8080}]},
        {"addresses": [{"ip": "10.244.0.6", "targetRef": reference}], "ports": [{"name": "x", "port": 1}]},
        {"notReadyAddresses": [{"ip": "10.244.0.5"}]},
    ]
    for name, told in (("written", subsets), ("alone", [])):
        client("POST", f"{BASE}/endpoints", {"metadata": {"name": name}, "subsets": told})
        assert client.registry.store.find(ENDPOINTS, NamespacedName("default", name))
    return client


@pytest.mark.parametrize(
    ("path", "scheme", "addresses"),
    [
        ("pods/web/proxy", "http", [("10.244.0.5", "80")]),
        ("pods/web/proxy/a/b", "http", [("10.244.0.5", "80")]),
        ("pods/web:8080/proxy/", "http", [("10.244.0.5", "8080")]),
        ("pods/https:web:/proxy/", "https", [("10.244.0.5", "80")]),
        ("pods/bare/proxy/", "http", [("10.244.0.6", "")]),
        ("pods/bare:odd/proxy/", "http", [("10.244.0.6", "odd")]),
        ("pods/six:1/proxy/", "http", [("fd00::7", "1")]),
        ("services/web:http/proxy/", "http", [("10.244.0.5", "8080")]),
        ("services/https:web:90/proxy/", "https", [("10.244.0.5", "9090")]),
        ("services/written/proxy/", "http", [("10.244.0.6", "8080")]),
    ],
)
def test_whom_a_path_means(ask: Client, path: str, scheme: str, addresses: list[tuple[str, str]]) -> None:
    assert ask("GET", f"{BASE}/{path}") == Proxied(scheme, tuple(addresses), 8)


@pytest.mark.parametrize(
    ("path", "scheme", "address"),
    [
        ("near/proxy/", "https", ("172.18.0.2", "10250")),
        ("far/proxy/healthz", "https", ("192.0.2.1", "7")),
        ("far:7/proxy/", "https", ("192.0.2.1", "7")),
        ("near:10256/proxy/healthz", "http", ("172.18.0.2", "10256")),
    ],
)
def test_nodes(ask: Client, path: str, scheme: str, address: tuple[str, str]) -> None:
    assert ask("GET", f"/api/v1/nodes/{path}") == Proxied(scheme, (address,), 6)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_all_methods_are_passed_on(ask: Client, method: str) -> None:
    assert isinstance(ask(method, f"{BASE}/pods/web/proxy/"), Proxied)


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", f"{BASE}/pods/nope/proxy", 404, 'pods "nope" not found'),
        ("GET", f"{BASE}/pods/http:nope:80/proxy", 404, 'pods "nope" not found'),
        ("GET", f"{BASE}/pods/none/proxy", 400, "address not allowed"),
        ("GET", f"{BASE}/pods/local/proxy", 400, "address not allowed"),
        ("GET", f"{BASE}/pods/ftp:web:80/proxy", 400, 'invalid pod request "ftp:web:80"'),
        ("GET", f"{BASE}/pods/a:b:c:d/proxy", 400, 'invalid pod request "a:b:c:d"'),
        ("GET", f"{BASE}/services/:80/proxy", 400, 'invalid service request ":80"'),
        ("GET", f"{BASE}/services/nope/proxy", 404, 'services "nope" not found'),
        ("GET", f"{BASE}/services/web/proxy", 503, 'no endpoints available for service "web"'),
        ("GET", f"{BASE}/services/alone/proxy", 503, 'no endpoints available for service "alone"'),
        ("GET", f"{BASE}/services/https:empty:80/proxy", 503, 'no endpoints available for service "https:empty:80"'),
        ("GET", f"{BASE}/services/web:81/proxy", 503, 'no service port 81 found for service "web"'),
        ("GET", "/api/v1/nodes/nope/proxy", 404, 'nodes "nope" not found'),
        ("GET", "/api/v1/nodes/here/proxy/", 400, "address not allowed"),
        ("GET", "/api/v1/nodes/named/proxy/", 400, "address not allowed"),
        ("TRACE", f"{BASE}/pods/web/proxy", 405, "the server does not allow this method on the requested resource"),
        ("GET", f"{BASE}/pods/web/status/more", 404, "the server could not find the requested resource"),
    ],
)
def test_what_cannot_be(ask: Client, method: str, path: str, code: int, message: str) -> None:
    status, said = ask(method, path)
    assert (status, said["message"]) == (code, message)


def test_the_object_is_named_and_not_its_port(ask: Client) -> None:
    answer: Any = ask("GET", f"{BASE}/pods/http:nope:80/proxy")
    assert answer[1]["details"] == {"name": "nope", "kind": "pods"}


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "169.254.169.254", "fe80::1", "fe80::1%lo", "0.0.0.0", "::",
    "224.0.0.1", "ff02::1", "localhost", "127.1", "0x7f.1", "2130706433", "",
])  # fmt: skip
def test_nobody_is_led_to_this_machine_or_its_neighbours(ask: Client, address: str) -> None:
    put_service(ask, "mine", ("http", 80))
    endpoints = {
        "metadata": {"name": "mine"},
        "subsets": [{"addresses": [], "ports": [{"name": "http", "port": 8080}]}],
    }
    reference = {"kind": "Pod", "name": "mine", "namespace": "default"}
    ask("POST", f"{BASE}/pods", {"metadata": {"name": "mine"}, "spec": {"containers": [{"name": "a", "image": "x"}]}})
    with ask.registry.store.transaction() as change:  # however it came in
        pod = change.get(PODS, NamespacedName("default", "mine"))
        change.replace({**pod, "status": {"podIP": address, "podIPs": [{"ip": address}]}})
        endpoints["subsets"][0]["addresses"] = [{"ip": address, "targetRef": reference}]
        change.create(
            {**endpoints, "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "mine", "namespace": "default"}}
        )
    put_node(ask, "mine", ("InternalIP", "10.0.0.1"))
    for path in (f"{BASE}/pods/mine:80/proxy/", f"{BASE}/services/mine:80/proxy/", f"{BASE}/services/mine:http/proxy/"):
        code, said = ask("GET", path)
        if address or "pods" in path:
            assert (code, said["message"]) in (
                (400, "address not allowed"),
                (503, 'no endpoints available for service "mine:80"'),
            ), path
        assert code in (400, 503)


@pytest.mark.parametrize("port", ["9" * 5000, "0" * 5000 + "80", "\u0668\u0660", "-80", "+80", "8_0", "65536"])
def test_ports_that_no_service_has(ask: Client, port: str) -> None:
    put_service(ask, "mine", ("http", 80))
    code, said = ask("GET", f"{BASE}/services/mine:{port}/proxy/")
    assert code == 503, said
