"""A node's proxy and its workers: what is followed, what a fault may not end, what is left out and said."""

import asyncio
import threading

import pytest
from support.build import FixedClock, slice_object
from support.fakenode import FakeNode, a_node, a_service, a_slice, in_a_loop, running, said
from support.world import WorldApi

from netproxy.client.recorder import Recorder
from netproxy.core.errors import ApiError, KernelError, ManifestError, NotFoundError, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.linux.fake import FakeHost, FakeKernel
from netproxy.nodeproxy.announce import Announcer, with_condition
from netproxy.nodeproxy.choice import Choice, checked_choice
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.messages import Periods, periods
from netproxy.objects.choices import LAYOUT_ANNOTATION, MODE_ANNOTATION
from netproxy.objects.kinds import NODES, SERVICES
from netproxy.objects.meta import condition
from netproxy.ruleset.ir import Ruleset

WEB, BAD = a_service("web", "10.96.0.10"), a_service("bad", "10.96.0.66")
OFTEN = {"iptables": {"syncPeriod": "50ms"}}
NFT = {"mode": "nftables"}


def repairs(log: str) -> list[str]:
    return [line.rpartition(": ")[2] for line in log.splitlines() if "changed from outside" in line]


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs", "userspace"])
def test_a_check_counts_what_it_repairs_and_not_what_objects_changed(mode: str) -> None:
    kernel = FakeKernel()
    proxy = FamilyProxy(a_node(), {"mode": mode}, FakeHost(kernel, Family.IPV4), choice=checked_choice(mode))
    assert proxy.sync(check=True).repaired == 0
    for number in range(5):
        proxy.observe(a_service(f"web{number}", f"10.96.1.{number}"))
        proxy.observe(a_slice(f"web{number}", f"10.244.0.{number}"))
        done = proxy.sync(check=True)
        assert (done.changed > 0, done.repaired) == (True, 0)
    assert (proxy.sync(check=True).changed, proxy.sync(check=True).repaired) == (0, 0)
    kernel.rules[Family.IPV4] = Ruleset(Family.IPV4)
    kernel.tables.clear()
    kernel.strangers = 1
    done = proxy.sync(check=True)
    assert 0 < done.repaired == done.changed
    assert proxy.sync(check=True).repaired == 0


@in_a_loop
async def test_only_what_somebody_else_changed_is_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    async with running(WEB, a_slice("web", "10.244.0.5")) as node:
        await node.settled()
        for number in range(20):
            node.world.put(a_service(f"web{number}", f"10.96.1.{number}"))
            node.world.put(a_slice(f"web{number}", f"10.244.1.{number}"))
            node.proxy.check()
            await node.settled()
        assert repairs(caplog.text) == []
        node.kernel.rules[Family.IPV4] = Ruleset(Family.IPV4)
        node.proxy.check()
        await node.until(lambda: repairs(caplog.text))


@pytest.mark.parametrize("large", [False, True])
def test_chains_that_linger_in_a_large_cluster_are_no_differences_and_go_at_a_check(large: bool) -> None:
    kernel = FakeKernel()
    proxy = FamilyProxy(a_node(), {}, FakeHost(kernel, Family.IPV4))
    for number in range(11 if large else 2):
        proxy.observe(a_service(f"web{number}", f"10.96.1.{number}"))
        proxy.observe(slice_object(f"web{number}", [f"10.244.{number}.{at}" for at in range(100)]))
    proxy.sync()
    proxy.observe(slice_object("web0", [f"10.244.77.{at}" for at in range(100)]))
    proxy.sync()
    assert ("10.244.0.7:" in str(kernel.rules)) is large
    assert not proxy.pending()
    proxy.observe(slice_object("web0", [f"10.244.0.{at}" for at in range(100)]))
    proxy.sync()
    assert not proxy.pending()
    done = proxy.sync(check=True)
    assert done.repaired == 0
    assert "10.244.77." not in str(kernel.rules)
    assert not proxy.pending()
    kernel.rules[Family.IPV4] = Ruleset(Family.IPV4)
    assert proxy.pending()


# --- following


