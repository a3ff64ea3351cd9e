"""Operators on `kopf`, each a process of its own: it reads what the API serves, watches it, and writes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from support.clients import PROGRAMS, Server, Talking, tool, wait_until

FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"
Start = Callable[[str], Talking]


@pytest.fixture
def start(api: Server, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Start an operator of ours in the namespace."""
    started = []

    def begin(name: str) -> Talking:
        program = PROGRAMS / "operators" / f"{name}.py"
        started.append(
            Talking.start(
                api, tmp_path / name, tool("bin", "kopf"), "run", "--standalone", "-n", namespace, "-v", program
            )
        )
        return started[-1]

    yield begin
    for one in started:
        code = one.end()
        assert code == 0, one.errors


def data_of(core: client.CoreV1Api, name: str, namespace: str) -> dict[str, str] | None:
    """What a ConfigMap holds; None when it is not there."""
    found = core.list_namespaced_config_map(namespace, field_selector=f"metadata.name={name}").items
    return (found[0].data or {}) if found else None


def events(core: client.CoreV1Api, namespace: str) -> set[tuple[str, str, str]]:
    """What was told, of whom; the operator does it when it has time."""
    return {(e.involved_object.name, e.reason, e.message) for e in core.list_namespaced_event(namespace).items}


def a_config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"copy": "wanted"}}, "data": data}


def test_config_maps_are_reconciled(core: client.CoreV1Api, namespace: str, start: Start) -> None:
    core.create_namespaced_config_map(namespace, a_config_map("early", a="was here first"))
    start("copies")
    wait_until(lambda: data_of(core, "early-copy", namespace) == {"a": "WAS HERE FIRST"})
    core.create_namespaced_config_map(namespace, a_config_map("late", b="x"))
    wait_until(lambda: data_of(core, "late-copy", namespace) == {"b": "X"})
    core.patch_namespaced_config_map("late", namespace, {"data": {"c": "y"}})
    wait_until(lambda: data_of(core, "late-copy", namespace) == {"b": "X", "c": "Y"})
    late = core.read_namespaced_config_map("late", namespace)
    assert late.metadata.finalizers == [FINALIZER]
    copy = core.read_namespaced_config_map("late-copy", namespace)
    assert [owner.uid for owner in copy.metadata.owner_references] == [late.metadata.uid]
    wait_until(lambda: core.read_namespaced_config_map("late", namespace).metadata.annotations.get("copied") == "2")
    core.delete_namespaced_config_map("late", namespace)
    wait_until(lambda: data_of(core, "late", namespace) is None)
    assert data_of(core, "late-was-here", namespace) == {}
    wait_until(lambda: {("early", "Copied", "1 entries"), ("late", "Copied", "2 entries")} <= events(core, namespace))


def test_a_status_is_written(core: client.CoreV1Api, namespace: str, start: Start) -> None:
    start("copies")
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    core.create_namespaced_service(namespace, {"metadata": {"name": "open"}, "spec": spec})

    def addresses() -> list[str]:
        status = core.read_namespaced_service("open", namespace).status
        return [ingress.ip for ingress in status.load_balancer.ingress or []]

    wait_until(lambda: addresses() == ["192.0.2.7"])


def test_an_operator_goes_on_when_the_server_comes_back(
    api: Server, core: client.CoreV1Api, namespace: str, start: Start
) -> None:
    core.create_namespaced_config_map(namespace, a_config_map("before", a="x"))
    start("copies")
    wait_until(lambda: data_of(core, "before-copy", namespace) == {"a": "X"})
    api.kill()
    api.restart()
    core.create_namespaced_config_map(namespace, a_config_map("after", a="y"))
    wait_until(lambda: data_of(core, "after-copy", namespace) == {"a": "Y"})


class Custom:
    """Greetings, as the official client has what it knows nothing of."""

    def __init__(self, api: client.CustomObjectsApi, namespace: str) -> None:
        self.api = api
        self.place = ("example.com", "v1", namespace, "greetings")

    def create(self, name: str, **spec: Any) -> Any:
        body = {"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": name}, "spec": spec}
        return self.api.create_namespaced_custom_object(*self.place, body)

    def read(self, name: str) -> Any:
        return self.api.get_namespaced_custom_object(*self.place, name)

    def patch(self, name: str, **spec: Any) -> None:
        self.api.patch_namespaced_custom_object(*self.place, name, {"spec": spec})

    def delete(self, name: str) -> None:
        self.api.delete_namespaced_custom_object(*self.place, name)

    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.api.list_namespaced_custom_object(*self.place)["items"]]


@pytest.fixture
def greetings(core: client.CoreV1Api, namespace: str) -> Custom:
    """The objects of a kind that the server did not know before."""
    definition = yaml.safe_load((PROGRAMS / "chart" / "crds" / "greetings.yaml").read_text())
    extensions = client.ApiextensionsV1Api(core.api_client)
    extensions.create_custom_resource_definition(definition)

    def established() -> bool:
        found = extensions.read_custom_resource_definition(definition["metadata"]["name"])
        return ("Established", "True") in {(c.type, c.status) for c in found.status.conditions or ()}

    wait_until(established)
    return Custom(client.CustomObjectsApi(core.api_client), namespace)


def test_a_kind_of_its_own_is_reconciled(
    core: client.CoreV1Api, namespace: str, greetings: Custom, start: Start
) -> None:
    start("greetings")
    assert greetings.create("hi", word="hi")["spec"] == {"word": "hi", "times": 1}
    wait_until(lambda: data_of(core, "hi-says", namespace) == {"words": "hi"})
    wait_until(lambda: greetings.read("hi").get("status", {}).get("phase") == "Said")
    found = greetings.read("hi")
    assert found["status"] == {"phase": "Said", "observedGeneration": 1, "greeted": {"words": "hi"}}
    assert found["metadata"]["generation"] == 1, "a status is no change of what is wanted"
    assert found["metadata"]["finalizers"] == [FINALIZER]
    greetings.patch("hi", times=3)
    wait_until(lambda: data_of(core, "hi-says", namespace) == {"words": "hi, hi, hi"})
    wait_until(lambda: greetings.read("hi")["status"]["observedGeneration"] == 2)
    with pytest.raises(client.ApiException, match=r"should be less than or equal to 3"):
        greetings.patch("hi", times=4)
    greetings.delete("hi")
    wait_until(lambda: greetings.names() == [])
    assert data_of(core, "hi-bye", namespace) == {}
    wait_until(lambda: ("hi", "Farewell", "good-bye") in events(core, namespace))
