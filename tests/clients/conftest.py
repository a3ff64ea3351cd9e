"""Clusters that programs of other people talk to, over HTTPS, by nothing but the kubeconfig."""

import gc
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config
from support.clients import PATIENCE_S, Server
from support.cluster import Cluster

WORKLOAD = Path(__file__).with_name("workload.yaml")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == WORKLOAD.parent:
            item.add_marker("clients")
            item.add_marker(pytest.mark.timeout(600))  # the limits of the clients themselves are to be heard first
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))  # sockets that clients leave open
            if os.geteuid() != 0 and "whole" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason="needs root: run `make test` (sudo)"))


@pytest.fixture(scope="module", autouse=True)
def _tidy() -> Iterator[None]:
    """What a client leaves open is closed while nobody minds."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def api() -> Iterator[Server]:
    """An API and nothing behind it."""
    yield from _up("--api-only")


@pytest.fixture(scope="module")
def plane() -> Iterator[Server]:
    """An API and its controllers; no nodes."""
    yield from _up("--control-plane-only")


@pytest.fixture(scope="module")
def whole() -> Iterator[Server]:
    """A cluster in which the workload runs."""
    yield from _up("-f", str(WORKLOAD))


@pytest.fixture
def core(api: Server, namespace: str) -> Iterator[client.CoreV1Api]:
    """The official client in a namespace of the test's own."""
    with config.new_client_from_config(api.kubeconfig) as talking:
        made = client.CoreV1Api(talking)
        made.create_namespace({"metadata": {"name": namespace}})
        yield made


def _up(*options: str) -> Iterator[Server]:
    cluster = Cluster()
    try:
        cluster("up", "--wait", "120", *options, timeout=PATIENCE_S)
        yield Server(cluster, options)
        cluster("down", timeout=PATIENCE_S)
        cluster.assert_nothing_is_left()
    finally:
        cluster.close()


@pytest.fixture
def namespace() -> str:
    """A name that no other test has; whoever takes it makes the namespace, by the client that is tried."""
    return f"ns-{uuid.uuid4().hex[:8]}"
