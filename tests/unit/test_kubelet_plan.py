"""What a kubelet does next for one Pod: a table of what there is and what follows."""

from dataclasses import replace

import pytest
from support.build import pod_object

from netproxy.kubelet import verdict
from netproxy.kubelet.plan import (
    Alive,
    Dead,
    Finish,
    Kill,
    Plan,
    Plug,
    Probe,
    RestartLater,
    Start,
    Stop,
    WriteStatus,
    plan,
    taken_over_pod,
)
from netproxy.kubelet.state import LOST, ContainerState, Probing, Seen, ended, lost, pod_status, terminated
from netproxy.objects.canonical import canonical_field

NOW = 1000.0
HOST = "172.18.0.2"
EVERY_SECOND = {"periodSeconds": 1, "failureThreshold": 2}


def a_pod(**more):
    deleting = more.pop("grace", None)
    meta = {} if deleting is None else {"deletionTimestamp": "now", "deletionGracePeriodSeconds": deleting}
    container = {"name": "c", "image": "i", **more.pop("probes", {})}
    containers = {
        "containers": [container],
        "initContainers": [{"name": at, "image": "i"} for at in more.pop("init", ())],
    }
    return pod_object(
        metadata=meta, spec={"terminationGracePeriodSeconds": 30, **containers, **more}, status={"phase": "Pending"}
    )


def seen(*states, init=(), **more):
    return Seen(
        ("10.0.0.1",), init={s.name: s for s in init}, containers={s.name: s for s in states}, **{"plugged": True, **more}
    )  # fmt: skip


def running(name="c", **more):
    return ContainerState(name, "i", "running", started_at=NOW, ready=True, started=True, reason="", **more)


def dead(code=1, name="c", **more):
    return ended(replace(running(name), restarts=more.pop("restarts", 0)), code, NOW + more.pop("ran", 1))


def waits(state, at, wait_s=0):
    return replace(state, restart_at=at, wait_s=wait_s)


def planned(pod, there, now=NOW):
    """The plan without the status, which other tests look at; with a status that is told already."""
    told = {**pod, "status": {**pod_status(pod, there, HOST, now), "phase": pod["status"]["phase"]}}
    found = plan(told, there, HOST, now)
    return Plan(tuple(a for a in found.actions if not isinstance(a, WriteStatus)), found.again_at)


PROBED = {"readinessProbe": EVERY_SECOND, "livenessProbe": {**EVERY_SECOND, "initialDelaySeconds": 5}}
ASKED = running(probes=(Probing("readinessProbe", NOW), Probing("livenessProbe", NOW + 5, passing=True)))
UNHEALTHY = replace(ASKED, failed_probe="livenessProbe")


