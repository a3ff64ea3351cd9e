"""Whatever a Service is called, no text about it is longer than the kernel and its tools take."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.build import a_node
from support.examples import examples
from support.limits import too_long_in_iptables, too_long_in_nftables
from support.strategies import services

from netproxy.core.names import is_dns_label
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.iptables import compile_iptables
from netproxy.proxy.model import Snapshot
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.userspace import compile_userspace, forward_name
from netproxy.ruleset.limits import cut

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


@given(services(1), labels, labels, st.just("") | labels, st.sampled_from(NFTABLES_LAYOUTS))
@examples(80)
def test_every_legal_name_fits(service, namespace, name, port_name, layout):
    assert is_dns_label(namespace)
    service = replace(service, namespace=namespace, service=name, port_name=port_name)
    snapshot = Snapshot((service,))
    assert not too_long_in_iptables(compile_iptables(snapshot, a_node()))
    assert not too_long_in_iptables(compile_userspace(snapshot, a_node(), {forward_name(service): 40000}))
    assert not too_long_in_nftables(compile_nftables(snapshot, a_node(), layout=layout))


@given(st.text(), st.integers(0, 20))
def test_what_is_cut_is_the_beginning_and_no_character_is_halved(text, most):
    short = cut(text, most)
    assert text.startswith(short)
    assert len(short.encode()) <= most
    if short != text:
        assert len(text[: len(short) + 1].encode()) > most
