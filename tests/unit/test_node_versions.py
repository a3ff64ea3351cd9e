"""Whose rules a node has: where it is asked for, how it changes, whether its rules count packets, what is said of it."""

import logging
import re

import pytest
from click.testing import CliRunner
from support.build import FixedClock, service_object, slice_object
from support.cases import ROOT
from support.fakenode import a_node, a_service, a_slice, in_a_loop, running, said
from support.world import WorldApi

from netproxy.cli.mode import mode
from netproxy.cli.render import render
from netproxy.client.recorder import Recorder
from netproxy.core.errors import KernelError, ManifestError
from netproxy.core.net import Family
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.nodeproxy.announce import Announcer
from netproxy.nodeproxy.choice import Choice, checked_choice, choice_of
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.metrics import Metrics, figures
from netproxy.nodeproxy.options import settings
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, VERSION_ANNOTATION
from netproxy.objects.cluster import cluster_object, cluster_spec
from netproxy.objects.live import live_cluster
from netproxy.objects.manifest import Loaded
from netproxy.objects.messages import ModeRequest
from netproxy.objects.validate import problems
from netproxy.proxy.iptables_shared import COUNTERS
from netproxy.proxy.versions import DEFAULT, V1_30, V1_36, VERSIONS

NODE_PORT = a_service(
    "web", "10.96.0.10", type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
)
NEW, OLD = Choice(version=V1_36), Choice(version=V1_30)


def asked(version: str) -> dict:
    return a_node(annotations={VERSION_ANNOTATION: version})