@pytest.mark.parametrize(
    ("pod", "there", "actions", "again_at"),
    [
        pytest.param(a_pod(), Seen(), [Plug()], None, id="a new Pod is plugged in first"),
        pytest.param(a_pod(), seen(), [Start("c")], None, id="then its container starts"),
        pytest.param(a_pod(init=["a", "b"]), seen(), [Start("a", init=True)], None, id="init containers first"),
        pytest.param(a_pod(init=["a", "b"]), seen(init=[running("a")]), [], None, id="one after the other"),
        pytest.param(a_pod(init=["a", "b"]), seen(init=[dead(0, "a")]), [Start("b", init=True)], None, id="the next one"),
        pytest.param(a_pod(init=["a"]), seen(init=[dead(0, "a")]), [Start("c")], None, id="all have succeeded"),
        pytest.param(a_pod(init=["a"]), seen(init=[dead(1, "a")]), [RestartLater("a", 0)], None, id="one failed"),
        pytest.param(a_pod(init=["a"]), seen(init=[waits(dead(1, "a"), NOW)]), [Start("a", 1, init=True)], None, id="and runs again"),
        pytest.param(a_pod(init=["a"], restartPolicy="Never"), seen(init=[dead(1, "a")]), [], None, id="or never"),
        pytest.param(a_pod(), seen(running()), [], None, id="what runs is left alone"),
        pytest.param(a_pod(), seen(ContainerState("c", "i", reason="ImagePullBackOff")), [], None, id="an unknown image waits"),
        pytest.param(a_pod(), seen(dead()), [RestartLater("c", 0)], None, id="the first restart is at once"),
        pytest.param(a_pod(), seen(waits(dead(), NOW)), [Start("c", 1)], None, id="and counted"),
        pytest.param(a_pod(), seen(dead(restarts=2)), [RestartLater("c", 20)], None, id="later ones are later"),
        pytest.param(a_pod(), seen(dead(restarts=9, ran=601)), [RestartLater("c", 0)], None, id="until it ran for ten minutes"),
        pytest.param(a_pod(), seen(lost(running(restarts=5), NOW)), [RestartLater("c", 0)], None, id="what was lost does not wait"),
        pytest.param(a_pod(), seen(waits(dead(), NOW + 9, 10)), [], NOW + 9, id="a restart is waited for"),
        pytest.param(a_pod(restartPolicy="Never"), seen(dead()), [], None, id="Never"),
        pytest.param(a_pod(restartPolicy="OnFailure"), seen(dead(0)), [], None, id="OnFailure, and there was none"),
        pytest.param(a_pod(probes=PROBED), seen(ASKED), [Probe("c", "readinessProbe")], NOW + 5, id="a probe is due"),
        pytest.param(a_pod(probes=PROBED), seen(verdict.asking(ASKED, "readinessProbe")), [], NOW + 5, id="and asked once"),
        pytest.param(a_pod(probes=PROBED), seen(replace(ASKED, started=False)), [], None, id="not before the startup probe passed"),
        pytest.param(a_pod(probes=PROBED), seen(UNHEALTHY), [Stop("c", 30, "Container c failed its livenessProbe, will be restarted")], None,
                     id="an unhealthy container is asked to end"),
        pytest.param(a_pod(probes={"livenessProbe": {"terminationGracePeriodSeconds": 2}}), seen(UNHEALTHY),
                     [Stop("c", 2, "Container c failed its livenessProbe, will be restarted")], None, id="with its probe's own grace period"),
        pytest.param(a_pod(probes=PROBED), seen(replace(UNHEALTHY, stopping_since=NOW - 5)), [], NOW + 25, id="it gets time"),
        pytest.param(a_pod(probes=PROBED), seen(replace(UNHEALTHY, stopping_since=NOW - 30)), [Kill("c")], None, id="and no more"),
        pytest.param(a_pod(probes=PROBED), seen(replace(UNHEALTHY, stopping_since=NOW - 40, killed=True)), [], None, id="once"),
        pytest.param(a_pod(grace=30), Seen(), [Finish()], None, id="a Pod that never began is finished at once"),
        pytest.param(a_pod(grace=30), seen(running()), [Stop("c", 30)], None, id="a deleted Pod is asked to end"),
        pytest.param(a_pod(grace=0), seen(running()), [Stop("c", 0)], None, id="or made to"),
        pytest.param(a_pod(grace=30), seen(replace(ASKED, stopping_since=NOW)), [Probe("c", "readinessProbe")], NOW + 30,
                     id="while it ends its readiness still counts"),
        pytest.param(a_pod(grace=1), seen(running(stopping_since=NOW - 1)), [Kill("c")], None, id="a shorter grace period holds at once"),
        pytest.param(a_pod(grace=1, init=["a"]), seen(init=[running("a", killed=True)]), [], None, id="init containers end too"),
        pytest.param(a_pod(grace=1), seen(dead()), [Finish()], None, id="nothing runs any more: no restart"),
    ],
)  # fmt: skip
def test_what_follows(pod, there, actions, again_at):
    assert planned(pod, there) == Plan(tuple(actions), again_at)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_is_left_alone(phase):
    pod = {**a_pod(), "status": {"phase": phase}}
    assert plan(pod, seen(dead()), HOST, NOW) == Plan()


def test_what_others_say_of_a_pod_is_not_said_otherwise():
    pod, there = a_pod(), seen(running())
    pod["status"] = {"qosClass": "Guaranteed", "observedGeneration": 3}
    pod["metadata"] = {**pod["metadata"], "generation": 4}
    (write,) = plan(pod, there, HOST, NOW).actions
    assert (write.status["qosClass"], write.status["observedGeneration"]) == ("Guaranteed", 4)
    assert plan({**pod, "status": write.status}, there, HOST, NOW + 5) == Plan()


def test_the_status_is_told_when_nothing_starts_and_only_when_it_differs():
    pod, there = a_pod(), seen(running())
    (write,) = plan(pod, there, HOST, NOW).actions
    assert write == WriteStatus(canonical_field(pod, "status", pod_status(pod, there, HOST, NOW)))
    assert write.status["phase"] == "Running"
    assert plan({**pod, "status": write.status}, there, HOST, NOW + 5) == Plan()
    assert plan(pod, seen(), HOST, NOW).actions == (Start("c"),)


