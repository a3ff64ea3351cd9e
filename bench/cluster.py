"""Whole clusters: from the command to the first answer; sizes of processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.table import Row

REPO = Path(__file__).parents[1]
NAME = "npbench"
SPEC = "\n---\n".join(
    [
        "apiVersion: netproxy.dev/v1alpha1\nkind: Cluster\nspec: {nodes: 3}",
        *(
            f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: app{n}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: app{n}}}}}
  template:
    metadata: {{labels: {{app: app{n}}}}}
    spec: {{containers: [{{name: c, image: agnhost, args: [netexec, --http-port=8080]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: app{n}}}
spec: {{clusterIP: 10.96.0.{100 + n}, selector: {{app: app{n}}}, ports: [{{port: 80, targetPort: 8080}}]}}"""
            for n in range(5)
        ),
    ]
)


def _run(env: dict[str, str], *args: str, stdin: str | None = None) -> str:
    return subprocess.run(
        [sys.executable, "-m", "netproxy", *args],
        env=env,
        input=stdin,
        text=True,
        check=True,
        capture_output=True,
        cwd=REPO,
    ).stdout


def up() -> list[Row]:
    times = []
    for _ in range(5):
        state = tempfile.mkdtemp(prefix="npb-")
        env = {**os.environ, "NETPROXY_STATE": state, "NETPROXY_CLUSTER": NAME}
        try:
            begun = time.perf_counter()
            _run(env, "up", "-f", "-", stdin=SPEC)
            curl = [
                "ip",
                "netns",
                "exec",
                f"{NAME}-client",
                "curl",
                "-s",
                "--max-time",
                "2",
                "http://10.96.0.100/hostname",
            ]
            assert subprocess.run(curl, check=True, capture_output=True, text=True).stdout.startswith("app0")
            times.append(time.perf_counter() - begun)
        finally:
            _run(env, "down")
            shutil.rmtree(state, ignore_errors=True)
    return [Row("3 nodes, 10 Pods, 5 Services: command to first answer", sorted(times)[2], 0, "s", "< 1 s")]


def size() -> list[Row]:
    state = tempfile.mkdtemp(prefix="npb-")
    env = {**os.environ, "NETPROXY_STATE": state, "NETPROXY_CLUSTER": NAME}
    try:
        _run(env, "up", "-f", "-", stdin=SPEC)
        pid = json.loads(_run(env, "status", "-o", "json"))["agent"]["pid"]
        status = Path(f"/proc/{pid}/status").read_text()
        resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    finally:
        _run(env, "down")
        shutil.rmtree(state, ignore_errors=True)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        _run(env, "--help")
        times.append((time.perf_counter() - begun) * 1000)
    return [
        Row("`netproxy --help`", min(times), 0, "ms", "< 100 ms"),
        Row("memory of the agent with 10 Pods", resident_kb / 1024, 0, "MB", "< 60 MB"),
    ]