@pytest.mark.parametrize("mode", ["iptables", "nftables", "userspace", "ipvs"])
@in_a_loop
async def test_rules_follow_objects(mode: str) -> None:
    async with running(WEB, a_slice("web", "10.244.0.5"), config={"mode": mode}) as node:
        await node.settled()
        assert "10.96.0.10" in node.rules()
        node.world.put(a_service("more", "10.96.0.11"))
        node.world.put(a_slice("more", "10.244.0.6"))
        await node.settled()
        assert "10.96.0.11" in node.rules()
        node.world.remove(SERVICES, NamespacedName("default", "web"))
        await node.settled()
        assert "10.96.0.10" not in node.rules()


@in_a_loop
async def test_what_changes_at_once_is_one_pass() -> None:
    async with running() as node:
        await node.settled()
        before = node.report.passes
        for number in range(100):
            node.world.put(a_service(f"web{number}", f"10.96.1.{number}"))
        await node.settled()
        assert node.report.passes == before + 1
        assert node.report.services == 100


@in_a_loop
async def test_passes_keep_their_distance_and_the_last_change_is_not_lost() -> None:
    async with running(WEB, config={"iptables": {"minSyncPeriod": "100ms"}}) as node:
        await node.settled()
        before = node.report.passes
        for number in range(20):
            node.world.put(a_slice("web", f"10.244.0.{number + 1}"))
            await asyncio.sleep(0)
        await node.settled()
        assert node.report.passes - before <= 2
        assert "10.244.0.20" in node.rules()


@in_a_loop
async def test_what_others_change_comes_back_within_the_period() -> None:
    async with running(WEB, config=OFTEN) as node:
        await node.settled()
        node.kernel.rules.clear()
        await node.until(lambda: "10.96.0.10" in node.rules())


@in_a_loop
async def test_a_check_that_is_asked_for_does_not_wait_for_the_period() -> None:
    async with running(WEB) as node:
        await node.settled()
        node.kernel.rules.clear()
        node.proxy.check()
        await node.settled()
        assert "10.96.0.10" in node.rules()


@in_a_loop
async def test_another_mode_is_there_before_the_old_one_goes() -> None:
    async with running(WEB, a_slice("web", "10.244.0.5")) as node:
        await node.settled()
        node.world.put(a_node(annotations={MODE_ANNOTATION: "nftables", LAYOUT_ANNOTATION: "flat"}))
        await node.settled()
        assert node.report.choice == Choice("nftables", "flat")
        assert not any("KUBE-SVC" in text for text in map(str, node.kernel.rules.values()))
        assert node.kernel.tables
        node.proxy.configure({"mode": "iptables", "clusterCIDR": "10.244.0.0/16"})
        node.world.put(a_node())
        await node.settled()
        assert node.report.choice.mode == "iptables"
        assert not node.kernel.tables


@in_a_loop
async def test_a_node_that_changes_in_what_does_not_matter_is_no_pass() -> None:
    async with running(WEB) as node:
        await node.settled()
        before = node.report.passes
        node.world.put(a_node(annotations={"heartbeat": "1"}))
        await node.settled()
        assert node.report.passes == before
        assert not node.proxy.waiting_since


@in_a_loop
async def test_questions_are_answered_after_everything_that_was_told() -> None:
    async with running(WEB) as node:
        node.world.put(a_service("late", "10.96.0.12"))
        snapshot = await node.proxy.ask(Family.IPV4, FamilyProxy.snapshot)
        assert [service.service for service in snapshot.services] == ["late", "web"]
        assert await node.proxy.ask(Family.IPV4, lambda _: threading.current_thread().name) == "node1 IPv4"
        with pytest.raises(NotFoundError):
            await node.proxy.ask(Family.IPV6, FamilyProxy.snapshot)


def test_periods_are_those_of_the_mode_or_of_iptables() -> None:
    config = {"iptables": {"syncPeriod": "10s", "minSyncPeriod": "2s"}, "nftables": {"syncPeriod": "20s"}}
    assert periods(config, "iptables") == Periods(10, 2)
    assert periods(config, "nftables") == Periods(20, 2)
    assert periods({}, "userspace") == Periods(30, 0)


