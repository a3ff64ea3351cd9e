"""The official Python client (`kubernetes`)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes.stream import portforward, stream
from support.clients import Server, wait_until


@contextlib.contextmanager
def talk(server: Server) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(server.kubeconfig) as made:
        yield made
        made.rest_client.pool_manager.clear()  # it leaves its connections open otherwise


@pytest.fixture
def api_client(api: Server) -> Iterator[client.ApiClient]:
    with talk(api) as made:
        yield made


@pytest.fixture
def core(api_client: client.ApiClient, namespace: str) -> client.CoreV1Api:
    made = client.CoreV1Api(api_client)
    made.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=namespace)))
    return made


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"of": "test"}), data=data)


def deployment(name: str, replicas: int = 1) -> client.V1Deployment:
    labels = {"app": name}
    container = client.V1Container(name="web", image="agnhost", args=["netexec"])
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(
        replicas=replicas, selector=client.V1LabelSelector(match_labels=labels), template=template
    )
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=spec)


@contextlib.contextmanager
def refused(status: int, reason: str) -> Iterator[None]:
    with pytest.raises(ApiException) as caught:
        yield
    assert (caught.value.status, f'"reason":"{reason}"' in caught.value.body.replace(" ", "")) == (status, True)


def test_one_object_from_its_birth_to_its_end(core: client.CoreV1Api, namespace: str) -> None:
    made = core.create_namespaced_config_map(namespace, config_map("settings", a="1"))
    assert made.metadata.uid
    with refused(409, "AlreadyExists"):
        core.create_namespaced_config_map(namespace, config_map("settings"))
    made.data["a"] = "2"
    replaced = core.replace_namespaced_config_map("settings", namespace, made)
    assert (replaced.data, replaced.metadata.uid) == ({"a": "2"}, made.metadata.uid)
    with refused(409, "Conflict"):
        core.replace_namespaced_config_map("settings", namespace, made)
    found = core.list_namespaced_config_map(namespace, label_selector="of=test")
    assert [item.metadata.name for item in found.items] == ["settings"]
    core.delete_namespaced_config_map("settings", namespace)
    with refused(404, "NotFound"):
        core.read_namespaced_config_map("settings", namespace)


def test_what_cannot_be_is_said_field_by_field(core: client.CoreV1Api, namespace: str) -> None:
    bad = client.V1Service(
        metadata=client.V1ObjectMeta(name="bad"), spec=client.V1ServiceSpec(ports=[client.V1ServicePort(port=70000)])
    )
    with refused(422, "Invalid"):
        core.create_namespaced_service(namespace, bad)


def test_kinds_of_all_sorts(api_client: client.ApiClient, core: client.CoreV1Api, namespace: str) -> None:
    meta = client.V1ObjectMeta(name="it")
    ports = [client.V1ServicePort(name="http", port=80)]
    service = core.create_namespaced_service(
        namespace, client.V1Service(metadata=meta, spec=client.V1ServiceSpec(selector={"app": "it"}, ports=ports))
    )
    assert service.spec.cluster_ip.startswith("10.96.")
    secret = core.create_namespaced_secret(namespace, client.V1Secret(metadata=meta, string_data={"key": "value"}))
    assert secret.data == {"key": "dmFsdWU="}
    assert core.create_namespaced_service_account(namespace, client.V1ServiceAccount(metadata=meta)).metadata.uid
    made = client.AppsV1Api(api_client).create_namespaced_deployment(namespace, deployment("it", 3))
    assert (made.spec.replicas, made.spec.strategy.rolling_update.max_surge) == (3, "25%")
    job = client.V1Job(
        metadata=meta,
        spec=client.V1JobSpec(
            template=client.V1PodTemplateSpec(
                spec=client.V1PodSpec(
                    restart_policy="Never", containers=[client.V1Container(name="one", image="busybox")]
                )
            )
        ),
    )
    assert client.BatchV1Api(api_client).create_namespaced_job(namespace, job).spec.backoff_limit == 6
    backend = client.V1IngressBackend(
        service=client.V1IngressServiceBackend(name="it", port=client.V1ServiceBackendPort(number=80))
    )
    network = client.NetworkingV1Api(api_client)
    ingress = client.V1Ingress(metadata=meta, spec=client.V1IngressSpec(default_backend=backend))
    assert network.create_namespaced_ingress(namespace, ingress).spec.default_backend.service.port.number == 80
    rbac = client.RbacAuthorizationV1Api(api_client)
    rule = client.V1PolicyRule(api_groups=[""], resources=["pods"], verbs=["get"])
    assert rbac.create_namespaced_role(namespace, client.V1Role(metadata=meta, rules=[rule])).rules[0].verbs == ["get"]
    core.delete_collection_namespaced_secret(namespace, field_selector="type=Opaque")
    assert core.list_namespaced_secret(namespace).items == []
    assert {ns.metadata.name for ns in core.list_namespace().items} >= {"default", "kube-system", namespace}


@pytest.mark.parametrize(
    ("how", "body", "data"),
    [
        ("application/merge-patch+json", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
        ("application/strategic-merge-patch+json", {"data": {"a": None, "c": "3"}}, {"b": "2", "c": "3"}),
        ("application/json-patch+json", [{"op": "replace", "path": "/data/a", "value": "9"}], {"a": "9", "b": "2"}),
    ],
)
def test_patches(core: client.CoreV1Api, namespace: str, how: str, body: Any, data: dict[str, str]) -> None:
    core.create_namespaced_config_map(namespace, config_map("patched", a="1", b="2"))
    assert core.patch_namespaced_config_map("patched", namespace, body, _content_type=how).data == data


def test_status_and_scale_are_doors_of_their_own(api_client: client.ApiClient, core: Any, namespace: str) -> None:
    apps = client.AppsV1Api(api_client)
    apps.create_namespaced_deployment(namespace, deployment("scaled"))
    scale = apps.patch_namespaced_deployment_scale("scaled", namespace, {"spec": {"replicas": 4}})
    assert (scale.spec.replicas, scale.status.selector) == (4, "app=scaled")
    status = apps.patch_namespaced_deployment_status(
        "scaled", namespace, {"status": {"replicas": 4}, "spec": {"replicas": 9}}
    )
    assert (status.status.replicas, status.spec.replicas) == (4, 4)


def test_a_watch_goes_on_where_another_ended(core: client.CoreV1Api, namespace: str) -> None:
    core.create_namespaced_config_map(namespace, config_map("first"))
    version = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("second"))
    seen: list[tuple[str, str]] = []
    for round_ in ("second", "third"):
        watching = watch.Watch()
        for event in watching.stream(
            core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=30
        ):
            seen.append((event["type"], event["object"].metadata.name))
            version = watching.resource_version
            watching.stop()
        if round_ == "second":
            core.create_namespaced_config_map(namespace, config_map("third"))
    assert seen == [("ADDED", "second"), ("ADDED", "third")]


def test_a_watch_from_a_version_that_never_was(core: client.CoreV1Api, namespace: str) -> None:
    with pytest.raises(ApiException) as caught:
        list(watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version="1", timeout_seconds=5))
    assert caught.value.status == 410


def test_a_cache_that_lists_and_watches(api: Server, core: client.CoreV1Api, namespace: str) -> None:
    cache, stop = {}, threading.Event()
    ready = threading.Event()

    def follow() -> None:
        with talk(api) as own:
            mine = client.CoreV1Api(own)
            listed = mine.list_namespaced_config_map(namespace)
            cache.update({item.metadata.name: item.data for item in listed.items})
            ready.set()
            version = listed.metadata.resource_version
            while not stop.is_set():  # each watch ends after a second; the next goes on from there
                for event in watch.Watch().stream(
                    mine.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=1
                ):
                    item = event["object"]
                    version = item.metadata.resource_version
                    if event["type"] == "DELETED":
                        cache.pop(item.metadata.name)
                    else:
                        cache[item.metadata.name] = item.data

    core.create_namespaced_config_map(namespace, config_map("m0", n="0"))
    following = threading.Thread(target=follow)
    following.start()
    try:
        assert ready.wait(120)
        for n in range(30):
            core.create_namespaced_config_map(namespace, config_map(f"n{n}", n=str(n)))
            core.patch_namespaced_config_map(f"n{n}", namespace, {"data": {"twice": str(2 * n)}})
            if n % 3:
                core.delete_namespaced_config_map(f"n{n}", namespace)
        whole = {item.metadata.name: item.data for item in core.list_namespaced_config_map(namespace).items}
        wait_until(lambda: cache == whole)
    finally:
        stop.set()
        following.join(120)
    assert len(whole) == 11


def test_pages_of_a_list(core: client.CoreV1Api, namespace: str) -> None:
    for n in range(7):
        core.create_namespaced_config_map(namespace, config_map(f"n{n}"))
    names, more = [], None
    while more != "":
        page = core.list_namespaced_config_map(namespace, limit=3, _continue=more)
        names += [item.metadata.name for item in page.items]
        more = page.metadata._continue or ""
    assert names == [f"n{n}" for n in range(7)]


def test_the_dynamic_client_applies(api_client: client.ApiClient, core: Any, namespace: str) -> None:
    known = dynamic.DynamicClient(api_client)
    services = known.resources.get(api_version="v1", kind="Service")
    body = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]},
    }  # fmt: skip
    made = services.server_side_apply(body, field_manager="one")
    assert [field.manager for field in made.metadata.managedFields] == ["one"]
    body["spec"]["ports"] = body["spec"]["ports"][:1]
    assert [port.name for port in services.server_side_apply(body, field_manager="one").spec.ports] == ["http"]
    body["spec"]["selector"] = {"app": "other"}
    with pytest.raises(dynamic.exceptions.ConflictError) as caught:
        services.server_side_apply(body, field_manager="two")
    assert ".spec.selector" in str(caught.value.body)
    taken = services.server_side_apply(body, field_manager="two", force_conflicts=True)
    assert taken.spec.selector.to_dict() == {"app": "other"}
    events = services.watch(namespace=namespace, timeout=5)
    assert next(iter(events))["object"].metadata.name == "web"
    assert services.delete(name="web", namespace=namespace)


def test_what_controllers_make_goes_with_its_owner(plane: Server) -> None:
    with talk(plane) as talking:
        apps, core = client.AppsV1Api(talking), client.CoreV1Api(talking)
        apps.create_namespaced_deployment("default", deployment("owner", 2))

        def pods() -> list[str]:
            return [found.metadata.name for found in core.list_namespaced_pod("default").items]

        wait_until(lambda: len(pods()) == 2)
        (kept,) = apps.list_namespaced_replica_set("default").items
        apps.delete_namespaced_deployment("owner", "default", propagation_policy="Orphan")
        wait_until(lambda: not apps.list_namespaced_deployment("default").items)
        wait_until(
            lambda: not apps.read_namespaced_replica_set(kept.metadata.name, "default").metadata.owner_references
        )
        assert len(pods()) == 2
        apps.delete_namespaced_replica_set(kept.metadata.name, "default", propagation_policy="Foreground")
        wait_until(lambda: not apps.list_namespaced_replica_set("default").items)
        assert pods() == []


def test_manifests_from_a_file(api_client: client.ApiClient, core: Any, namespace: str, tmp_path: Any) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(
        """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: every}
