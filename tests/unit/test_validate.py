"""What is refused about an object, field by field; what is filled in; what is read of one."""

import pytest
from support.build import service_object, slice_object

from netproxy.core.errors import ManifestError
from netproxy.objects.cluster import ClusterSpec, NodeSpec, cluster_object, covering
from netproxy.objects.live import live_cluster, live_nodes
from netproxy.objects.manifest import Loaded, load, parse_manifests
from netproxy.objects.meta import controller_of
from netproxy.objects.schema import field_problems
from netproxy.objects.validate import problems


def pod(**container):
    usual = {"name": "c", "image": "i"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{**usual, **container}]},
    }


def configuration(**more):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "metadata": {"name": "k"},
        **more,
    }


def cluster(**spec):
    return {"apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "c"}, "spec": spec}


def service_cidr(*cidrs):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "s"},
        "spec": {"cidrs": list(cidrs)},
    }


@pytest.mark.parametrize(
    ("obj", "paths"),
    [
        (service_object(ports=[{"port": 80, "targetPort": "http"}]), []),
        (service_object(ports=[{"port": 80, "targetPort": "no-letter-is-too-long"}]), ["spec.ports[0].targetPort"]),
        (slice_object(ports=[{"name": "a"}, {"name": "a", "port": 70000}]), ["ports[1].name", "ports[1].port"]),
        (
            pod(ports=[{"containerPort": 0, "protocol": "X"}]),
            ["spec.containers[0].ports[0].containerPort", "spec.containers[0].ports[0].protocol"],
        ),
        (
            pod(readinessProbe={"periodSeconds": -1}),
            ["spec.containers[0].readinessProbe", "spec.containers[0].readinessProbe.periodSeconds"],
        ),
        (pod(livenessProbe={"httpGet": {"port": 0}}), ["spec.containers[0].livenessProbe.httpGet.port"]),
        (pod(startupProbe={"exec": {"command": ["true"]}, "timeoutSeconds": 1}), []),
        (service_object(externalIPs=["192.0.2.1", "127.0.0.1", "x"]), ["spec.externalIPs[1]", "spec.externalIPs[2]"]),
        (service_cidr("10.0.0.0/16", "x"), ["spec.cidrs[1]"]),
        (
            configuration(clusterCIDR="10.0.0.0/8,x", nodePortAddresses=["10.1.0.0/16", "10.0.0.0/8", "x"]),
            ["clusterCIDR[1]", "nodePortAddresses[2]"],
        ),
        (configuration(clusterCIDR="x"), ["clusterCIDR"]),
        (
            cluster(containerLogMaxSize="1Ki", containerLogMaxFiles=1),
            ["spec.containerLogMaxSize", "spec.containerLogMaxFiles"],
        ),
        (cluster(containerLogMaxSize="1Mi", containerLogMaxFiles=2), []),
    ],
)
def test_values(obj, paths):
    assert [problem.path for problem in problems(obj)] == paths


@pytest.mark.parametrize(
    ("obj", "wrong", "unknown"),
    [
        (service_object(externalIPs=["1.2.3.4"]), [], []),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"securityContext": {"supplementalGroups": [1]}}}, [], []),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"securityContext": {"supplementalGroups": ["x"]}}},
         ["spec.securityContext.supplementalGroups[0]"], []),
        (service_object(selektor={}), [], ["spec.selektor"]),
        ({"apiVersion": "x/v1", "kind": "X", "metadata": {"name": 1, "colour": "red"}}, ["metadata.name"], []),
        ({"apiVersion": "x/v1", "kind": "X"}, [], []),
    ],
)  # fmt: skip
def test_types(obj, wrong, unknown):
    found = field_problems(obj)
    assert tuple([problem.path for problem in side] for side in found) == (wrong, unknown)


def test_the_owner_that_controls_an_object_is_one_of_its_owners():
    owners = [{"name": "a"}, {"name": "b", "controller": True}]
    assert controller_of({"metadata": {"ownerReferences": owners}})["name"] == "b"
    assert controller_of({"metadata": {"ownerReferences": owners[:1]}}) == {}


def test_manifests_may_be_lists_and_empty_documents():
    text = "---\n---\n- {apiVersion: v1, kind: A}\n- {apiVersion: v1, kind: B}\n"
    assert [item.obj["kind"] for item in parse_manifests(text, "x")] == ["A", "B"]