# --- what may not end it


class Broken(FakeHost):
    """A host that breaks in a way of its own until it is mended."""

    error: Exception | None = ZeroDivisionError("of another type")

    @property
    def sysctls(self):
        if self.error is not None:
            raise self.error
        return self._sysctls

    @sysctls.setter
    def sysctls(self, value) -> None:
        self._sysctls = value


@pytest.mark.parametrize("error", [ZeroDivisionError("boom"), KernelError("no such luck"), RecursionError()])
@in_a_loop
async def test_no_error_of_a_pass_ends_a_worker(error: Exception) -> None:
    host = Broken(FakeKernel(), Family.IPV4, is_new=True)
    host.error = error
    async with running(WEB, host=host) as node:
        await node.until(lambda: node.report.error)
        ((family, fault),) = node.proxy.faults
        assert (family, fault.what) == (Family.IPV4, "rules")
        assert str(error) in fault.message
        assert node.proxy.waiting_since
        host.error = None
        await node.settled()
        assert "10.96.0.10" in node.rules()
        assert not node.proxy.faults
        assert not node.proxy.waiting_since
        assert node.report.failures >= 1


@in_a_loop
async def test_an_object_that_nobody_understands_harms_only_itself() -> None:
    odd = slice_object("odd", ("10.244.0.9",))
    odd["endpoints"] = [{"addresses": 5}]
    async with running(WEB, a_service("odd", "10.96.0.9"), a_slice("web", "10.244.0.5")) as node:
        node.world.put(odd)
        await node.settled()
        assert "10.244.0.5" in node.rules()
        assert [item.service for item in node.report.left_out] == ["odd"]
        node.world.put(a_slice("odd", "10.244.0.9"))
        await node.settled()
        assert "10.244.0.9" in node.rules()
        assert not node.report.left_out


@in_a_loop
async def test_an_error_of_a_question_goes_to_who_asked() -> None:
    async with running(WEB) as node:
        for error in (KernelError("no"), ValueError("of another type")):

            def fail(_: FamilyProxy, error: Exception = error) -> None:
                raise error

            with pytest.raises(type(error)):
                await node.proxy.ask(Family.IPV4, fail)
        await node.settled()
        assert not node.proxy.faults


@pytest.mark.parametrize(("mode", "layout", "field"), [("magic", "", "mode"), ("nftables", "diagonal", "layout")])
def test_an_unknown_mode_or_layout_does_not_come_in(mode: str, layout: str, field: str) -> None:
    with pytest.raises(ManifestError, match=f"{field}: Unsupported value"):
        checked_choice(mode, layout)


@in_a_loop
async def test_a_node_that_asks_for_an_unknown_layout_stays_in_its_mode() -> None:
    async with running(WEB, config=NFT) as node:
        await node.settled()
        odd = a_node(annotations={LAYOUT_ANNOTATION: "diagonal"})
        node.world.put(odd)
        node.world.put(a_service("more", "10.96.0.11"))
        await node.settled()
        assert "10.96.0.11" in node.rules()
        assert [fault.what for _, fault in node.proxy.faults] == ["mode"]
        node.world.put(a_node())
        assert not node.proxy.faults


@in_a_loop
async def test_a_configuration_that_makes_no_sense_changes_nothing() -> None:
    async with running(WEB) as node:
        await node.settled()
        node.proxy.configure({"iptables": {"masqueradeBit": "many"}})
        await node.settled()
        assert [fault.what for _, fault in node.proxy.faults] == ["configuration"]
        node.world.put(a_service("more", "10.96.0.11"))
        await node.settled()
        assert "10.96.0.11" in node.rules()
        node.proxy.configure({})
        await node.settled()
        assert not node.proxy.faults


@in_a_loop
async def test_it_ends_at_once_and_the_rules_stay() -> None:
    node = FakeNode(WEB)
    node.proxy.start()
    await node.settled()
    await node.proxy.close()
    assert "10.96.0.10" in node.rules()
    assert "node1 IPv4" not in [thread.name for thread in threading.enumerate()]


