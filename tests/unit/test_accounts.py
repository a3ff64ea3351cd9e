"""Who Pods are to the API: their account, the volume with its token, and what every namespace has for that."""

import asyncio
from dataclasses import replace

import pytest
from support.build import FixedClock, namespace_object, pod_object, service_object, slice_object
from support.world import World

from netproxy.controllers.kept import keeper
from netproxy.core.errors import ApiError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.kubelet import tokens, volumes
from netproxy.kubelet.container import Sources
from netproxy.kubelet.plan import Renew, plan, taken_over_pod
from netproxy.kubelet.security import HeldError
from netproxy.kubelet.state import Seen
from netproxy.objects.change import Event
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import PODS, SERVICE_ACCOUNTS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import spec
from netproxy.registry.accounts import MOUNTED_AT
from netproxy.registry.registry import Registry
from netproxy.store.store import Store

API = "-----BEGIN CERTIFICATE-----"


def a_registry():
    numbers = iter(range(1, 1000))
    made = Registry(Store(FixedClock(), lambda: f"uid-{next(numbers)}"), ClusterSpec(), gives_accounts=True)
    made.create(namespace_object("team"))
    return made


def a_pod(containers=("c",), **more):
    listed = [each if isinstance(each, dict) else {"name": each, "image": "pause"} for each in containers]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "team", **more.pop("metadata", {})},
            "spec": {"containers": listed, **more}}  # fmt: skip


def an_account(named="robot", **more):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": named, "namespace": "team"}, **more}


def access(pod):
    """The volumes of a Pod that have tokens."""
    return [volume for volume in spec(pod).get("volumes") or () if tokens.wanted({"spec": {"volumes": [volume]}})]


# --- a Pod on its way in


def test_a_pod_is_the_default_account_and_every_container_has_its_token():
    made = a_registry().create(a_pod(("a", "b"), initContainers=[{"name": "i", "image": "pause"}]))
    assert (spec(made)["serviceAccountName"], spec(made)["serviceAccount"]) == ("default", "default")
    (volume,) = access(made)
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNTED_AT}
    assert all(each["volumeMounts"] == [mount] for each in (*spec(made)["containers"], *spec(made)["initContainers"]))
    assert tokens.wanted(made) == (tokens.Token("", 3607),)


def test_the_default_account_is_made_for_the_first_who_needs_it():
    registry = a_registry()
    registry.create(a_pod())
    assert registry.store.get(SERVICE_ACCOUNTS, NamespacedName("team", "default"))


def test_an_account_that_is_named_must_be_there():
    registry = a_registry()
    with pytest.raises(ApiError) as caught:
        registry.create(a_pod(serviceAccountName="robot"))
    assert caught.value.code == 403
    assert str(caught.value) == (
        'pods "p" is forbidden: error looking up service account team/robot: serviceaccount "robot" not found'
    )
    registry.create(an_account(imagePullSecrets=[{"name": "pull"}]))
    made = registry.create(a_pod(serviceAccountName="robot"))
    assert spec(made)["serviceAccount"] == "robot"
    assert spec(made)["imagePullSecrets"] == [{"name": "pull"}]


@pytest.mark.parametrize(
    ("of_account", "of_pod", "is_there"),
    [
        pytest.param(None, None, True, id="nobody says"),
        pytest.param(False, None, False, id="its account wants none"),
        pytest.param(False, True, True, id="the Pod itself wants one"),
        pytest.param(True, False, False, id="the Pod itself wants none"),
    ],
)
def test_who_decides_whether_a_pod_has_a_token(of_account, of_pod, is_there):
    registry = a_registry()
    registry.create(an_account(**({} if of_account is None else {"automountServiceAccountToken": of_account})))
    wish = {} if of_pod is None else {"automountServiceAccountToken": of_pod}
    made = registry.create(a_pod(serviceAccountName="robot", imagePullSecrets=[{"name": "own"}], **wish))
    assert bool(access(made)) is is_there
    assert spec(made)["imagePullSecrets"] == [{"name": "own"}]


def test_what_a_pod_mounts_there_itself_stays():
    own = {"name": "v", "mountPath": MOUNTED_AT}
    container = {"name": "c", "image": "pause", "volumeMounts": [own]}
    made = a_registry().create(a_pod((container,), volumes=[{"name": "v", "emptyDir": {}}]))
    assert not access(made)
    assert spec(made)["containers"][0]["volumeMounts"] == [own]


def test_a_volume_of_that_name_is_used_again():
    there = {"name": "kube-api-access-mine", "emptyDir": {}}
    made = a_registry().create(a_pod(volumes=[there]))
    assert spec(made)["volumes"] == [there]
    assert spec(made)["containers"][0]["volumeMounts"][0]["name"] == "kube-api-access-mine"


def test_a_pod_that_only_tells_of_another_has_no_account():
    mirrored = {"annotations": {"kubernetes.io/config.mirror": "x"}}
    made = a_registry().create(a_pod(metadata=mirrored, nodeName="n"))
    assert "serviceAccountName" not in spec(made)