def test_what_has_no_mistake_is_loaded():
    assert load([("a.yaml", "apiVersion: v1\nkind: X\n")], lambda obj: []) == [
        Loaded({"apiVersion": "v1", "kind": "X"}, "a.yaml")
    ]


def test_every_file_with_a_mistake_is_named():
    with pytest.raises(ManifestError) as error:
        load([("a.yaml", "kind: ["), ("b.yaml", "kind: X"), ("c.yaml", "apiVersion: v1\nkind: Pod\n")], problems)
    assert sorted({problem.source for problem in error.value.problems}) == ["a.yaml", "b.yaml", "c.yaml"]


def test_a_range_that_covers_what_was_found_is_as_wide_as_it_must_be():
    assert covering(["10.96.0.0/16"], ["10.1.0.1", "10.200.0.1"]) == "10.0.0.0/8"


def test_only_nodes_and_clusters_are_looked_at_in_a_running_cluster():
    running = ClusterSpec(nodes=(NodeSpec("n", ("172.18.0.2",), ("10.244.0.0/24",)),))
    assert live_nodes([Loaded(service_object(), "x")], {}) == []
    assert live_cluster([Loaded(service_object(), "x"), Loaded(cluster_object(running), "x")], running) == running
    with pytest.raises(ManifestError) as error:
        live_cluster([Loaded(cluster(proxyMode="x"), "x"), Loaded(cluster(podCIDRs=["10.9.0.0/16"]), "x")], running)
    assert [problem.path for problem in error.value.problems] == ["spec.proxyMode"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"iptables": {"syncPeriod": "-5s"}}, 'iptables.syncPeriod: Invalid value: "-5s": must be between 0s and 2147483647s'),
        ({"nftables": {"syncPeriod": "1e99h"}}, 'nftables.syncPeriod: Invalid value: "1e99h": must be a duration, such as 5s'),
        ({"ipvs": {"minSyncPeriod": "9" * 400 + "h"}}, "ipvs.minSyncPeriod: Invalid value"),
        ({"iptables": {"minSyncPeriod": "31s"}}, 'iptables.syncPeriod: Invalid value: "30s": must be greater than or equal to iptables.minSyncPeriod'),
        ({"configSyncPeriod": "-1s"}, "configSyncPeriod: Invalid value"),
        ({"conntrack": {"udpTimeout": "-5s"}}, "conntrack.udpTimeout: Invalid value"),
        ({"conntrack": {"udpStreamTimeout": "x"}}, "conntrack.udpStreamTimeout: Invalid value"),
        ({"conntrack": {"tcpEstablishedTimeout": "100000h"}}, "must be between 0s and 2147483s"),
        ({"ipvs": {"tcpTimeout": "-1s"}}, "ipvs.tcpTimeout: Invalid value"),
    ],
)  # fmt: skip
def test_durations_that_kube_proxy_or_the_kernel_refuses(more, says):
    (found,) = map(str, problems(configuration(**more)))
    assert says in found


@pytest.mark.parametrize("period", ["100000h", "0s", "", "2h22m"])
def test_durations_that_kube_proxy_takes(period):
    assert problems(configuration(**{mode: {"syncPeriod": period} for mode in ("iptables", "ipvs", "nftables")})) == []


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**300])
@pytest.mark.parametrize(
    ("obj", "path"),
    [
        (lambda number: configuration(oomScoreAdj=number), "oomScoreAdj"),
        (lambda number: cluster(containerLogMaxFiles=number), "spec.containerLogMaxFiles"),
        (lambda number: {**pod(), "spec": {**pod()["spec"], "terminationGracePeriodSeconds": number}}, "spec.terminationGracePeriodSeconds"),
        (lambda number: {**pod(), "metadata": {"name": "p", "generation": number}}, "metadata.generation"),
        (lambda number: pod(readinessProbe={"tcpSocket": {"port": 1}, "periodSeconds": number}), "spec.containers[0].readinessProbe.periodSeconds"),
    ],
)  # fmt: skip
def test_numbers_that_no_api_server_can_hold(obj, path, number):
    wrong, _ = field_problems(obj(number))
    assert [(problem.path, "must be an integer of 64 bits" in problem.message) for problem in wrong] == [(path, True)]
    assert field_problems(obj(2**63 - 1))[0] == []
