"""What holds for every compiler: whole states and the changes between them say the same."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import a_node
from support.examples import examples
from support.strategies import snapshots

from netproxy.core.net import Family
from netproxy.proxy.compiler import Compiler
from netproxy.proxy.iptables import IptablesCompiler
from netproxy.proxy.ipvs import IpvsCompiler
from netproxy.proxy.model import Snapshot
from netproxy.proxy.nftables import NftCompiler
from netproxy.proxy.userspace import UserspaceCompiler, forward_name
from netproxy.ruleset import diff, ipvs, nft_plan
from netproxy.ruleset.ir import Ruleset


class Listening(dict):
    """A process that listens for every forward."""

    def __missing__(self, name: str) -> int:
        return 40000 + sum(name.encode())

    def get(self, name: str, default: Any = None) -> int | None:
        return None if name.endswith("/sctp") else self[name]


def userspace() -> UserspaceCompiler:
    compiler = UserspaceCompiler(a_node())
    compiler.listen(Listening())
    return compiler


def chains(rules: Ruleset) -> dict:
    return {name: dict(table.chains) for name, table in rules.tables.items()}


def of_ipvs(state: ipvs.Ipvs) -> tuple:
    servers = {key: (s.scheduler, s.persistent_s, frozenset(s.destinations)) for key, s in state.servers.items()}
    return servers, {**state.sets}, state.addresses, state.rules and chains(state.rules)


def same(state: object) -> object:
    return state


COMPILERS: dict[str, tuple] = {
    "iptables": (lambda: IptablesCompiler(a_node()), diff.applied, chains),
    "nftables": (lambda: NftCompiler(a_node()), nft_plan.applied, same),
    "flat": (lambda: NftCompiler(a_node(), layout="flat"), nft_plan.applied, same),
    "ipvs": (
        lambda: IpvsCompiler(a_node()), lambda state, change: replace(ipvs.applied(state, change), rules=state.rules), of_ipvs,
    ),
    "userspace": (userspace, diff.applied, chains),
}  # fmt: skip
each_mode = pytest.mark.parametrize("mode", COMPILERS)


def follow(compiler: Compiler, state: Any, snapshot: Snapshot, applied: Any) -> Any:
    """What a mode does at each pass."""
    change = compiler.change(snapshot)
    return compiler.whole(snapshot) if change is None else applied(state, change)


@each_mode
@given(snapshots(), st.lists(st.tuples(snapshots(), st.booleans()), max_size=4))
@examples(60)
def test_following_every_change_ends_where_a_new_compiler_begins(mode, first, rest) -> None:
    make, applied, comparable = COMPILERS[mode]
    compiler, known = make(), {}
    state = compiler.whole(Snapshot(first))
    for services, looks in rest:
        snapshot = Snapshot(tuple(known.setdefault(service, service) for service in services))
        wanted = comparable(make().whole(snapshot))
        if looks:
            assert comparable(compiler.look(snapshot)) == wanted
        state = follow(compiler, state, snapshot, applied)
        assert comparable(state) == wanted
        assert not compiler.change(snapshot), "a second pass changes something"


@each_mode
def test_getting_ready_changes_nothing(mode) -> None:
    make, _, comparable = COMPILERS[mode]
    compiler = make()
    before = comparable(compiler.whole(Snapshot()))
    compiler.get_ready()
    compiler.get_ready()
    assert not compiler.change(Snapshot())
    assert comparable(compiler.look(Snapshot())) == before


@given(snapshots(), snapshots())
@examples(60)
def test_a_process_that_moves_gets_all_rules_anew(before, after) -> None:
    compiler = userspace()
    compiler.whole(Snapshot(before))
    moved = {forward_name(service): 50000 + at for at, service in enumerate((*before, *after))}
    compiler.listen(moved)
    other = UserspaceCompiler(a_node(family=Family.IPV4))
    other.listen(moved)
    change = compiler.change(Snapshot(after))
    assert change is None or not any(service.protocol != "sctp" for service in before)
    assert compiler.whole(Snapshot(after)) == other.whole(Snapshot(after))
