"""`netproxy proxy` against an API server over HTTPS, in a namespace of its own: rules, health, outages, the end."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import wait_until
from support.realnode import ENDPOINTS, NODE, RealNode, web

from netproxy.linux import netns

A, B = ENDPOINTS
WAYS = {
    "iptables": ("--proxy-mode", "iptables", "--iptables", "nft"),
    "iptables-legacy": ("--proxy-mode=iptables", "--iptables=legacy"),
    "nftables": ("--proxy-mode", "nftables"),
    "flat": ("--proxy-mode", "nftables", "--nftables-layout", "flat"),
    "userspace": ("--proxy-mode", "userspace"),
}
MODES = [*(pytest.param(args, id=way) for way, args in WAYS.items()),
         pytest.param(("--proxy-mode", "ipvs"), id="ipvs", marks=pytest.mark.ipvs)]  # fmt: skip


@pytest.fixture
def node(namespace: str, tmp_path: Path) -> Iterator[RealNode]:
    made = RealNode(namespace, tmp_path)
    try:
        yield made
    finally:
        made.close()


def ended(process, limit_s: float = 5) -> int:
    """The exit status of a process that is told to end, within the time that it has."""
    process.send_signal(signal.SIGTERM)
    return process.wait(limit_s)


@pytest.mark.parametrize("args", MODES)
def test_a_service_is_served_and_follows_its_endpoints(args: tuple[str, ...], node: RealNode) -> None:
    process = node.start(*args)
    node.answers(A)
    node.api.put(web(B))
    node.answers(B)
    before = node.rules()
    assert ended(process) == 0
    assert node.rules() == before, "the rules stay"
    if "userspace" not in args:
        assert node.answer() == B
    node.clean_up()
    assert "KUBE" not in node.rules()
    assert "kube-proxy" not in node.rules()


@pytest.mark.parametrize("args", [pytest.param(WAYS[way], id=way) for way in ("iptables", "nftables", "userspace")])
def test_without_the_api_the_rules_stay_and_changes_come_later(args: tuple[str, ...], node: RealNode) -> None:
    node.start(*args)
    node.answers(A)
    kept, before = node.dial(), node.rules()
    node.api.stop()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert node.answer() == A
        kept.sendall(b"?\n")
        assert kept.recv(100) == f"{A}\n".encode()
    assert node.rules() == before
    node.api.put(web(B))
    node.api.start()
    node.answers(B, 35)
    kept.sendall(b"?\n")
    assert kept.recv(100) == f"{A}\n".encode(), "a connection lives on"
    kept.close()


def test_a_server_that_refuses_and_forgets_and_drops(node: RealNode) -> None:
    server = node.api.server
    server.initial_events = 422
    server.faults["list"].extend([500, "cut", (429, "0")])
    node.start()
    node.answers(A)
    for address, fault in ((B, "garbage"), (A, "half a line"), (B, "error 410"), (A, "error 500"), (B, 410)):

        def misbehave(fault: object = fault) -> None:
            server.faults["watch"].extend([fault] * 3)
            node.api.etcd.cut()
            node.api.etcd.compact()

        node.api.do(misbehave)
        node.api.put(web(address))
        node.answers(address, 35)


NO_HEADLESS, NO_NAME = "%21service.kubernetes.io%2Fheadless", "%21service.kubernetes.io%2Fservice-proxy-name"


@pytest.mark.parametrize(
    ("version", "of_services", "of_slices"),
    [
        pytest.param("1.30", f"{NO_HEADLESS}%2C{NO_NAME}", f"{NO_HEADLESS}%2C{NO_NAME}", id="1.30"),
        pytest.param("1.36", NO_NAME, NO_HEADLESS, id="1.36"),
    ],
)
def test_it_asks_for_as_little_as_kube_proxy(version: str, of_services: str, of_slices: str, node: RealNode) -> None:
    node.start("--proxy-mode", "nftables", "--kube-proxy-version", version)
    node.answers(A)
    asked = "\n".join(node.api.server.asked)
    for path, ours in (("/api/v1/services", of_services), ("/apis/discovery.k8s.io/v1/endpointslices", of_slices)):
        assert re.search(rf"{path}\?\S*labelSelector={ours}(&|$)", asked, re.MULTILINE), asked
    assert "fieldSelector=metadata.name%3Dnode1" in asked
    assert "servicecidrs" in asked
    assert "/pods" not in asked


def test_what_it_says_of_itself(node: RealNode) -> None:
    node.start("--proxy-mode", "nftables", "--cluster-cidr=10.244.0.0/16", "--masquerade-all", "--v=4")
    node.answers(A)
    status, headers, body = node.get(10256, "/healthz")
    said = json.loads(body)
    assert (status, headers["Content-Type"], headers["X-Content-Type-Options"]) == (200, "application/json", "nosniff")
    assert list(said) == ["lastUpdated", "currentTime", "nodeEligible", "healthy", "status"]
    assert said["nodeEligible"] is said["healthy"] is said["status"]["IPv4"]["healthy"] is True
    assert "nodeEligible" not in json.loads(node.get(10256, "/livez")[2])
    assert node.get(10256, "/metrics")[0] == 404
    assert node.get(10249, "/proxyMode")[2] == "nftables"
    config = json.loads(node.get(10249, "/configz")[2])["kubeproxy.config.k8s.io"]
    assert (config["kind"], config["clusterCIDR"]) == ("KubeProxyConfiguration", "10.244.0.0/16")
    assert config["nftables"]["masqueradeAll"] is True
    status, headers, metrics = node.get(10249, "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in ('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} ',
                 'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv6"} ',
                 'kubeproxy_proxy_healthz_total{code="200"} 1.0', "kubeproxy_sync_proxy_rules_service_changes_total 1.0",
                 "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0.0", "process_resident_memory_bytes "):  # fmt: skip
        assert f"\n{line}" in metrics


def test_a_node_that_is_about_to_go_takes_no_new_connections(node: RealNode) -> None:
    node.start()
    node.answers(A)
    taint = {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}
    node.api.put({**NODE, "spec": {"taints": [taint]}})
    wait_until(lambda: node.get(10256, "/healthz")[0] == 503)
    assert json.loads(node.get(10256, "/healthz")[2])["nodeEligible"] is False
    assert node.get(10256, "/livez")[0] == 200
    node.api.put(NODE)
    wait_until(lambda: node.get(10256, "/healthz")[0] == 200)


def test_the_mode_and_the_settings_of_a_file_win_over_flags(node: RealNode, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("""
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
metricsBindAddress: 127.0.0.1:10300
nftables: {minSyncPeriod: 0s}
""")
    node.start("--config", str(file), "--proxy-mode", "iptables", "--hostname-override=node1")
    node.answers(A)
    assert node.get(10300, "/proxyMode")[2] == "nftables"


def test_a_port_that_is_taken_is_tried_again_or_ends_it(node: RealNode) -> None:
    with netns.visiting(node.namespace):
        taken = socket.create_server(("0.0.0.0", 10256))
    hard = node.start("--bind-address-hard-fail")
    assert hard.wait(20) == 1
    assert "cannot listen on 0.0.0.0:10256" in node.log()
    node.start()
    node.answers(A)
    taken.close()
    wait_until(lambda: _status(node) == 200)


def _status(node: RealNode) -> int:
    try:
        return node.get(10256, "/healthz")[0]
    except OSError:
        return 0


def test_it_waits_for_an_api_that_is_not_there_yet(node: RealNode) -> None:
    kubeconfig = node.api.kubeconfig()
    node.api.stop()
    node.start(kubeconfig=kubeconfig)
    wait_until(lambda: "the API does not tell" in node.log())
    assert "KUBE-SERVICES" not in node.rules(), "nothing is done on a guess"
    assert node.get(10256, "/livez")[0] == 200
    node.api.start()
    node.answers(A, 35)


def test_it_ends_in_time_though_the_kernel_keeps_it_waiting(node: RealNode, tmp_path: Path) -> None:
    tool, mark = tmp_path / "bin" / "iptables-nft-restore", tmp_path / "asked"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ntouch {mark}\nexec sleep 60\n")
    tool.chmod(0o755)
    process = node.start("--iptables=nft", path=tool.parent)
    wait_until(mark.exists)
    assert ended(process) == 0


def test_what_is_wrong_with_flags_is_said_before_anything_begins(node: RealNode) -> None:
    for args, said in (
        (("--proxy-mode", "magic"), '--proxy-mode: Unsupported value: "magic"'),
        (("--cluster-cidr", "10.0.0.0/99"), "--cluster-cidr: Invalid value"),
        (("--healthz-bind-address", "here"), "--healthz-bind-address: Invalid value"),
        (("--no-such-flag",), "No such option"),
    ):
        assert node.start(*args).wait(20) == 2
        assert said in node.log()
