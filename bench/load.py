"""How long an agent that was killed takes to know what it had stored."""

from __future__ import annotations

import tempfile
import time
import uuid
from pathlib import Path

import orjson

from bench.table import Row
from netproxy.linux.clock import SystemClock
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import PODS
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object
from netproxy.registry.registry import Registry
from netproxy.store.sqlite import SqliteBacking
from netproxy.store.store import Store

OBJECTS = 10_000


def load() -> list[Row]:
    """Objects from the disk, beside what reading their JSON takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "state.db")
        backing = SqliteBacking(file)
        registry = Registry(_store(backing), ClusterSpec())
        registry.apply(Loaded(pod(at), "bench") for at in range(OBJECTS))
        texts = [orjson.dumps(obj) for obj in registry.store.all(PODS)]
        backing.close()
        begun = time.perf_counter()
        _store(SqliteBacking(file))
        took = time.perf_counter() - begun
        begun = time.perf_counter()
        for text in texts:
            orjson.loads(text)
        floor = time.perf_counter() - begun
    return [Row(f"{OBJECTS:,} Pods loaded", took, floor, "s", "< 1 s")]


def _store(backing: SqliteBacking) -> Store:
    return Store(SystemClock(), lambda: str(uuid.uuid4()), backing)


def pod(at: int) -> Object:
    """A Pod as they are made by hand."""
    containers = [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"web-{at}", "labels": {"app": "web"}},
        "spec": {"containers": containers},
    }