def a_cluster(**spec: object) -> dict:
    return {"apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "c"}, "spec": spec}


# --- where it is asked for


def test_the_same_versions_are_known_everywhere() -> None:
    assert tuple(VERSIONS) == KUBE_PROXY_VERSIONS


def test_a_node_comes_before_the_configuration() -> None:
    config = {"kubeProxyVersion": "1.36"}
    assert choice_of(a_node(), {}).version is DEFAULT
    assert choice_of(a_node(), config).version is V1_36
    assert choice_of(asked("1.30"), config).version is V1_30


@pytest.mark.parametrize(("obj", "field"), [
    pytest.param(asked("1.29"), f"metadata.annotations[{VERSION_ANNOTATION}]", id="node"),
    pytest.param(a_cluster(kubeProxyVersion="latest"), "spec.kubeProxyVersion", id="cluster"),
])  # fmt: skip
def test_other_versions_are_refused(obj: dict, field: str) -> None:
    assert [problem.path for problem in problems(obj)] == [field]
    with pytest.raises(ManifestError, match="kubeProxyVersion: Unsupported value"):
        checked_choice("", "", "1.29")


def test_a_running_cluster_takes_another_version() -> None:
    running_one = cluster_spec([a_cluster(kubeProxyVersion="1.30")])
    assert cluster_object(running_one)["spec"]["kubeProxyVersion"] == "1.30"
    assert "kubeProxyVersion" not in cluster_object(cluster_spec())["spec"]
    wanted = live_cluster([Loaded(a_cluster(kubeProxyVersion="1.36"), "f")], running_one)
    assert wanted.kube_proxy_version == "1.36"


def test_a_request_asks_for_a_mode_or_a_version() -> None:
    found = ModeRequest.from_json({"mode": "", "kubeProxyVersion": "1.30"})
    assert (found.mode, found.kube_proxy_version) == ("", "1.30")
    with pytest.raises(ManifestError, match="mode: Required value"):
        ModeRequest.from_json({"mode": ""})


def test_a_proxy_for_a_real_cluster_is_told_by_a_flag() -> None:
    assert settings({}, node="n", version="1.30").version == "1.30"


# --- rules that count packets


def a_proxy(kernel: FakeKernel, choice: Choice = NEW) -> FamilyProxy:
    proxy = FamilyProxy(a_node(), {"mode": choice.mode}, FakeHost(kernel, Family.IPV4, is_new=True), choice=choice)
    proxy.observe(NODE_PORT)
    proxy.observe(a_slice("web", "10.244.0.5"))
    return proxy


def counted(kernel: FakeKernel) -> int:
    """How many rules count."""
    return len(re.findall(r"Nfacct\(", str(kernel.rules)))


def test_rules_count_where_the_kernel_can() -> None:
    kernel = FakeKernel()
    proxy = a_proxy(kernel)
    proxy.sync()
    assert counted(kernel) == 2
    assert set(kernel.counters) == set(COUNTERS)
    assert proxy.sync().changed == 0
    proxy.reconfigure(a_node(), {}, Choice("nftables", version=V1_36))
    proxy.sync()
    assert kernel.counters == {}, "nobody counts any more"


def exported(proxy: FamilyProxy, metrics: Metrics) -> list[str]:
    metrics.count(Family.IPV4, figures(proxy))
    lines = metrics.text().decode().splitlines()
    return [line for line in lines if re.match("kubeproxy_iptables_.*packets", line)]


def test_metrics_say_what_the_kernel_has_counted_and_nothing_where_nobody_counts() -> None:
    kernel, metrics = FakeKernel(), Metrics()
    proxy = a_proxy(kernel)
    proxy.sync()
    kernel.counters |= {
        "ct_state_invalid_dropped_pkts": (7, 420),
        "localhost_nps_accepted_pkts": (3, 180),
        "mine": (9, 9),
    }
    assert exported(proxy, metrics) == [
        "kubeproxy_iptables_ct_state_invalid_dropped_packets_total 7.0",
        "kubeproxy_iptables_localhost_nodeports_accepted_packets_total 3.0",
    ]
    del kernel.counters["ct_state_invalid_dropped_pkts"]
    assert exported(proxy, metrics) == ["kubeproxy_iptables_localhost_nodeports_accepted_packets_total 3.0"]
    proxy.reconfigure(a_node(), {}, Choice("nftables", version=V1_36))
    proxy.sync()
    assert exported(proxy, metrics) == []


@pytest.mark.parametrize("missing", [
    pytest.param("nfacct add", id="no objects"), pytest.param("-m nfacct", id="objects, but no match"),
])  # fmt: skip
def test_rules_do_not_count_where_the_kernel_cannot(missing: str, caplog: pytest.LogCaptureFixture) -> None:
    kernel = FakeKernel()
    kernel.refuse(missing)
    with caplog.at_level(logging.INFO):
        a_proxy(kernel).sync()
    assert "10.96.0.10" in str(kernel.rules)
    assert counted(kernel) == 0
    assert "rules do not count packets: " in caplog.text
    assert not any("nfacct" in text and "10.96" in text for text in kernel.asked), (
        "it was not tried on the node's own rules"
    )


def test_a_kernel_that_refuses_later_gets_rules_that_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    kernel = FakeKernel()
    proxy = a_proxy(kernel)
    proxy.sync()
    kernel.refuse("-m nfacct")
    kernel.rules.clear()
    proxy.sync(check=True)
    assert "10.96.0.10" in str(kernel.rules)
    assert counted(kernel) == 0
    assert not proxy.blamed
    assert "do not count packets any more" in caplog.text


def test_a_kernel_that_refuses_something_else_still_counts() -> None:
    kernel = FakeKernel()
    proxy = a_proxy(kernel)
    proxy.sync()
    kernel.refuse("10.96.0.66")
    proxy.observe(a_service("bad", "10.96.0.66"))
    proxy.sync()
    assert [blame.service.service for blame in proxy.blamed] == ["bad"]
    assert counted(kernel) == 2


def test_where_nothing_can_be_tried_nothing_counts() -> None:
    kernel = FakeKernel()
    proxy = a_proxy(kernel)

    def nowhere() -> FakeHost:
        raise KernelError("unshare: Operation not permitted")

    proxy.host.trial = nowhere
    proxy.sync()
    assert counted(kernel) == 0


# --- another version while it runs


def test_a_node_gets_the_rules_of_another_version_in_one_transaction() -> None:
    kernel = FakeKernel()
    proxy = a_proxy(kernel, OLD)
    proxy.sync()
    assert counted(kernel) == 0
    asked_before = len(kernel.asked)
    assert proxy.reconfigure(asked("1.36"), {}, NEW)
    proxy.sync()
    assert counted(kernel) == 2
    ours = [text for text in kernel.asked[asked_before:] if "10.96.0.10" in text or "KUBE-" in text]
    assert len(ours) == 1
    assert proxy.sync(check=True).changed == 0


@in_a_loop
async def test_a_slice_that_only_one_version_follows_comes_and_goes_with_it() -> None:
    item = a_slice("web", "10.244.0.5")
    item["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = "other"
    async with running(NODE_PORT, item) as node:
        for version, follows in (("1.36", True), ("1.30", False), ("1.36", True)):
            node.world.put(asked(version))
            await node.settled()
            assert node.report.choice.version.name == version
            assert ("10.244.0.5" in node.rules()) is follows


# --- what is said


@pytest.mark.parametrize(("version", "told"), [("1.36", [("node1", "IPVSDeprecation")]), ("1.30", [])])
@in_a_loop
async def test_ipvs_is_called_deprecated_once(version: str, told: list, caplog: pytest.LogCaptureFixture) -> None:
    async with running(NODE_PORT, config={"mode": "ipvs", "kubeProxyVersion": version}) as node:
        api = WorldApi(node.world)
        teller = Announcer(node.proxy, api, Recorder(api, FixedClock(), "netproxy"), FixedClock())
        await node.settled()
        for _ in range(2):
            await teller.announce()
        assert said(node) == told
        assert caplog.text.count("deprecated") == len(told)


# --- the command line


def rendered(*options: str, case: str = "differences/nfacct") -> str:
    answer = CliRunner().invoke(render, [*options, str(ROOT / case / "spec.yaml"), str(ROOT / case / "config.yaml")])
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_render_counts_when_it_is_asked_to() -> None:
    assert "nfacct" not in rendered("--kube-proxy-version", "1.36")
    assert "nfacct" not in rendered("--kube-proxy-version", "1.30", "--nfacct")
    assert rendered("--kube-proxy-version", "1.36", "--nfacct").count("nfacct-name") == 2
    assert CliRunner().invoke(render, ["--nfacct", "--mode", "ipvs", "x"]).exit_code == 2


def test_render_asks_the_spec_for_a_version(tmp_path) -> None:
    ranges = "differences/source-range-zero"
    new, old = (rendered("--kube-proxy-version", version, case=ranges) for version in ("1.36", "1.30"))
    assert new != old
    spec = (ROOT / ranges / "spec.yaml").read_text()
    (tmp_path / "spec.yaml").write_text(spec + "\n---\n" + str(a_cluster(kubeProxyVersion="1.30")))
    answer = CliRunner().invoke(render, [str(tmp_path / "spec.yaml"), str(ROOT / ranges / "config.yaml")])
    assert answer.output == old


def test_two_versions_of_a_mode_are_compared(tmp_path) -> None:
    service = service_object(clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"])
    item = slice_object(addresses=("10.244.1.5",))
    item["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = "other"
    (tmp_path / "spec.yaml").write_text("\n---\n".join(map(str, (a_node(), service, item))))
    files = ["-f", str(tmp_path / "spec.yaml")]
    answer = CliRunner().invoke(mode, ["--diff", "iptables@1.30", "iptables@1.36", *files])
    assert answer.exit_code == 0, answer.output
    assert "iptables@1.30 is refused" in answer.output
    assert "iptables@1.36 goes to 10.244.1.5:8080" in answer.output
    same = CliRunner().invoke(mode, ["--diff", "iptables@1.30", "iptables@1.30", *files])
    assert same.output == "iptables@1.30 and iptables@1.30 treat these Services alike\n"


@pytest.mark.parametrize("side", ["iptables@1.29", "ebpf", "ebpf@1.36", "iptables@"])
def test_a_version_that_nobody_knows_is_no_side_of_a_comparison(side: str) -> None:
    answer = CliRunner().invoke(mode, ["--diff", side, "iptables"])
    assert answer.exit_code == 2
    assert "is not one of" in answer.output