@pytest.mark.parametrize(
    "more",
    [
        {"volumes": [{"name": "v", "emptyDir": {}}]}, {"automountServiceAccountToken": False},
        {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": MOUNTED_AT}]}],
         "volumes": [{"name": "v", "emptyDir": {}}]},
    ],
    ids=["mounted", "not wanted", "its own"],
)  # fmt: skip
def test_a_manifest_that_is_applied_again_keeps_node_and_account(more):
    registry = a_registry()
    registry.create(an_account("robot", imagePullSecrets=[{"name": "pull"}]))
    pod = {**a_pod(), "spec": {**spec(a_pod(serviceAccountName="robot")), **more}}
    (made,) = registry.apply([Loaded(pod, "a file")])
    registry.bind(NamespacedName("team", "p"), "node1")
    made = registry.store.get(PODS, NamespacedName("team", "p"))
    (again,) = registry.apply([Loaded(pod, "a file")])
    assert again == made
    changed = {**pod, "spec": {**spec(pod), "containers": [{**spec(pod)["containers"][0], "image": "other"}]}}
    (changed,) = registry.apply([Loaded(changed, "a file")])
    assert spec(changed)["containers"][0]["image"] == "other"
    assert spec(changed).get("volumes") == spec(made).get("volumes")


# --- what comes back


def test_what_a_cluster_always_has_is_made_again():
    objects = [service_object("kubernetes", clusterIP="10.96.0.1"), slice_object("kubernetes")]
    world = World(namespace_object("default"), *objects, service_object("other"))
    controller = keeper(objects)
    assert world.settle(controller) == 0
    at = NamespacedName("default", "kubernetes")
    gone = world.find(SERVICES, at)
    assert list(controller.watches[SERVICES](world, Event("DELETED", gone, None, SERVICES))) == [(SERVICES, at)]
    other = world.find(SERVICES, NamespacedName("default", "other"))
    assert list(controller.watches[SERVICES](world, Event("DELETED", other, None, SERVICES))) == []
    world.remove(SERVICES, at)
    world.look(controller, (SERVICES, at))
    assert spec(world.find(SERVICES, at))["clusterIP"] == "10.96.0.1"


# --- on its node


def with_tokens(*sources, **more):
    """A Pod with a volume of tokens."""
    return pod_object(spec={"volumes": [{"name": "v", "projected": {"sources": list(sources)}}, {"name": "e", "emptyDir": {}}],
                            "serviceAccountName": "robot", **more})  # fmt: skip


SHORT = {"serviceAccountToken": {"path": "a/token", "expirationSeconds": 600, "audience": "vault"}}
LONG = {"serviceAccountToken": {"path": "b", "expirationSeconds": 10_000_000}}


def test_which_tokens_a_pod_wants_and_for_how_long_they_are_used():
    assert tokens.wanted(with_tokens(SHORT, LONG, SHORT)) == (tokens.Token("vault", 600), tokens.Token("", 10_000_000))
    assert tokens.renewed_at(with_tokens(SHORT, LONG), 1000) == 1480
    assert tokens.renewed_at(with_tokens(LONG), 1000) == 1000 + 24 * 3600
    assert tokens.renewed_at(pod_object(), 1000) is None
    asked = tokens.request(with_tokens(SHORT), tokens.Token("vault", 600))
    assert asked["spec"]["audiences"] == ["vault"]
    assert asked["spec"]["boundObjectRef"]["name"] == "web-1"
    assert tokens.request(pod_object(), tokens.Token("", 600))["spec"]["audiences"] == []


def test_tokens_are_files_and_new_ones_take_their_place(tmp_path):
    pod = with_tokens(
        SHORT, LONG, {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}
    )
    first = {tokens.Token("vault", 600): "one", tokens.Token("", 10_000_000): "two"}
    sources = Sources(pod, (), lambda _: None, lambda _: None, tokens=first)
    volumes.write(pod, tmp_path, sources)
    at = tmp_path / "volumes" / "v"
    assert sorted(str(path.relative_to(at)) for path in at.rglob("*")) == ["a", "a/token", "b", "ns"]
    (at / "a" / "token").chmod(0o640)
    volumes.renew(pod, tmp_path, replace(sources, tokens=dict.fromkeys(first, "new")))
    assert [(at / path).read_text() for path in ("a/token", "b", "ns")] == ["new", "new", "default"]
    assert (at / "a" / "token").stat().st_mode & 0o777 == 0o640


def test_tokens_are_renewed_in_time():
    pod = with_tokens(SHORT)
    seen = Seen(("10.0.0.1",), plugged=True, renew_at=50.0)
    assert plan(pod, seen, "172.18.0.2", 49.0).again_at == 50.0
    assert plan(pod, seen, "172.18.0.2", 50.0).actions[0] == Renew()
    assert taken_over_pod(pod, {}, is_there=True, now=7.0).renew_at == 7.0, "nobody knows how old they are"
    assert taken_over_pod(pod_object(), {}, is_there=True, now=7.0).renew_at is None


def test_an_api_that_gives_no_token_holds_the_pod():
    async def refuse(account, asked):
        raise NotFoundError(f'serviceaccounts "{account.name}" not found')

    with pytest.raises(HeldError) as caught:
        asyncio.run(tokens.fetched(with_tokens(SHORT), refuse))
    assert (str(caught.value), caught.value.reason) == (
        'MountVolume.SetUp failed: failed to fetch token: serviceaccounts "robot" not found',
        "FailedMount",
    )


def test_tokens_that_cannot_be_renewed_stay_and_are_tried_again():
    put = []

    async def answer(account, asked):
        return {"status": {"token": "new"}}

    async def refuse(account, asked):
        raise NotFoundError("gone")

    pod = with_tokens(SHORT)
    again_at, why = asyncio.run(tokens.renewed(pod, refuse, lambda *_: put.append(1), 100))
    assert (again_at, put) == (130, [])
    assert why.endswith("gone")
    again_at, why = asyncio.run(tokens.renewed(pod, answer, lambda _, made: put.append(made), 100))
    assert (again_at, why, put) == (580, "", [{tokens.Token("vault", 600): "new"}])