def test_who_waits_for_a_restart_is_in_crash_loop_back_off():
    pod = a_pod()
    status = pod_status(pod, seen(waits(dead(3, restarts=1), NOW + 10, 10)), HOST, NOW)["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=c")
    assert status["lastState"]["terminated"]["exitCode"] == 3
    status = pod_status(pod, seen(lost(running(), NOW)), HOST, NOW)["containerStatuses"][0]
    assert (status["state"]["terminated"]["reason"], status["state"]["terminated"]["exitCode"]) == (LOST, 137)


# --- probes


def answers(state, probes, kind, *results, now=NOW):
    for success in results:
        state = verdict.answered(state, {"name": "c", **probes}, kind, success=success, now=now)
    return state


def test_a_container_without_probes_is_ready_when_it_runs():
    state = verdict.begun(ContainerState("c", "i"), {"name": "c"}, 7, NOW)
    assert (state.phase, state.pid, state.ready, state.started, state.probes) == ("running", 7, True, True, ())


def test_verdicts_need_results_in_a_row():
    probes = {"readinessProbe": {**EVERY_SECOND, "successThreshold": 2}}
    state = verdict.begun(ContainerState("c", "i"), {"name": "c", **probes}, 7, NOW)
    seen_ready = []
    for success in (True, False, True, True, False, True, False, False):
        state = answers(state, probes, "readinessProbe", success)
        seen_ready.append(state.ready)
    assert seen_ready == [False, False, False, True, True, True, True, False]


def test_a_server_is_asked_again_soon_until_it_answers():
    probes = {"readinessProbe": {"periodSeconds": 3, "initialDelaySeconds": 1}}
    state = verdict.begun(ContainerState("c", "i"), {"name": "c", **probes}, 7, NOW)
    pauses = []
    assert state.probes[0].next_at == NOW + 1
    for success in (False, False, False, True, False):
        assert verdict.is_early(state, {"name": "c", **probes}, "readinessProbe") is (len(pauses) < 4)
        state = answers(state, probes, "readinessProbe", success)
        pauses.append(round(state.probes[0].next_at - NOW, 3))
    assert pauses == [0.02, 0.025, 0.031, 3, 3]
    late = verdict.begun(ContainerState("c", "i"), {"name": "c", **probes}, 7, NOW - verdict.EAGER_S)
    pauses = []
    for _ in range(3):
        late = answers(late, probes, "readinessProbe", False)
        pauses.append(round(late.probes[0].next_at - NOW, 3))
    assert pauses == [0.02, 0.04, 0.08], "after a second, half as often each time"


def test_only_failures_a_period_apart_end_a_container():
    probes = {"startupProbe": {"periodSeconds": 0.08, "failureThreshold": 2}, "livenessProbe": EVERY_SECOND}
    state = verdict.begun(ContainerState("c", "i"), {"name": "c", **probes}, 7, NOW - verdict.EAGER_S)
    early = answers(state, probes, "startupProbe", False, False)
    assert answers(early, probes, "startupProbe", False).failed_probe == ""
    assert answers(early, probes, "startupProbe", False, False).failed_probe == "startupProbe"
    assert answers(state, probes, "livenessProbe", False).failed_probe == ""
    assert answers(state, probes, "livenessProbe", False, False).failed_probe == "livenessProbe"
    assert answers(state, probes, "livenessProbe", True, False).failed_probe == ""


def test_a_startup_probe_that_passed_is_over_and_the_others_begin():
    probes = {"startupProbe": EVERY_SECOND, "readinessProbe": EVERY_SECOND}
    state = verdict.begun(ContainerState("c", "i"), {"name": "c", **probes}, 7, NOW)
    assert [verdict.is_due(state, probe) for probe in state.probes] == [True, False]
    state = answers(state, probes, "startupProbe", True)
    assert ([probe.kind for probe in state.probes], state.started, state.ready) == (["readinessProbe"], True, False)
    assert answers(state, probes, "startupProbe", False) == state, "an answer that comes late"
    alone = verdict.begun(ContainerState("c", "i"), {"name": "c", "startupProbe": {}}, 7, NOW)
    assert answers(alone, {"startupProbe": {}}, "startupProbe", True).ready


# --- taking over


def told(pod, *states, init=()):
    """The Pod with a status as an agent left it."""
    return {**pod, "status": pod_status(pod, seen(*states, init=init), HOST, NOW)}


def taken(pod, found, *, is_there=True):
    return taken_over_pod(pod, found, is_there=is_there, now=NOW + 60)


