"""Manifests that no API server has seen: `render` and `mode --diff -f` hand out what a new cluster would."""

import json

import pytest
from click.testing import CliRunner
from support.build import service_object, slice_object

from netproxy.cli.mode import mode
from netproxy.cli.render import render
from netproxy.objects.meta import spec
from netproxy.registry.unaddressed import lacks_address, with_addresses


def service(name: str, ip: str = "", **more: object) -> dict:
    return service_object(name, **more, **({"clusterIP": ip} if ip else {}))


def a_cluster(*cidrs: str, **more: object) -> dict:
    meta = {"apiVersion": "netproxy.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "c"}}
    return {**meta, "spec": {"serviceCIDRs": list(cidrs), **more}}


def given(*objects: dict) -> dict[str, tuple[str, ...]]:
    made, _ = with_addresses(objects)
    return {
        obj["metadata"]["name"]: tuple(spec(obj).get("clusterIPs") or ()) for obj in made if obj["kind"] == "Service"
    }


@pytest.mark.parametrize(
    ("objects", "addresses"),
    [
        pytest.param([service("a"), service("b")], {"a": ("10.96.1.1",), "b": ("10.96.1.2",)}, id="in their order"),
        pytest.param([service("a"), service("b", "10.96.1.1")], {"a": ("10.96.1.2",), "b": ()}, id="not one that is taken"),
        pytest.param([service("a"), service("b", type="NodePort", ports=[{"port": 80, "nodePort": 30001}])],
                     {"a": ("10.96.1.2",), "b": ("10.96.1.1",)}, id="who asks for a node port comes first"),
        pytest.param([a_cluster("10.7.0.0/24"), service("a")], {"a": ("10.7.0.17",)}, id="from the cluster's range"),
        pytest.param([service("a"), service("b", "10.43.7.9")], {"a": ("10.43.1.1",), "b": ()}, id="from the range of others"),
        pytest.param([a_cluster("10.7.0.0/24", "fd07::/112"), service("a", ipFamilyPolicy="PreferDualStack")],
                     {"a": ("10.7.0.17", "fd07::101")}, id="of both families"),
        pytest.param([a_cluster("fd07::/112"), service("a")], {"a": ("fd07::101",)}, id="IPv6"),
        pytest.param([service("a", "None"), service("b", "010.096.000.005")], {"a": (), "b": ()}, id="who has one keeps it"),
    ],
)  # fmt: skip
def test_a_service_without_an_address_gets_that_of_a_new_cluster(objects, addresses) -> None:
    assert given(*objects) == addresses
    assert given(*objects) == given(*objects)


def test_node_ports_are_handed_out_with_the_address_and_named() -> None:
    made, notes = with_addresses([service("a", type="NodePort", ports=[{"port": 80}, {"port": 81, "name": "b"}])])
    assert [port["nodePort"] for port in made[0]["spec"]["ports"]] == [30086, 30087]
    assert "10.96.1.1 and node port 30086, 30087" in str(notes[0])


def test_what_a_cluster_would_refuse_is_named_and_stays_without() -> None:
    full = a_cluster("10.7.0.0/30")
    asks = service("c", type="NodePort", ports=[{"port": 80, "nodePort": 5}])
    made, notes = with_addresses([full, service("a"), service("b"), service("d"), asks])
    assert [lacks_address(obj) for obj in made] == [False, False, True, True, True]
    reasons = {note.object_name: note.message for note in notes}
    assert "valid ports" in reasons["Service default/c"]
    assert [at for at, why in reasons.items() if "is full" in why] == ["Service default/b", "Service default/d"]


@pytest.mark.parametrize("other", [{"kind": "Node"}, {"kind": "Service", "spec": {"type": "ExternalName"}}])
def test_what_has_no_address_anyway_lacks_none(other) -> None:
    assert not lacks_address(other)


ENDPOINTS = slice_object("web", ("10.244.0.2",))


def test_render_says_what_it_handed_out(tmp_path) -> None:
    file = tmp_path / "spec.json"
    file.write_text("\n".join(map(json.dumps, (service("web"), ENDPOINTS))))
    for words in (["--mode", "iptables"], ["--mode", "nftables"], ["--mode", "ipvs"], ["--mode", "userspace"]):
        done = CliRunner().invoke(render, [*words, str(file)])
        assert done.exit_code == 0, done.output
        assert "10.96.1.1" in done.stdout
        assert done.stderr == (
            "note: Service default/web: spec.clusterIP: not given: it gets 10.96.1.1, as in a new cluster\n"
        )
    shown = CliRunner().invoke(mode, ["--diff", "iptables", "userspace", "-f", str(file)])
    assert "10.96.1.1" in shown.stdout
    assert shown.stderr.count("note: ") == 1


def test_a_spec_with_addresses_is_not_talked_about(tmp_path) -> None:
    file = tmp_path / "spec.json"
    file.write_text("\n".join(map(json.dumps, (service("web", "10.96.0.7"), service("db", "None"), ENDPOINTS))))
    done = CliRunner().invoke(render, ["--mode", "userspace", str(file)])
    assert done.stderr == ""
    assert done.stdout.startswith("# port 32768: default/web:http/tcp -> 10.244.0.2:8080\n*nat\n")
    assert "-A KUBE-PORTALS-CONTAINER -d 10.96.0.7/32 -p tcp" in done.stdout
    assert "-j REDIRECT --to-ports 32768" in done.stdout
