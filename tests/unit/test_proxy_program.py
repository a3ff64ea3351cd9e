"""`netproxy proxy` without a process: settings, pages, and how it begins and ends."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from support.build import service_object, slice_object
from support.etcd import Etcd, EtcdApi

from netproxy.core.errors import KernelError, ManifestError
from netproxy.core.net import Family
from netproxy.linux.clock import SystemClock
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.nodeproxy.choice import Choice
from netproxy.nodeproxy.healthz import FamilyHealth, healthz, livez
from netproxy.nodeproxy.options import FLAGS, Settings, settings
from netproxy.nodeproxy.pages import listen
from netproxy.nodeproxy.program import Program, connection, wanted
from netproxy.objects.kinds import ENDPOINT_SLICES, SERVICE_CIDRS, SERVICES
from netproxy.objects.validate import problems
from netproxy.proxy.versions import V1_30, V1_36

PACKAGING = Path(__file__).parents[2] / "packaging"
NOWHERE = {"healthz-bind-address": "", "metrics-bind-address": ""}


def of(**flags: str) -> Settings:
    return settings({name.replace("_", "-"): value for name, value in flags.items()}, node="node1")


# --- settings


def test_flags_set_fields_of_the_configuration() -> None:
    config = of(proxy_mode="nftables", cluster_cidr="10.1.0.0/16", masquerade_all="true", nodeport_addresses="primary",
                iptables_min_sync_period="5s", feature_gates="AllAlpha=true,NFTablesProxyMode=false", conntrack_max_per_core="0").config  # fmt: skip
    assert (config["mode"], config["clusterCIDR"], config["nodePortAddresses"]) == (
        "nftables",
        "10.1.0.0/16",
        ["primary"],
    )
    assert config["nftables"] == {
        "masqueradeAll": True,
        "masqueradeBit": 14,
        "minSyncPeriod": "5s",
        "syncPeriod": "30s",
    }
    assert config["featureGates"] == {"AllAlpha": True, "NFTablesProxyMode": False}
    assert config["conntrack"]["maxPerCore"] == 0


def test_every_flag_has_a_field_that_is_there() -> None:
    config = of().config
    for name, flag in FLAGS.items():
        for field in flag.fields:
            part: object = config
            for key in field.split("."):
                assert isinstance(part, dict), name
                assert key in part, name
                part = part[key]


def test_a_file_wins_over_flags_but_not_over_who_we_are(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("""
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: From-File
clientConnection: {kubeconfig: /etc/kubeconfig}
nftables: {syncPeriod: 10s}
metricsBindAddress: ""
""")
    found = settings({"proxy-mode": "iptables", "cluster-cidr": "10.1.0.0/16"}, config_file=file)
    assert (found.config["mode"], found.config["clusterCIDR"], found.node) == ("nftables", "", "from-file")
    assert found.kubeconfig == Path("/etc/kubeconfig")
    assert found.config["nftables"]["minSyncPeriod"] == "1s"
    assert found.config["metricsBindAddress"] == ""
    assert settings({"hostname-override": "flag"}, config_file=file).node == "flag"
    assert settings({}, config_file=file, node="mine", kubeconfig=Path("/k")).kubeconfig == Path("/k")


def test_without_a_name_it_is_the_hosts() -> None:
    assert settings({}, hostname=lambda: "Host1").node == "host1"


@pytest.mark.parametrize(("flags", "said"), [
    ({"proxy-mode": "magic"}, '--proxy-mode: Unsupported value: "magic"'),
    ({"masquerade-all": "perhaps"}, '--masquerade-all: Invalid value: "perhaps": must be true or false'),
    ({"iptables-sync-period": "soon"}, "--iptables-sync-period: Invalid value"),
    ({"iptables-masquerade-bit": "40"}, "--iptables-masquerade-bit: Invalid value: 40: must be within the range [0, 31]"),
    ({"metrics-bind-address": "here:1"}, "--metrics-bind-address: Invalid value"),
    ({"healthz-bind-address": "0.0.0.0:port"}, "with a port from 0"),
    ({"nodeport-addresses": "10.0.0.0/8,here"}, "--nodeport-addresses"),
    ({"feature-gates": "Foo=true,AllBeta=false,Bar=false"}, "--feature-gates: unrecognized feature gate: Foo"),
    ({"feature-gates": "Foo=true,AllBeta=false,Bar=false"}, "--feature-gates: unrecognized feature gate: Bar"),
    ({"cluster-cidr": "10.0.0.0/99", "conntrack-min": "few"}, "--cluster-cidr: Invalid value"),
])  # fmt: skip
def test_mistakes_are_named(flags: dict[str, str], said: str) -> None:
    with pytest.raises(ManifestError) as caught:
        settings(flags)
    assert said in str(caught.value)
    assert len(caught.value.problems) >= len(flags)


def test_what_a_file_says_wrongly_is_named_by_its_field(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
    file.write_text(head + "featureGates: {Foo: true}\n")
    with pytest.raises(ManifestError, match=r"^featureGates: unrecognized feature gate: Foo$"):
        settings({"feature-gates": "AllBeta=true"}, config_file=file)


def test_gates_of_an_older_version_are_not_known_and_not_refused() -> None:
    given = settings({"feature-gates": "CloudDualStackNodeIPs=true"}, node="n", version="1.30")
    assert given.config["featureGates"] == {"CloudDualStackNodeIPs": True}


@pytest.mark.parametrize("text", ["kind: Pod\napiVersion: v1\n", "", None])
def test_a_file_without_a_configuration(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ManifestError, match=r"config\.yaml"):
        settings({}, config_file=file)


def test_the_master_flag_is_another_address_of_the_server(tmp_path: Path) -> None:
    assert connection(settings({}, master="http://10.0.0.1:8080/")).server == "http://10.0.0.1:8080"
    file = tmp_path / "kubeconfig"
    file.write_text(
        json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://a:1"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        })
    )  # fmt: skip
    assert connection(settings({}, kubeconfig=file)).server == "https://a:1"
    assert connection(settings({}, kubeconfig=file, master="https://b:2")).server == "https://b:2"


def test_what_is_packed_is_understood() -> None:
    import yaml

    objects = list(yaml.safe_load_all((PACKAGING / "daemonset.yaml").read_text()))
    kinds = [obj["kind"] for obj in objects]
    assert kinds == [
        "ServiceAccount",
        "ClusterRoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "DaemonSet",
    ]
    (container,) = objects[-1]["spec"]["template"]["spec"]["containers"]
    assert container["command"][:2] == ["netproxy", "proxy"]
    known = {f"--{name}" for name in FLAGS} | {"--config"}
    assert {word.partition("=")[0] for word in container["command"][2:]} <= known
    config = yaml.safe_load(objects[4]["data"]["config.conf"])
    assert not problems(config)
    unit = (PACKAGING / "netproxy-proxy.service").read_text()
    assert "\nExecStart=/usr/local/bin/netproxy proxy --kubeconfig " in unit


def test_service_cidrs_are_asked_for_in_nftables_mode_only() -> None:
    assert SERVICE_CIDRS in wanted("node1", Choice("nftables"))
    assert SERVICE_CIDRS not in wanted("node1", Choice("iptables"))


def test_what_labels_keep_away_is_not_asked_for_and_nothing_else() -> None:
    new, old = (wanted("node1", Choice("iptables", version=version)) for version in (V1_36, V1_30))
    assert new[SERVICES].labels == "!service.kubernetes.io/service-proxy-name"
    assert new[ENDPOINT_SLICES].labels == "!service.kubernetes.io/headless"
    assert {old[kind].labels for kind in (SERVICES, ENDPOINT_SLICES)} == {
        "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"
    }


# --- health


NODE = {"metadata": {"name": "node1"}}
GOING = {"metadata": {"name": "node1"}, "spec": {"taints": [{"key": "ToBeDeletedByClusterAutoscaler"}]}}
WELL = FamilyHealth(100.0)


@pytest.mark.parametrize(("families", "node", "codes"), [
    pytest.param({}, NODE, (200, 200), id="starting up"),
    pytest.param({Family.IPV4: WELL}, NODE, (200, 200), id="in step"),
    pytest.param({Family.IPV4: FamilyHealth(100.0, 150.0)}, NODE, (200, 200), id="a change waits, not yet for long"),
    pytest.param({Family.IPV4: WELL, Family.IPV6: FamilyHealth(100.0, 110.0)}, NODE, (503, 503), id="one family is late"),
    pytest.param({Family.IPV4: FamilyHealth(0.0, 1.0)}, NODE, (200, 200), id="never in step yet"),
    pytest.param({Family.IPV4: WELL}, None, (503, 200), id="no Node"),
    pytest.param({Family.IPV4: WELL}, GOING, (503, 200), id="about to go"),
    pytest.param({Family.IPV4: WELL}, {"metadata": {"deletionTimestamp": "x"}}, (503, 200), id="being deleted"),
])  # fmt: skip
def test_who_is_well(families: dict, node: dict | None, codes: tuple[int, int]) -> None:
    answers = healthz(families, node, now=180.0, late_s=60.0), livez(families, now=180.0, late_s=60.0)
    assert tuple(answer.status for answer in answers) == codes


def test_the_body_is_kube_proxys_to_the_byte() -> None:
    families = {Family.IPV6: FamilyHealth(100.0, 101.0), Family.IPV4: FamilyHealth(120.25)}
    assert healthz(families, NODE, now=200.5, late_s=60.0).body.decode() == (
        '{"lastUpdated":"1970-01-01T00:02:00.25Z","currentTime":"1970-01-01T00:03:20.5Z","nodeEligible":true,"healthy":false,'
        '"status":{"IPv4":{"lastUpdated":"1970-01-01T00:02:00.25Z","healthy":true},'
        '"IPv6":{"lastUpdated":"1970-01-01T00:01:40Z","healthy":false}}}'
    )
    assert livez({}, now=200.5, late_s=60.0).body.decode() == (
        '{"lastUpdated":"1970-01-01T00:03:20.5Z","currentTime":"1970-01-01T00:03:20.5Z","healthy":true}'
    )


# --- beginning and end


@asynccontextmanager
async def running(etcd: Etcd, kernel: FakeKernel, **more):
    found = settings(NOWHERE | {"proxy-mode": "nftables"}, node="node1")
    host = FakeHost(kernel, Family.IPV4, is_new=True)
    program = Program(found, EtcdApi(etcd), [host], SystemClock(), Random(1), **more)
    task = asyncio.ensure_future(program.serve())
    try:
        yield program
    finally:
        program.stopping.set()
        await task


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def a_world(*objects: dict) -> Etcd:
    etcd = Etcd()
    for obj in (service_object(clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"]), slice_object(), *objects):
        etcd.put(obj)
    return etcd


def test_without_its_node_it_goes_on_after_a_while() -> None:
    async def whole() -> None:
        kernel = FakeKernel()
        async with running(a_world(), kernel, node_s=0.05) as program:
            await until(lambda: "10.96.0.10" in str(kernel.tables))
            await until(lambda: program.has_written)

    asyncio.run(whole())


def test_it_waits_for_the_addresses_of_its_node_and_follows_them(caplog: pytest.LogCaptureFixture) -> None:
    async def whole() -> None:
        kernel, etcd = FakeKernel(), a_world({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}})
        async with running(etcd, kernel, node_s=60) as program:
            await until(
                lambda: "there is no Node node1 with addresses yet; waiting for it, 60 s at most" in caplog.text
            )
            assert not kernel.tables
            assert not program.has_written
            for address in ("192.168.0.2", "192.168.0.3"):
                status = {"addresses": [{"type": "InternalIP", "address": address}]}
                etcd.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}, "status": status})
                await until(lambda address=address: address in str(kernel.tables))

    asyncio.run(whole())


def test_a_port_that_is_taken_is_tried_again_every_five_seconds() -> None:
    import socket

    waits: list[float] = []
    taken = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{taken.getsockname()[1]}"

    async def answer(path: str):
        raise AssertionError(path)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(listen("healthz server", where, 1, answer, hard_fail=False, sleep=sleep))
    assert waits == [5.0, 5.0]
    with pytest.raises(KernelError, match="Address already in use"):
        asyncio.run(listen("healthz server", where, 1, answer, hard_fail=True))
    taken.close()


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        ({"bind-address": "foo"}, "--bind-address"),
        ({"oom-score-adj": "5000"}, "--oom-score-adj"),
        ({"detect-local-mode": "BridgeInterface"}, "detectLocal.bridgeInterface"),
        ({"detect-local-mode": "InterfaceNamePrefix"}, "detectLocal.interfaceNamePrefix"),
    ],
)
def test_a_flag_that_cannot_hold_is_refused(flags, field):
    with pytest.raises(ManifestError) as refused:
        settings(flags)
    assert [problem.path for problem in refused.value.problems] == [field]


@pytest.mark.parametrize("version", ["kubeproxy.config.k8s.io/v1beta7", "v1", "componentconfig/v1alpha1"])
def test_a_configuration_of_another_version_is_refused(version, tmp_path):
    (tmp_path / "config").write_text(f"apiVersion: {version}\nkind: KubeProxyConfiguration\n")
    with pytest.raises(
        ManifestError, match=f'apiVersion: Unsupported value: "{version}": supported values: "kubeproxy'
    ):
        settings({}, config_file=tmp_path / "config")
