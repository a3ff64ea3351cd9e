"""Versions of kube-proxy write other rules for the same flows; only these fields of proxy/versions change how one ends."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.specs import CONFIG, SERVICE_CIDRS, specs
from support.walk import End, ends

from netproxy.proxy.behaviour import POD, Probe, ending, probes
from netproxy.proxy.build import build
from netproxy.proxy.config import node_view
from netproxy.proxy.iptables import compile_iptables
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.versions import V1_30, V1_36, KubeProxyVersion

IN_BUILD = ("hint_gates", "running_duplicate_wins", "endpoints_by_addresses", "labels_on_both")
ENDS = {"iptables": IN_BUILD, "nftables": (*IN_BUILD, "node_ports_need_primary")}
"""What changes ends; nft_hairpin_set does too, of an endpoint elsewhere that calls itself by way of this node."""
COMPILE = {"iptables": compile_iptables, "nftables": compile_nftables}
PORTS = st.sampled_from([None, ["primary"], ["192.168.0.0/16", "fd00:168::/64"], ["10.0.0.0/8"]])


def with_ends_of(version: KubeProxyVersion, other: KubeProxyVersion, mode: str) -> KubeProxyVersion:
    """A version that writes as VERSION does, and treats flows as OTHER does."""
    return replace(version, **{field: getattr(other, field) for field in ENDS[mode]})


class Seen:
    """A spec as one node sees it in a mode and a version, and its rules."""

    def __init__(self, spec, mode: str, version: KubeProxyVersion, **config) -> None:
        family, services, slices, node = spec
        self.mode = mode
        nfacct = version.counts_packets and mode == "iptables"
        self.view = node_view(node, {**CONFIG, **config}, family, mode=mode, version=version, nfacct=nfacct)
        self.snapshot = build(services, slices, self.view, cidrs=[{"spec": {"cidrs": list(SERVICE_CIDRS.values())}}])
        self.rules = COMPILE[mode](self.snapshot, self.view)

    def probes(self) -> Iterator[Probe]:
        """Flows from everywhere to everything, and of each endpoint to all Services."""
        asked = [probe for _, probe in probes(self.snapshot, self.view)]
        calling = {
            endpoint.address
            for service in self.snapshot.services
            for endpoint in service.endpoints
            if (endpoint.local or self.mode == "iptables") and endpoint.address not in self.view.addresses
        }
        yield from asked
        yield from (replace(one, source=source) for source, one in product(sorted(calling), asked) if one.kind == POD)

    def ends(self) -> dict[Probe, frozenset[End]]:
        return {probe: ends(self.rules, self.view, probe) for probe in self.probes()}


@pytest.mark.parametrize("mode", list(COMPILE))
@given(specs(), PORTS, st.booleans())
@examples(30)
def test_a_flow_ends_alike_but_for_the_fields_that_say_so(mode, spec, ports, everybody) -> None:
    config = {"nodePortAddresses": ports, mode: {"masqueradeAll": everybody}}
    old, new = (Seen(spec, mode, version, **config) for version in (V1_30, with_ends_of(V1_36, V1_30, mode)))
    assert old.ends() == new.ends()


@pytest.mark.parametrize("version", [V1_30, V1_36], ids=lambda version: version.name)
@pytest.mark.parametrize("mode", list(COMPILE))
@given(specs(), PORTS, st.booleans())
@examples(60)
def test_the_rules_do_what_is_said_of_a_flow_without_rules(mode, version, spec, ports, everybody) -> None:
    seen = Seen(spec, mode, version, nodePortAddresses=ports, **{mode: {"masqueradeAll": everybody}})
    for probe in seen.probes():
        said = ending(probe, seen.snapshot, seen.view, mode)
        results = {end.result for end in ends(seen.rules, seen.view, probe)}
        assert results == ({*said.endpoints} or {{"local": "pass"}.get(said.result, said.result)}), probe
