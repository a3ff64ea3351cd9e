"""A Kubernetes API with a large cluster's objects in it, over HTTPS, in a process of its own; only netproxy's own parts.

`python -m bench.scale_api FOLDER ADDRESS SERVICES ENDPOINTS` writes FOLDER/kubeconfig, prints a line, and then obeys lines:
`change N`, `burst FIRST COUNT PER_SECOND`, `asked`. Each is answered by one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.specs import services, slice_of
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Answer, Api
from netproxy.linux.clock import SystemClock
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object
from netproxy.registry.registry import Registry
from netproxy.serve import certificates, http, tls
from netproxy.store.store import Store

NODES = 1000
"""The endpoints are spread over so many nodes."""
RANGES = ("10.96.0.0/12",)
SPARE = 1 << 19
"""Numbers from here on are those of endpoints that come later."""


class Counting(Api):
    """It notes what it is asked."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry, SystemClock())
        self.asked: list[str] = []

    def handle(self, request: Request) -> Answer:
        """Answer, and note the method and the path."""
        verb = "WATCH" if request.query.get("watch") == "true" else request.method
        self.asked.append(f"{verb} {request.path}")
        return super().handle(request)


def objects(count: int, endpoints: int) -> Iterator[Object]:
    """A Node, the range of Services, COUNT Services with their slices; as large as those of a real cluster are."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}
    yield {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
           "spec": {"cidrs": list(RANGES)}}  # fmt: skip
    yield {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"},
           "spec": {"podCIDR": "10.160.0.0/24", "podCIDRs": ["10.160.0.0/24"]},
           "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.2"}]}}  # fmt: skip
    for obj in services(count + 1, 0)[2:]:
        if obj["kind"] == "Service":
            yield {**obj, "metadata": {**obj["metadata"], "managedFields": _managed("f:spec", "kubectl")}}
    for n in range(1, count + 1):
        yield full_slice(n, [n * endpoints + e for e in range(endpoints)])


def full_slice(n: int, numbers: list[int]) -> Object:
    """A slice with everything that the controller of a real cluster puts into one."""
    made = slice_of(n, numbers)
    service = f"svc-{n:05d}"
    owner = {"apiVersion": "v1", "kind": "Service", "name": service, "uid": _uid(n), "controller": True,
             "blockOwnerDeletion": True}  # fmt: skip
    labels = {**made["metadata"]["labels"], "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    meta = {**made["metadata"], "generateName": f"{service}-", "labels": labels, "ownerReferences": [owner],
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
            "managedFields": _managed("f:endpoints", "kube-controller-manager")}  # fmt: skip
    for a, endpoint in zip(numbers, made["endpoints"], strict=True):
        pod = {"kind": "Pod", "namespace": "bench", "name": f"{service}-7d9c6b8f4-{a:06x}", "uid": _uid(a)}
        endpoint |= {"nodeName": f"node{a % NODES + 1}", "zone": f"zone-{a % 3}", "targetRef": pod}
    return {**made, "metadata": meta}


def _uid(n: int) -> str:
    return str(uuid.UUID(int=n << 64 | 0x4000_8000_0000_0000_0000))


def _managed(field: str, who: str) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {
        "f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/service-name": {}}},
        field: {},
        "f:ports": {},
    }
    return [{"manager": who, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": fields}]  # fmt: skip


class Obedient:
    """Does what the lines say."""

    def __init__(self, registry: Registry, api: Counting, endpoints: int) -> None:
        self._registry = registry
        self._api = api
        self._endpoints = endpoints
        self._changes = 0

    async def obey(self, words: list[str]) -> Any:
        """The answer to one line."""
        match words:
            case ["change", number]:
                return self._change(int(number))
            case ["burst", first, count, per_second]:
                for n in range(int(first), int(first) + int(count)):
                    self._change(n)
                    await asyncio.sleep(1 / float(per_second))
                return time.monotonic()
            case _:
                asked, self._api.asked = self._api.asked, []
                return asked

    def _change(self, n: int) -> float:
        """Let one Pod of Service N be another one; when that was."""
        self._changes += 1
        kept = [n * self._endpoints + e for e in range(self._endpoints - 1)]
        self._registry.apply([Loaded(full_slice(n, [*kept, SPARE + self._changes]), "bench")])
        return time.monotonic()


async def _serve(folder: Path, address: str, count: int, endpoints: int) -> None:
    clock = SystemClock()
    registry = Registry(Store(clock, lambda: str(uuid.uuid4())), ClusterSpec(service_cidrs=RANGES))
    registry.apply(Loaded(obj, "bench") for obj in objects(count, endpoints))
    api = Counting(registry)
    made = certificates.certificates(folder / "tls", [address], now=clock.now())
    runner = await http.serve(folder / "api.sock", api, registry.store, clock, _nothing)
    listening = socket.create_server((address, 0))
    port = listening.getsockname()[1]
    await tls.add_https_site(runner, listening, tls.server_context(made.authority, made.server))
    (folder / "kubeconfig").write_text(certificates.kubeconfig_text(address, port, made.authority, made.admin))
    _say({"port": port})
    obedient = Obedient(registry, api, endpoints)
    while line := await asyncio.to_thread(sys.stdin.readline):
        _say(await obedient.obey(line.split()))


async def _nothing(_: Request) -> Response:
    return Response(404, b"")


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