# --- whom the kernel refuses


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@in_a_loop
async def test_one_service_that_the_kernel_refuses_does_not_stop_the_others(mode: str) -> None:
    objects = [a_service(f"web{n}", f"10.96.1.{n}") for n in range(20)]
    slices = [a_slice(f"web{n}", f"10.244.1.{n}") for n in range(20)]
    kernel = FakeKernel()
    kernel.refuse("10.96.0.66")
    host = FakeHost(kernel, Family.IPV4, is_new=True)
    async with running(BAD, a_slice("bad", "10.244.0.66"), *objects, *slices, config={"mode": mode}, host=host) as node:
        await node.settled()
        ((left,), rules) = node.report.left_out, node.rules()
        assert (left.namespace, left.service, left.port) == ("default", "bad", "default/bad:http")
        assert "Operation not supported" in left.message
        assert all(f"10.96.1.{n}" in rules for n in range(20))
        assert "10.96.0.66" not in rules
        node.world.put(a_slice("web3", "10.244.7.7"))
        await node.settled()
        assert "10.244.7.7" in node.rules(), "everything else goes on being changed"
        node.world.put(a_service("bad", "10.96.0.67"))
        await node.settled()
        assert not node.report.left_out, "it is changed, and gets another trial"
        assert "10.96.0.67" in node.rules()


@in_a_loop
async def test_who_was_refused_is_served_as_soon_as_the_kernel_takes_it() -> None:
    kernel = FakeKernel()
    kernel.refuse("10.96.0.66")
    host = FakeHost(kernel, Family.IPV4, is_new=True)
    async with running(BAD, WEB, a_slice("bad", "10.244.0.6"), config=OFTEN, host=host) as node:
        await node.until(lambda: node.report.left_out)
        kernel.refused.clear()
        await node.until(lambda: not node.report.left_out)
        assert "10.96.0.66" in node.rules()


@in_a_loop
async def test_a_kernel_that_refuses_everything_blames_nobody() -> None:
    kernel = FakeKernel()
    kernel.refuse("KUBE-SERVICES")
    async with running(WEB, host=FakeHost(kernel, Family.IPV4, is_new=True)) as node:
        await node.until(lambda: node.report.error)
        assert not node.report.left_out
        kernel.refused.clear()
        await node.settled()
        assert "10.96.0.10" in node.rules()


# --- what is said


def announcer(node: FakeNode, api: WorldApi) -> Announcer:
    return Announcer(node.proxy, api, Recorder(api, FixedClock(), "netproxy"), FixedClock())


@in_a_loop
async def test_a_node_says_when_its_rules_cannot_be_written_and_when_they_can_again() -> None:
    kernel = FakeKernel()
    kernel.refuse("KUBE-SERVICES")
    async with running(WEB, host=FakeHost(kernel, Family.IPV4, is_new=True)) as node:
        teller = announcer(node, WorldApi(node.world))
        await node.until(lambda: node.report.error)
        assert await teller.announce()
        told = condition(node.world.find(NODES, NamespacedName("", "node1")), "NetworkUnavailable")
        assert (told["status"], told["reason"]) == ("True", "RulesNotWritten")
        assert "KUBE-SERVICES" in told["message"]
        assert said(node) == [("node1", "RulesNotWritten")]
        kernel.refused.clear()
        await node.settled()
        assert await teller.announce()
        told = condition(node.world.find(NODES, NamespacedName("", "node1")), "NetworkUnavailable")
        assert (told["status"], told["reason"]) == ("False", "RulesWritten")
        assert said(node) == [("node1", "RulesNotWritten"), ("node1", "RulesWritten")]


@in_a_loop
async def test_a_service_that_is_left_out_is_told() -> None:
    kernel = FakeKernel()
    kernel.refuse("10.96.0.66")
    async with running(BAD, WEB, a_slice("bad", "10.244.0.6"), host=FakeHost(kernel, Family.IPV4, is_new=True)) as node:
        teller = announcer(node, WorldApi(node.world))
        await node.until(lambda: node.report.left_out)
        await teller.announce()
        await teller.announce()
        assert said(node) == [("bad", "FailedToProgram")]
        kernel.refused.clear()
        node.proxy.check()
        await node.settled()
        await teller.announce()
        assert said(node) == [("bad", "FailedToProgram"), ("bad", "Programmed")]


