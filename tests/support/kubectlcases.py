"""Recorded kubectl commands (tests/cases/kubectl/recorded), and a kubelet that runs nothing: its one node is ready, its Pods run at once.

A case is a folder: `setup` (commands before it), `command`, files, and what kubectl 1.36.2 printed of a real cluster: stdout, stderr, exit.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from support.kubectl import ROOT, Cluster

RECORDED = ROOT / "recorded"
_H = "bcdfghjklmnpqrstvwxz2456789"
_YEAR = r"20(?:2[1-9]|[3-9]\d)"
_MASKS = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(rf"{_YEAR}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(rf"\w{{3}}, \d\d \w{{3}} {_YEAR} \d\d:\d\d:\d\d [+-]\d{{4}}"), "<time>"),
    (re.compile(r"(resourceVersion=|resourceVersion(?:\\?\"|'|): ?(?:\\?\"|'))\d+"), r"\1<rv>"),
    (re.compile(r"\b10\.96\.(?:0\.25[7-9]|[1-9]\d*\.\d+)\b"), "<ip4>"),
    (re.compile(r"\bfd00:10:96::(?:1(?!00\b|0[01]\b)[0-9a-f]{2}|[2-9a-f][0-9a-f]{2}|[0-9a-f]{4})\b"), "<ip6>"),
    (re.compile(r"\b10\.244\.\d+\.\d+\b"), "<podip>"),
    (
        re.compile(
            r"((?::|nodePort: |nodePort\":\s?|\s))(?:30(?:08[6-9]|09\d|[1-9]\d\d)|31\d{3}|32[0-6]\d\d|327[0-5]\d|3276[0-7])\b"
        ),
        r"\1<port>",
    ),
    (re.compile(rf"-[{_H}]{{8,10}}-[{_H}]{{5}}\b"), "-<hash>-<rand>"),
    (re.compile(rf"-[{_H}]{{8,10}}\b"), "-<hash>"),
    (re.compile(r"(pod-template-hash(?:=|: ))\w+"), r"\1<hash>"),
    (re.compile(r"(controller-revision-hash(?:=|: ))\S+"), r"\1<hash>"),
    (re.compile(r"X509SHA256=[0-9a-f]{64}"), "X509SHA256=<hash>"),
    (re.compile(rf"{_YEAR}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}} UTC"), "<time>"),
    (re.compile(rf"(?m)^(\S*[a-z0-9])-[{_H}]{{5}}(?=\s)"), r"\1-<rand>"),
]


_AGE = re.compile(r"(?<![=\w.:%-])(?:\d+(?:ms|s|m|h|d)){1,2}(?=[\s)]|$)")
RACES = {"get-watch"}
"""Cases in which two programs print at the same time: any order of lines is good."""


def masked(text: str, namespace: str, server: str, folder: Path) -> str:
    """What a command printed, without what differs from one run to the next."""
    text = (
        text.replace(server, "<server>")
        .replace(namespace, "<ns>")
        .replace(f"{folder}/", "")
        .replace(str(folder), "<dir>")
    )
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    lines = []
    for line in text.split("\n"):
        if not line.startswith("Waiting for "):
            line = line if re.match(r"\s*(?:cpu|memory):", line) else _AGE.sub("<age>", line)
            indent = re.match(r" *", line)[0]
            lines.append((indent + re.sub(r"[ \t]{2,}|\t", "  ", line[len(indent) :])).rstrip())
    return "\n".join(lines)


def differences(cluster: Cluster, case: Path, home: Path) -> list[str]:
    """What a case prints that it did not print of a real cluster."""
    with cluster.namespace(home) as (namespace, env):
        setup = case / "setup"
        if setup.exists():
            _bash("-e", str(setup), folder=case, env=env)
        done = _bash("-c", (case / "command").read_text(), folder=case, env=env)
    heard = {
        "exit": f"{done.returncode}\n",
        **{
            name: masked(text, namespace, cluster.server, case)
            for name, text in (("stdout", done.stdout), ("stderr", done.stderr))
        },
    }
    return [
        f"{case.name}: {name}\n--- a real cluster\n{wanted}--- netproxy\n{found}"
        for name, found in heard.items()
        if found != (wanted := (case / name).read_text())
        and (case.name not in RACES or sorted(found.splitlines()) != sorted(wanted.splitlines()))
    ]


def _bash(*words: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", *words], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90
    )


class Kubelet:
    """One node that is always ready, whose Pods run at once and end at once."""

    def __init__(self, cluster: Cluster) -> None:
        at = urlsplit(cluster.server)
        self._at = (at.hostname, at.port)
        self._tls = ssl.create_default_context(cafile=str(cluster.kubeconfig.with_name("ca.crt")))
        self._tls.load_cert_chain(cluster.kubeconfig.with_name("admin.crt"), cluster.kubeconfig.with_name("admin.key"))
        self._ended = threading.Event()
        self._pods = 1

    @contextmanager
    def running(self) -> Iterator[None]:
        self._ask("POST", "/api/v1/nodes", {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1", "kubernetes.io/os": "linux"}},
        })  # fmt: skip
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        spec = {"holderIdentity": "node-1", "leaseDurationSeconds": 40}
        self._ask(
            "POST",
            lease,
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "node-1"}, "spec": spec},
        )
        self._beat()
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(10)

    def _work(self) -> None:
        looks = 0
        while not self._ended.wait(0.15):
            looks += 1
            if looks % 50 == 0:
                self._beat()
            for pod in self._ask("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1").get("items", ()):
                self._look_after(pod)

    def _look_after(self, pod: dict[str, Any]) -> None:
        meta, status = pod["metadata"], pod.get("status") or {}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        if meta.get("deletionTimestamp"):
            self._ask("DELETE", path, {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}})
        elif status.get("phase") == "Pending":
            self._pods += 1
            address = f"10.244.{self._pods // 250}.{self._pods % 250 + 1}"
            true = [{"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in _CONDITIONS]
            containers = [
                {"name": c["name"], "image": c["image"], "imageID": "", "containerID": f"netproxy://{c['name']}", "ready": True,
                 "started": True, "restartCount": 0, "state": {"running": {"startedAt": _now()}}} for c in pod["spec"]["containers"]
            ]  # fmt: skip
            self._merge(f"{path}/status", {"status": {
                "phase": "Running", "hostIP": "192.0.2.11", "hostIPs": [{"ip": "192.0.2.11"}], "podIP": address,
                "podIPs": [{"ip": address}], "startTime": _now(), "conditions": true, "containerStatuses": containers,
            }})  # fmt: skip

    def _beat(self) -> None:
        size = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                 "lastHeartbeatTime": _now(), "lastTransitionTime": "2020-01-01T00:00:00Z"}  # fmt: skip
        self._merge("/api/v1/nodes/node-1/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": "192.0.2.11"}], "capacity": size, "allocatable": size,
            "conditions": [ready], "nodeInfo": {
                "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "6.1.0", "osImage": "Debian GNU/Linux 12",
                "containerRuntimeVersion": "netproxy://1", "kubeletVersion": "v1.36.2", "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": "amd64",
            },
        }})  # fmt: skip
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1"
        self._merge(lease, {"spec": {"renewTime": _now().replace("Z", ".000000Z")}})

    def _merge(self, path: str, body: dict[str, Any]) -> None:
        self._ask("PATCH", path, body, "application/merge-patch+json")

    def _ask(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> dict[str, Any]:
        connection = http.client.HTTPSConnection(*self._at, context=self._tls, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


_CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


def _now() -> str:

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
