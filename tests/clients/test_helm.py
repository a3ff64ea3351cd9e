"""Helm, which keeps its releases in Secrets: a chart of ours is installed, upgraded, rolled back, tested, uninstalled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes import client, config
from support.clients import PROGRAMS, Server, tool

CHART = PROGRAMS / "chart"


class Helm:
    """One Helm against the cluster."""

    def __init__(self, server: Server, minor: str) -> None:
        self.server = server
        self.program = tool("kubectl", minor, "helm")

    def __call__(self, *args: str, check: bool = True) -> str:
        done = self.server.run(self.program, *args, check=check)
        return done.stdout if check else done.stdout + done.stderr

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "-o", "json"))


@pytest.fixture(params=["1.32", "1.34"], ids=["helm 3", "helm 4"])
def helm(request: pytest.FixtureRequest, whole: Server) -> Helm:
    return Helm(whole, request.param)


@pytest.fixture
def core(whole: Server) -> Any:
    with config.new_client_from_config(whole.kubeconfig) as talking:
        yield client.CoreV1Api(talking)


def ready(core: client.CoreV1Api, release: str) -> int:
    pods = core.list_namespaced_pod("default", label_selector=f"release={release}").items
    return sum(("Ready", "True") in {(c.type, c.status) for c in pod.status.conditions} for pod in pods)


def greeting(core: client.CoreV1Api, release: str) -> str:
    return core.read_namespaced_config_map(release, "default").data["greeting"]


def greeted(core: client.CoreV1Api, release: str) -> str:
    """What the object says whose kind came with the chart."""
    custom = client.CustomObjectsApi(core.api_client)
    found = custom.get_namespaced_custom_object("example.com", "v1", "default", "greetings", release)
    return found["spec"]["word"]


def test_a_release_from_its_birth_to_its_end(helm: Helm, core: client.CoreV1Api) -> None:
    assert helm.json("install", "demo", str(CHART), "--wait")["info"]["status"] == "deployed"
    assert ready(core, "demo") == 1
    made = core.read_namespaced_config_map("demo", "default")
    assert made.data == {"greeting": "hello", "revision": "1", "cluster": "v1.36.2", "knows": "true"}
    assert {"demo-pre-install", "demo-post-install"} <= names(core)
    assert greeted(core, "demo") == "hello"
    assert "Succeeded" in helm("test", "demo")

    helm("upgrade", "demo", str(CHART), "--wait", "--set", "replicas=2,greeting=good day")
    assert (ready(core, "demo"), greeting(core, "demo")) == (2, "good day")
    assert [step["revision"] for step in helm.json("history", "demo")] == [1, 2]
    assert [release["chart"] for release in helm.json("list")] == ["web-0.1.0"]

    helm("rollback", "demo", "1", "--wait")
    assert greeting(core, "demo") == "hello"
    assert helm.json("status", "demo")["version"] == 3
    assert "demo-post-rollback" in names(core)

    helm("uninstall", "demo", "--wait")
    with pytest.raises(client.ApiException, match="not found"):
        greeted(core, "demo")
    assert helm.json("list") == []
    assert {name for name in names(core) if name.startswith("demo")} == {  # what hooks made is not part of a release
        f"demo-{when}" for when in ("pre-install", "post-install", "pre-upgrade", "post-rollback", "pre-delete")
    }
    assert core.list_namespaced_pod("default", label_selector="release=demo").items == []
    core.delete_collection_namespaced_config_map("default", field_selector="metadata.name!=kube-root-ca.crt")
    core.delete_namespaced_pod("demo-asks", "default")


def names(core: client.CoreV1Api) -> set[str]:
    return {found.metadata.name for found in core.list_namespaced_config_map("default").items}


def test_a_test_that_fails(helm: Helm) -> None:
    helm("install", "bad", str(CHART), "--wait", "--set", "path=/echo?code=500")
    try:
        said = helm("test", "bad", check=False)
        assert "Failed" in said
    finally:
        helm("uninstall", "bad", "--wait")


def test_what_does_not_become_ready_in_time(helm: Helm) -> None:
    said = helm("install", "slow", str(CHART), "--wait", "--timeout=3s", "--set", "image=none", check=False)
    try:
        assert helm.json("status", "slow")["info"]["status"] == "failed", said
    finally:
        helm("uninstall", "slow")


def test_an_install_that_is_only_tried(helm: Helm) -> None:
    said = helm("install", "dry", str(CHART), "--dry-run=server")
    assert 'cluster: "v1.36.2"' in said
    assert helm.json("list") == []


def test_an_object_that_another_owns(helm: Helm, core: client.CoreV1Api) -> None:
    core.create_namespaced_config_map("default", {"metadata": {"name": "mine"}})
    said = helm("install", "mine", str(CHART), "--no-hooks", check=False)
    assert "invalid ownership metadata" in said
    core.delete_namespaced_config_map("mine", "default")
    helm("uninstall", "mine", "--ignore-not-found")
