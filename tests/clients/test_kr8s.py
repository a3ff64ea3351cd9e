"""`kr8s`, which is written twice: for threads and for asyncio."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kr8s
import pytest
import yaml
from kr8s.asyncio import objects as later
from kr8s.objects import ConfigMap, CustomResourceDefinition, Deployment, Namespace, Pod, Service
from support.clients import PROGRAMS, Server

pytestmark = pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported")  # it was written before 1.36
GREETINGS = PROGRAMS / "chart" / "crds" / "greetings.yaml"
NETEXEC = {"containers": [{"name": "web", "image": "agnhost", "args": ["netexec"]}]}


def deployment(name: str, namespace: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": NETEXEC}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }  # fmt: skip


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


@pytest.fixture
def known(api: Server, namespace: str) -> kr8s.Api:
    made = kr8s.api(kubeconfig=api.kubeconfig)
    Namespace({"metadata": {"name": namespace}}, api=made).create()
    return made


@pytest.fixture
def here(whole: Server) -> kr8s.Api:
    return kr8s.api(kubeconfig=whole.kubeconfig)


def test_who_it_is_and_where(known: kr8s.Api) -> None:
    assert known.whoami()
    assert known.version()["major"] == "1"
    assert {"pods", "deployments"} <= {kind["name"] for kind in known.api_resources()}


def test_one_object_from_its_birth_to_its_end(known: kr8s.Api, namespace: str) -> None:
    made = ConfigMap(config_map("settings", namespace, a="1"), api=known)
    assert not made.exists()
    made.create()
    assert made.exists()
    made.patch({"data": {"b": "2"}})
    made.patch([{"op": "remove", "path": "/data/a"}], type="json")
    assert made.data == {"b": "2"}
    made.label({"of": "test"})
    made.annotate({"note": "x"})
    assert [found.name for found in known.get("configmaps", namespace=namespace, label_selector={"of": "test"})] == [
        "settings"
    ]
    assert ConfigMap.get("settings", namespace=namespace, api=known).annotations == {"note": "x"}
    made.remove_label("of")
    assert not list(known.get("configmaps", namespace=namespace, label_selector={"of": "test"}))
    made.delete()
    made.wait("delete", timeout=120)
    with pytest.raises(kr8s.NotFoundError):
        ConfigMap.get("settings", namespace=namespace, api=known)


def test_a_refusal_has_the_servers_words(known: kr8s.Api, namespace: str) -> None:
    service = Service({"metadata": {"name": "bad", "namespace": namespace}, "spec": {"ports": []}}, api=known)
    with pytest.raises(kr8s.ServerError, match=r"spec\.ports: Required value"):
        service.create()


def test_owners(known: kr8s.Api, namespace: str) -> None:
    owner, child = (ConfigMap(config_map(name, namespace), api=known) for name in ("owner", "child"))
    owner.create()
    child.create()
    owner.adopt(child)
    child.refresh()
    assert [found.uid for found in child.metadata.ownerReferences] == [owner.metadata.uid]


def test_a_watch_tells_of_every_change(known: kr8s.Api, namespace: str) -> None:
    made = ConfigMap(config_map("watched", namespace), api=known)
    made.create()
    seen = []
    for kind, item in known.watch("configmaps", namespace=namespace):
        seen.append((kind, item.name, dict(item.data) if "data" in item.raw else {}))
        if len(seen) == 1:
            made.patch({"data": {"n": "1"}})
        elif len(seen) == 2:
            made.delete()
        else:
            break
    assert seen == [("ADDED", "watched", {}), ("MODIFIED", "watched", {"n": "1"}), ("DELETED", "watched", {"n": "1"})]


def test_a_scale_is_not_waited_for_in_vain(known: kr8s.Api, namespace: str) -> None:
    made = Deployment(deployment("scaled", namespace, replicas=1), api=known)
    made.create()
    made.patch({"status": {"replicas": 3}}, subresource="status")  # nobody else does it here
    made.scale(3)
    assert made.replicas == 3


def test_a_kind_of_its_own(known: kr8s.Api, namespace: str) -> None:
    definition = CustomResourceDefinition(yaml.safe_load(GREETINGS.read_text()), api=known)
    definition.create()
    definition.wait("condition=Established", timeout=120)
    greetings = kr8s.objects.new_class(
        "Greeting", "example.com/v1", namespaced=True, scalable=True, scalable_spec="times"
    )
    made = greetings({"metadata": {"name": "hi", "namespace": namespace}, "spec": {"word": "hi", "more": 1}}, api=known)
    made.create()
    assert made.spec == {"word": "hi", "times": 1}, (
        "what the schema does not know is dropped, what it defaults is there"
    )
    made.patch({"status": {"phase": "Said"}}, subresource="status")
    made.scale(3)
    assert [(found.spec.times, found.status.phase) for found in known.get("greetings", namespace=namespace)] == [
        (3, "Said")
    ]
    with pytest.raises(kr8s.ServerError, match="Too long"):
        made.patch({"spec": {"word": "x" * 21}})
    definition.delete()
    definition.wait("delete", timeout=120)
    with pytest.raises(kr8s.NotFoundError):
        made.refresh()


def serving(api: kr8s.Api) -> Any:
    return next(iter(api.get("pods", namespace="default", label_selector={"app": "web"})))


def fetched(port: int) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(f"http://127.0.0.1:{port}/hostname", timeout=20).read().decode()


def test_a_deployment_is_scaled_and_waited_for(here: kr8s.Api) -> None:
    made = Deployment(deployment("grows", "default", replicas=1), api=here)
    made.create()
    try:
        made.wait("condition=Available", timeout=120)
        made.scale(2)
        assert len(made.pods()) == 2
        made.wait("jsonpath='{.status.readyReplicas}'=2", timeout=120)
        assert made.ready()
    finally:
        made.delete(propagation_policy="Foreground")
        made.wait("delete", timeout=120)
    assert not list(here.get("pods", namespace="default", label_selector={"app": "grows"}))


def test_logs(here: kr8s.Api) -> None:
    pod = Pod.get("counts", namespace="default", api=here)
    assert list(pod.logs()) == ["line 1", "line 2", "line 3"]
    assert list(pod.logs(tail_lines=1)) == ["line 3"]
    following = pod.logs(follow=True)
    assert [next(following) for _ in range(3)] == ["line 1", "line 2", "line 3"]
    following.close()


def test_a_command_in_a_pod(here: kr8s.Api) -> None:
    done = serving(here).exec(["sh", "-c", "echo right; echo wrong >&2; exit 3"], check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"right\n", b"wrong\n", 3)


@contextmanager
def forwarded(resource: Any, port: int) -> Iterator[int]:
    with resource.portforward(remote_port=port, local_port="auto") as local:
        yield local


def test_a_port_of_a_pod_and_of_a_service(here: kr8s.Api) -> None:
    pod = serving(here)
    with forwarded(pod, 8080) as local:
        assert [fetched(local) for _ in range(3)] == [pod.name] * 3
    service = Service.get("web", namespace="default", api=here)
    with forwarded(service, 8080) as local:
        assert fetched(local) == pod.name
    assert service.proxy_http_get("hostname", port=80).text == pod.name


def test_the_same_with_asyncio(whole: Server) -> None:
    async def all_of_it() -> None:
        api = await kr8s.asyncio.api(kubeconfig=whole.kubeconfig)
        made = await later.ConfigMap(config_map("async", "default", a="1"), api=api)
        await made.create()
        seen = []
        async for kind, item in api.watch("configmaps", namespace="default", field_selector="metadata.name=async"):
            seen.append(kind)
            if kind == "ADDED":
                await made.patch({"data": {"a": "2"}})
            elif kind == "MODIFIED":
                assert item.data == {"a": "2"}
                await made.delete()
            else:
                break
        assert seen == ["ADDED", "MODIFIED", "DELETED"]
        pod = await anext(found async for found in api.get("pods", namespace="default", label_selector={"app": "web"}))
        await pod.wait("condition=Ready", timeout=120)
        assert (await pod.exec(["hostname"])).stdout.decode().strip() == pod.name
        counts = await later.Pod.get("counts", namespace="default", api=api)
        assert [line async for line in counts.logs()] == ["line 1", "line 2", "line 3"]
        async with pod.portforward(remote_port=8080, local_port="auto") as port:
            assert await asyncio.to_thread(fetched, port) == pod.name

    asyncio.run(all_of_it())
