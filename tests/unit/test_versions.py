"""What both versions of kube-proxy left in the kernel, from objects alone: joined at once, and followed step by step."""

from dataclasses import replace

import pytest
from support.build import a_node, a_service, a_snapshot, service_object, slice_object
from support.cases import DEFECTS_OF_KUBE_PROXY, FILES, Case, canonical, recorded_cases, service_addresses

from netproxy.core.net import Family, family_of
from netproxy.proxy.build import is_proxied, service_ports
from netproxy.proxy.iptables import IptablesCompiler
from netproxy.proxy.ipvs import IpvsCompiler, service_part
from netproxy.proxy.versions import V1_30, V1_36, KubeProxyVersion
from netproxy.ruleset import ipvs
from netproxy.ruleset.diff import applied
from netproxy.ruleset.iptables import render
from netproxy.ruleset.ipvs import Ipvs, VirtualServer, parse_servers, parse_sets

CASES = [c for c in recorded_cases(kinds="recorded flows differences") if c.folder.name not in DEFECTS_OF_KUBE_PROXY]
RANDOM = recorded_cases(kinds="random")
STEPS = [c for c in (*CASES, *RANDOM) if c.has_steps and c.folder.name != "large-cluster"]
"""A large cluster's stale chains linger in the kernel: tests/kernel/test_recorded.py."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_iptables_rules_are_those_of_kube_proxy(case: Case) -> None:
    for family, file in FILES.items():
        view = case.view(family, nfacct=case.counts)
        assert canonical(render(IptablesCompiler(view).whole(case.snapshot(view)))) == case.recorded(file)


@pytest.mark.parametrize("case", STEPS, ids=lambda case: case.id)
def test_iptables_rules_follow_the_objects_as_kube_proxy_does(case: Case) -> None:
    compiler, state = IptablesCompiler(case.view(Family.IPV4)), None
    for family, step, view, snapshot in case.moments(nfacct=case.counts):
        if view != compiler.node:
            compiler, state = IptablesCompiler(view), None
        change = compiler.change(snapshot) if state else None
        state = applied(state, change) if state and change is not None else compiler.whole(snapshot)
        assert canonical(render(state)) == case.recorded(FILES[family], step), step


IPVS_RULES = {Family.IPV4: "ipvs.iptables.txt", Family.IPV6: "ipvs.ip6tables.txt"}


@pytest.mark.parametrize("version", [V1_30, V1_36], ids=lambda version: version.name)
@pytest.mark.parametrize("case", recorded_cases(V1_30, file="ipvs.ipvsadm"), ids=lambda case: case.id)
def test_ipvs_follows_the_objects_as_1_30_does_in_both_versions(case: Case, version: KubeProxyVersion) -> None:
    compiler, state = None, None
    for _, step, seen, snapshot in case.moments("ipvs"):
        view = replace(seen, version=version)
        if compiler is None or view != compiler.node:
            compiler, state = IpvsCompiler(view), None
        change = compiler.change(snapshot) if state else None
        state = ipvs.applied(state, change) if state and change is not None else compiler.whole(snapshot)
        if case.recorded("ipvs.ipvsadm", step) is not None:
            assert_as_recorded(state, case, step)


def assert_as_recorded(state: Ipvs, case: Case, step: int) -> None:
    servers = parse_servers(case.recorded("ipvs.ipvsadm", step) or "").items()
    of_family = {key: alike(server) for key, server in servers if family_of(key.address) is state.family}
    assert {key: alike(server) for key, server in state.servers.items()} == of_family
    assert {**state.sets} == parse_sets(case.recorded("ipvs.ipset", step) or "", state.family)
    shown = {address.partition("/")[0] for address in service_addresses(case.recorded("ipvs.addresses", step) or "")}
    assert state.addresses == {address for address in shown if family_of(address) is state.family}
    assert state.rules is not None
    assert canonical(render(state.rules)) == canonical(case.recorded(IPVS_RULES[state.family], step) or "")


def alike(server: VirtualServer) -> tuple:
    return server.scheduler, server.persistent_s, server.flags, frozenset(server.destinations)


@pytest.mark.parametrize(("version", "proxied"), [(V1_30, False), (V1_36, True)])
def test_the_label_of_headless_services_keeps_a_service_away_from_1_30(
    version: KubeProxyVersion, proxied: bool
) -> None:
    labels = {"service.kubernetes.io/headless": ""}
    service = {
        "metadata": {"name": "web", "namespace": "default", "labels": labels},
        "spec": {"clusterIP": "10.96.0.9"},
    }
    assert is_proxied(service, a_node(version=version)) is proxied


def test_an_endpoint_whose_address_is_none_is_passed_over() -> None:
    service = service_object(clusterIP="10.96.0.9", clusterIPs=["10.96.0.9"])
    (found,) = service_ports(service, [slice_object(addresses=("nowhere", "10.244.0.5"))], a_node())
    assert [endpoint.address for endpoint in found.endpoints] == ["10.244.0.5"]


def test_a_node_port_of_no_address_is_nowhere_in_ipvs_mode() -> None:
    service = a_service("10.0.0.1", node_port=30080, health_check_node_port=32000, external_local=True)
    entries = {short for short, _ in service_part(service, a_node(node_port_addresses=("203.0.113.0/24",))).entries}
    assert entries == {"CLUSTER-IP"}
    here = {short for short, _ in service_part(service, a_node()).entries}
    assert here == {"CLUSTER-IP", "NODE-PORT-TCP", "NODE-PORT-LOCAL-TCP", "HEALTH-CHECK-NODE-PORT"}


def test_the_node_is_kept_from_load_balancers_in_the_order_of_their_addresses() -> None:
    ips = ("203.0.113.9", "203.0.113.1", "203.0.113.9")
    services = [
        a_service("10.0.0.1", service=name, load_balancer_ips=ips, source_ranges=("203.0.113.0/24",)) for name in "ba"
    ]
    compiler = IpvsCompiler(a_node())
    for kept in (services, services[:1]):
        state = compiler.whole(a_snapshot(*kept)) if kept is services else compiler.change(a_snapshot(*kept))
        if state is None:
            state = compiler.whole(a_snapshot(*kept))
        guards = state.rules.tables["filter"].chains["KUBE-IPVS-OUT-FILTER"].rules
        assert [rule.match[0].net for rule in guards] == [f"{ip}/32" for _ in kept for ip in ips]
