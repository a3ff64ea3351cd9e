"""Specs of any size for the benchmarks, the same for the same arguments."""

from __future__ import annotations

import json
import sys
from typing import Any


def services(count: int, endpoints: int = 3) -> list[dict[str, Any]]:
    """COUNT ClusterIP Services with one port and one EndpointSlice of ENDPOINTS each."""
    items: list[dict[str, Any]] = []
    for n in range(count):
        meta = {"name": f"svc-{n:05d}", "namespace": "bench"}
        ip = f"10.{96 + (n >> 16)}.{n >> 8 & 255}.{n & 255}"
        port = {"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}
        items.append({"apiVersion": "v1", "kind": "Service", "metadata": meta,
                      "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "ports": [port]}})  # fmt: skip
        items.append(slice_of(n, [n * endpoints + e for e in range(endpoints)]))
    return items


def slice_of(n: int, numbers: list[int]) -> dict[str, Any]:
    """The EndpointSlice of Service N with the endpoints of these numbers."""
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"svc-{n:05d}-1", "namespace": "bench",
                     "labels": {"kubernetes.io/service-name": f"svc-{n:05d}"}},
        "endpoints": [
            {"addresses": [f"10.{160 + (a >> 16)}.{a >> 8 & 255}.{a & 255}"], "nodeName": f"node{a % 3 + 1}",
             "conditions": {"ready": True, "serving": True, "terminating": False}}
            for a in numbers
        ],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }  # fmt: skip


if __name__ == "__main__":
    json.dump({"apiVersion": "v1", "kind": "List", "items": services(int(sys.argv[1]))}, sys.stdout)
