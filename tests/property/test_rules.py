"""What holds for all services and all changes."""

from hypothesis import given
from hypothesis import strategies as st
from support.build import a_node, service_object, slice_object
from support.examples import examples
from support.strategies import snapshots

from netproxy.core.net import Family
from netproxy.objects.choices import NFTABLES_LAYOUTS
from netproxy.proxy.build import build
from netproxy.proxy.config import node_view
from netproxy.proxy.iptables import PER_SERVICE, IptablesCompiler, compile_iptables
from netproxy.proxy.model import Snapshot
from netproxy.proxy.nftables import NftCompiler, compile_nftables
from netproxy.proxy.tracker import Tracker
from netproxy.ruleset.diff import applied, in_batches, owned_by_prefix, plan
from netproxy.ruleset.iptables import parse, render, render_fresh_parts
from netproxy.ruleset.ir import Dnat, Jump, Ruleset
from netproxy.ruleset.nft_plan import applied as nft_applied

OWNED = owned_by_prefix(PER_SERVICE)
HOOKS = "".join(f":{hook} ACCEPT [0:0]\n" for hook in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))


@given(snapshots())
@examples(60)
def test_text_and_back(services):
    rules = compile_iptables(Snapshot(services), a_node())
    assert parse(render(rules), Family.IPV4) == rules


@given(snapshots(), snapshots())
@examples(60)
def test_the_past_does_not_matter(before, after):
    desired = compile_iptables(Snapshot(after), a_node())
    start = compile_iptables(Snapshot(before), a_node())
    made = applied(start, plan(desired, start, owned=OWNED))
    assert {n: dict(t.chains) for n, t in made.tables.items()} == {n: dict(t.chains) for n, t in desired.tables.items()}
    assert not plan(desired, made, owned=OWNED)


@given(snapshots())
@examples(60)
def test_every_jump_has_a_target_and_a_vip_leads_only_to_its_usable_endpoints(services):
    rules = compile_iptables(Snapshot(services), a_node())
    nat = rules.tables["nat"].chains
    usable = {e.target for s in services for e in s.endpoints if e.ready or (e.serving and e.terminating)}
    for table in rules.tables.values():
        for chain in table.chains.values():
            for rule in chain.rules:
                if isinstance(rule.action, Jump):
                    assert rule.action.chain in table.chains
                if isinstance(rule.action, Dnat):
                    assert rule.action.destination in usable
    assert all(name in nat for name in ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING"))


@given(snapshots(), st.integers(1, 5))
@examples(40)
def test_batches_end_where_one_transaction_ends(services, size):
    nothing = Ruleset(Family.IPV4)
    whole = plan(compile_iptables(Snapshot(services), a_node()), nothing, owned=OWNED)
    state = nothing
    for batch in in_batches(whole, nothing, chains=size):
        state = applied(state, batch)
    assert state == applied(nothing, whole)


def kept_together(steps, view, *, each):
    """Feed a tracker with changes; the snapshot after EACH so many of them, and what `build` makes of the same objects."""
    tracker = Tracker(view)
    services, slices = {}, {}
    for at, (number, step, value) in enumerate(steps, 1):
        name = f"s{number}"
        ports = [{"name": "http", "port": value, "protocol": "TCP"}]
        if number % 2:
            ports.append({"name": "dns", "port": value, "protocol": "UDP"})
        service = service_object(name, clusterIP=f"10.96.0.{number + 1}", ports=ports)
        item = slice_object(name, (f"10.244.0.{value}",))
        if step == "add":
            services[name] = service
            tracker.set_service(service)
        elif step == "delete" and name in services:
            tracker.set_service(services.pop(name), deleted=True)
        elif step == "slice":
            tracker.set_slice(item, old=slices.get(name))
            slices[name] = item
        elif step == "unslice" and name in slices:
            tracker.set_slice(slices.pop(name), deleted=True)
        if at % each == 0:
            yield tracker.snapshot(), build(services.values(), slices.values(), view)


changes = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["add", "delete", "slice", "unslice"]), st.integers(1, 9)), max_size=20
)


@given(changes, st.integers(1, 3))
@examples(60)
def test_a_tracker_holds_what_build_returns_and_says_where_it_differs(steps, each):
    view = node_view({"metadata": {"name": "node1"}}, {}, Family.IPV4)
    before = Snapshot()
    for snapshot, built in kept_together(steps, view, each=each):
        assert snapshot == built
        if before.step and snapshot.step and snapshot.step.number == before.step.number + 1:
            places = snapshot.step.places
            if places is not None:
                there = zip(before.services, snapshot.services, strict=True)
                assert {n for n, (old, new) in enumerate(there) if old != new} <= set(places)
            udp, before_udp = (
                [port for port in one.services if port.protocol == "udp"] for one in (snapshot, before)
            )  # fmt: skip
            assert snapshot.step.udp > before.step.udp or udp == before_udp
        before = snapshot


@given(changes, st.integers(1, 3), st.integers(1, 3), st.sampled_from(NFTABLES_LAYOUTS))
@examples(60)
def test_a_compiler_behind_a_tracker_comes_to_the_same_table(steps, each, seldom, layout):
    """Also when it does not see every snapshot."""
    view = node_view({"metadata": {"name": "node1"}}, {}, Family.IPV4)
    compiler = NftCompiler(view, layout=layout)
    table = compiler.whole(Snapshot())
    for number, (snapshot, _) in enumerate(kept_together(steps, view, each=each)):
        if number % seldom:
            continue
        change = compiler.change(snapshot)
        table = compiler.whole(snapshot) if change is None else nft_applied(table, change)
        assert table == compile_nftables(snapshot, view, layout=layout)


@given(snapshots())
@examples(60)
def test_the_first_load_is_the_same_rules_in_an_order_that_a_reader_can_follow(services):
    desired = compile_iptables(Snapshot(services), a_node())
    compiler = IptablesCompiler(a_node())
    declared: set[str] = set()
    text = "".join(render_fresh_parts(compiler.fresh(Snapshot(services))))
    for line in text.splitlines():
        if line.startswith("*"):
            declared = set()
        if line.startswith(":"):
            declared.add(line[1:].split()[0])
        if " -j KUBE-" in line:
            assert line.rpartition(" -j ")[2] in declared
    read = parse(
        text.replace("*nat\n", "*nat\n" + HOOKS)
        .replace("*mangle\n", "*mangle\n" + HOOKS)
        .replace("*filter\n", "*filter\n" + HOOKS),
        Family.IPV4,
    )
    for name, table in desired.tables.items():
        found = {n: c.rules for n, c in read.tables[name].chains.items() if c.rules or n in table.chains}
        assert found == {n: c.rules for n, c in table.chains.items()}
    assert compiler.whole(Snapshot(services)) == desired