class Refusing(WorldApi):
    """An API that does not let the condition be written."""

    def __init__(self, world, error: Exception) -> None:
        super().__init__(world)
        self.error, self.asked = error, 0

    async def replace_status(self, obj):
        self.asked += 1
        raise self.error


@pytest.mark.parametrize(("error", "is_over", "asked"), [
    pytest.param(UnavailableError(503, "", "not now"), False, 2, id="later again"),
    pytest.param(ApiError(403, "Forbidden", "nodes/status is forbidden"), True, 1, id="never again"),
])  # fmt: skip
@in_a_loop
async def test_a_condition_that_cannot_be_written(error: Exception, is_over: bool, asked: int) -> None:
    kernel = FakeKernel()
    kernel.refuse("KUBE-SERVICES")
    async with running(WEB, host=FakeHost(kernel, Family.IPV4, is_new=True)) as node:
        api = Refusing(node.world, error)
        teller = announcer(node, api)
        await node.until(lambda: node.report.error)
        assert [await teller.announce(), await teller.announce()] == [is_over, is_over]
        assert api.asked == asked


def test_a_condition_of_somebody_else_is_left_alone_as_long_as_all_is_well() -> None:
    others = [{"type": "NetworkUnavailable", "status": "False", "reason": "CalicoIsUp", "message": "Calico is running"}]
    node = {**a_node(), "status": {"conditions": others}}
    assert with_condition(node, "", "now") is node
    wrong = with_condition(node, "no rules", "now")
    assert condition(wrong, "NetworkUnavailable")["lastTransitionTime"] == "now"
    assert with_condition(wrong, "no rules", "later") is wrong
    assert condition(with_condition(wrong, "still none", "later"), "NetworkUnavailable")["lastTransitionTime"] == "now"


# --- what an API may hand out


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@pytest.mark.parametrize("wrong", [{"type": "InternalIP"}, {"type": "InternalIP", "address": "1"}])
@in_a_loop
async def test_an_address_of_a_node_that_is_none_is_passed_over(mode: str, wrong: dict[str, str]) -> None:
    async with running(WEB, config={"mode": mode}) as node:
        good = a_node()
        node.world.put({**good, "status": {"addresses": [wrong, *good["status"]["addresses"]]}})
        node.world.put(a_service("more", "10.96.0.11"))
        await node.settled()
        assert "10.96.0.11" in node.rules()
        assert not node.proxy.faults


@in_a_loop
async def test_a_service_range_that_is_none_harms_nobody() -> None:
    async with running(WEB) as node:
        cidr = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "bad"}}
        node.world.put({**cidr, "spec": {"cidrs": ["nonsense"]}})
        node.world.put(a_service("more", "10.96.0.11"))
        await node.settled()
        assert "10.96.0.11" in node.rules()
        assert [fault.what for _, fault in node.proxy.faults] == ["ServiceCIDR bad"]


def test_a_setting_that_the_kernel_refuses_keeps_no_rules_from_being_written() -> None:
    host = FakeHost(FakeKernel(), Family.IPV4, is_new=True)
    host.sysctls.read = lambda path: "5"  # it is there, and cannot be written
    proxy = FamilyProxy(a_node(), {}, host)
    proxy.observe(a_service("web", "10.96.0.10"))
    with pytest.raises(KernelError, match="sysctl"):
        proxy.sync()
    assert "10.96.0.10" in str(host.kernel.rules)


def test_a_hint_without_a_name_is_for_no_zone() -> None:
    host = FakeHost(FakeKernel(), Family.IPV4, is_new=True)
    proxy = FamilyProxy(a_node(), {}, host)
    proxy.observe(a_service("web", "10.96.0.10"))
    item = a_slice("web", "10.244.0.5")
    proxy.observe({**item, "endpoints": [{**item["endpoints"][0], "hints": {"forZones": [{}]}}]})
    proxy.sync()
    assert "10.244.0.5" in str(host.kernel.rules)