spec:
  selector: {matchLabels: {app: every}}
  template: {metadata: {labels: {app: every}}, spec: {containers: [{name: web, image: agnhost}]}}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: b}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: closed}, spec: {podSelector: {}}}
"""
    )
    utils.create_from_yaml(api_client, str(file), namespace=namespace)
    assert core.read_namespaced_config_map("one", namespace).data == {"a": "b"}
    assert client.AppsV1Api(api_client).read_namespaced_daemon_set("every", namespace).spec.update_strategy.type
    with pytest.raises(utils.FailToCreateError, match="AlreadyExists"):
        utils.create_from_yaml(api_client, str(file), namespace=namespace)


def test_one_leader_at_a_time(api: Server, core: client.CoreV1Api, namespace: str) -> None:
    leading: list[str] = []
    locks: dict[str, LeaseLock] = {}
    ended = {name: threading.Event() for name in ("one", "two")}

    def candidate(name: str) -> threading.Thread:
        def lead() -> None:
            leading.append(name)
            ended[name].wait(60)
            raise RuntimeError("it crashes")  # so it renews no more

        lock = locks[name] = LeaseLock("leader", namespace, name)
        elected = electionconfig.Config(
            lock, lease_duration=3, renew_deadline=2, retry_period=1,
            onstarted_leading=lead, onstopped_leading=lambda: None,
        )  # fmt: skip
        thread = threading.Thread(target=leaderelection.LeaderElection(elected).run, daemon=True)
        thread.start()
        return thread

    config.load_kube_config(api.kubeconfig)
    one = candidate("one")
    wait_until(lambda: leading == ["one"])
    two = candidate("two")
    ended["one"].set()
    one.join(120)
    wait_until(lambda: leading == ["one", "two"])
    ended["two"].set()
    two.join(120)
    assert locks["one"].api_instance.read_namespaced_lease("leader", namespace).spec.holder_identity == "two"
    for lock in locks.values():
        lock.api_instance.api_client.close()


@pytest.fixture(scope="module")
def pods(whole: Server) -> Iterator[tuple[client.CoreV1Api, str]]:
    """Where Pods run, and the name of one that serves."""
    with talk(whole) as made:
        core = client.CoreV1Api(made)
        yield core, core.list_namespaced_pod("default", label_selector="app=web").items[0].metadata.name


def test_a_command_in_a_pod(pods: tuple[client.CoreV1Api, str]) -> None:
    core, name = pods
    words = ["sh", "-c", "read line; echo got $line; echo wrong >&2; exit 3"]
    talking = stream(
        core.connect_get_namespaced_pod_exec, name, "default", command=words, stdin=True, stdout=True, stderr=True, tty=False,
        _preload_content=False,
    )  # fmt: skip
    talking.write_stdin("this\n")
    talking.run_forever(timeout=120)
    talking.close()
    assert (talking.read_stdout(), talking.read_stderr(), talking.returncode) == ("got this\n", "wrong\n", 3)


def test_a_command_whose_answer_is_waited_for(pods: tuple[client.CoreV1Api, str]) -> None:
    core, name = pods
    said = stream(core.connect_get_namespaced_pod_exec, name, "default", command=["hostname"], stdout=True)
    assert said == f"{name}\n"


def test_logs(pods: tuple[client.CoreV1Api, str]) -> None:
    core, _ = pods
    assert core.read_namespaced_pod_log("counts", "default") == "line 1\nline 2\nline 3\n"
    assert core.read_namespaced_pod_log("counts", "default", tail_lines=1) == "line 3\n"
    following = watch.Watch().stream(core.read_namespaced_pod_log, name="counts", namespace="default")
    assert [next(following) for _ in range(3)] == ["line 1", "line 2", "line 3"]
    following.close()


def test_a_port_of_a_pod(pods: tuple[client.CoreV1Api, str]) -> None:
    core, name = pods
    forwarding = portforward(core.connect_get_namespaced_pod_portforward, name, "default", ports="8080")
    with contextlib.closing(forwarding.socket(8080)) as sock:
        sock.settimeout(10)
        sock.sendall(b"GET /hostname HTTP/1.0\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := sock.recv(4096):
            answer += more
    assert answer.endswith(name.encode())
    assert forwarding.error(8080) is None