def test_what_runs_goes_on_as_it_was():
    pod = told(a_pod(probes={"readinessProbe": EVERY_SECOND, "startupProbe": EVERY_SECOND}), running(restarts=2))
    found = taken(pod, {"c": Alive(7, 2, NOW)})
    state = found.containers["c"]
    assert (found.ips, found.plugged) == (("10.0.0.1",), True)
    assert (state.pid, state.restarts, state.ready, state.started_at) == (7, 2, True, NOW)
    assert state.probes == (Probing("readinessProbe", NOW + 60, passing=True, pause_s=verdict.SOON_S),)
    assert planned(pod, found, NOW + 60) == Plan((Probe("c", "readinessProbe"),))


@pytest.mark.parametrize(
    ("known", "found", "restarts", "phase"),
    [
        pytest.param(running(restarts=1), {}, 1, "lost", id="it ran and does not: lost"),
        pytest.param(running(restarts=1), {"c": Dead(3, NOW)}, 1, "ended 3", id="it ended while nobody listened"),
        pytest.param(running(restarts=1), {"c": Dead(3, NOW, 2)}, 2, "ended 3", id="in a run that was not told"),
        pytest.param(dead(4, restarts=1), {}, 1, "ended 4", id="it had ended"),
        pytest.param(lost(running(restarts=1), NOW), {}, 1, "lost", id="it was lost before"),
        pytest.param(waits(dead(4, restarts=1), NOW + 9, 10), {}, 1, "ended 4", id="it waited for a restart"),
        pytest.param(dead(4), {"c": Alive(7, 1, NOW, ("10.0.0.1",))}, 1, "running", id="it was restarted without a word"),
        pytest.param(ContainerState("c", "i"), {}, 0, "new", id="it had not begun"),
        pytest.param(ContainerState("c", "i", reason="ImagePullBackOff"), {}, 0, "new", id="its image was not known"),
    ],
)  # fmt: skip
def test_what_a_new_agent_makes_of_a_container(known, found, restarts, phase):
    state = taken(told(a_pod(), known), found).containers.get("c")
    if phase == "new":
        assert state is None
        return
    assert state.restarts == restarts
    assert {"lost": state.lost, "running": state.running}.get(phase, f"ended {state.exit_code}" == phase)


def test_a_start_that_was_not_told_is_known_from_its_note():
    pod = a_pod(probes={"readinessProbe": EVERY_SECOND}, init=["a"])
    found = taken(pod, {"c": Alive(7, 0, NOW, ("10.0.0.9",))})
    assert (found.ips, found.plugged) == (("10.0.0.9",), True)
    assert not found.containers["c"].ready, "its probe decides"
    assert found.init["a"].phase == "terminated", "the init containers must have done their work"


def test_without_its_namespace_nothing_of_a_pod_goes_on():
    found = taken(told(a_pod(init=["a"]), running(), init=[dead(0, "a")]), {"c": Alive(7)}, is_there=False)
    assert not found.plugged
    assert found.ips == ("10.0.0.1",)
    assert found.containers["c"].lost
    assert taken(a_pod(), {}) == Seen()


def test_terminated_tells_how():
    assert terminated(dead(0))["reason"] == "Completed"
    assert terminated(replace(dead(127), message="sh: executable file not found"))["message"].startswith("sh")


EPHEMERAL = [{"name": "e", "image": "i", "targetContainerName": "c"}]


def test_a_container_that_is_added_to_a_pod_starts_once():
    pod = a_pod(ephemeralContainers=EPHEMERAL)
    assert planned(pod, seen(running())).actions == (Start("e"),)
    assert planned(pod, seen(running(), running("e"))).actions == ()
    assert planned(pod, seen(running(), dead(name="e"))).actions == (), "it never starts again"
    held = waits(ContainerState("e", "i"), NOW + 5)
    assert planned(pod, seen(running(), held)) == Plan((), NOW + 5)
    assert planned(pod, seen(running(), held), NOW + 5).actions == (Start("e"),)


def test_an_added_container_changes_nothing_of_how_its_pod_is():
    pod = a_pod(ephemeralContainers=EPHEMERAL)
    told = pod_status(pod, seen(running(), dead(name="e")), HOST, NOW)
    assert told["phase"] == "Running"
    (of_it,) = told["ephemeralContainerStatuses"]
    assert (of_it["name"], of_it["ready"], "terminated" in of_it["state"]) == ("e", False, True)
    assert [each["name"] for each in told["containerStatuses"]] == ["c"]


def test_an_added_container_is_taken_over():
    pod = {**a_pod(ephemeralContainers=EPHEMERAL), "status": {"podIPs": [{"ip": "10.0.0.1"}]}}
    there = taken_over_pod(pod, {"e": Alive(7), "c": Alive(8)}, is_there=True, now=NOW)
    assert {state.name: state.pid for state in there.all()} == {"c": 8, "e": 7}
