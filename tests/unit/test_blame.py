"""Who is to blame when the kernel refuses a transaction."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.build import a_service, a_snapshot

from netproxy.proxy.blame import culprits, without
from netproxy.proxy.model import Snapshot


class Kernel:
    """Refuses service ports by number, pairs of them, or more than it has room for; counts what it was asked."""

    def __init__(self, bad=(), pairs=(), room=10**9, broken=False):
        self.bad, self.pairs, self.room, self.broken = set(bad), pairs, room, broken
        self.sizes = []

    def __call__(self, snapshot):
        numbers = {service.port for service in snapshot.services}
        self.sizes.append(len(numbers))
        if self.broken:
            return "no permission"
        for number in sorted(numbers & self.bad):
            return f"{number} is refused"
        for one, other in self.pairs:
            if {one, other} <= numbers:
                return f"{one} and {other} do not go together"
        return "no space left" if len(numbers) > self.room else None


def services(count):
    return a_snapshot(*(a_service(service=f"s{n:05}", port=n) for n in range(count)))


def blamed(found):
    return [blame.service.port for blame in found]


@pytest.mark.parametrize("bad", [[], [0], [7], [99], [3, 4], [0, 50, 99], list(range(0, 100, 9))], ids=str)
def test_those_that_the_kernel_refuses_are_named_and_no_others(bad):
    kernel, snapshot = Kernel(bad), services(100)
    found = culprits(snapshot, kernel)
    assert blamed(found) == bad
    assert [blame.error for blame in found] == [f"{number} is refused" for number in bad]
    assert kernel(without(snapshot, found)) is None


def test_the_only_service_port_can_be_the_bad_one():
    assert blamed(culprits(services(1), Kernel([0]))) == [0]


@pytest.mark.parametrize("at", [0, 1234, 9999])
def test_one_of_ten_thousand_is_found_in_a_logarithmic_number_of_small_tries(at):
    kernel = Kernel([at])
    assert blamed(culprits(services(10_000), kernel)) == [at]
    assert len(kernel.sizes) <= 2 * math.ceil(math.log2(10_000)) + 3
    assert sum(kernel.sizes) < 4.1 * 10_000


def test_of_two_that_do_not_go_together_the_first_stays():
    assert blamed(culprits(services(100), Kernel(pairs=[(10, 90), (20, 21)]))) == [21, 90]


def test_bad_ones_and_pairs_are_told_apart():
    kernel = Kernel(bad=[5], pairs=[(1, 2), (3, 60)])
    assert blamed(culprits(services(64), kernel)) == [2, 5, 60]


def test_nobody_is_to_blame_when_the_kernel_refuses_everything():
    assert culprits(services(100), Kernel(broken=True)) == ()


def test_tries_end_and_what_is_under_suspicion_is_left_out():
    kernel = Kernel(bad=range(0, 1000, 2))
    found = culprits(services(1000), kernel, most_tries=50)
    assert len(kernel.sizes) <= 60
    assert set(range(0, 1000, 2)) <= set(blamed(found))
    assert kernel(without(services(1000), found)) is None


def test_a_kernel_that_has_room_for_some_serves_those():
    kernel = Kernel(room=700)
    found = culprits(services(1000), kernel, most_tries=60)
    left = without(services(1000), found)
    assert kernel(left) is None
    assert len(left.services) >= 600


def test_what_is_left_is_still_the_snapshot_of_its_ranges():
    snapshot = Snapshot(services(4).services, ("10.96.0.0/16",))
    left = without(snapshot, culprits(snapshot, Kernel([2])))
    assert left.service_cidrs == ("10.96.0.0/16",)
    assert [service.port for service in left.services] == [0, 1, 3]


def test_one_that_has_changed_gets_a_new_trial():
    found = culprits(services(4), Kernel([2]))
    changed = a_snapshot(*(replace(service, node_port=30000) for service in services(4).services))
    assert without(changed, found).services == changed.services


@given(
    st.integers(1, 40),
    st.sets(st.integers(0, 39)),
    st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=4),
)
def test_the_rest_is_always_taken_and_nobody_is_left_out_without_need(count, bad, pairs):
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    snapshot = services(count)
    found = culprits(snapshot, Kernel(bad, pairs), most_tries=10_000)
    left = without(snapshot, found)
    assert Kernel(bad, pairs)(left) is None
    for blame in found:
        again = tuple(s for s in snapshot.services if s in left.services or s == blame.service)
        assert Kernel(bad, pairs)(Snapshot(again)) is not None
