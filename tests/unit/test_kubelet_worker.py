"""One task a Pod: what it makes of news, and what a failure costs whom."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.build import FixedClock, pod_object

from netproxy.core.errors import ConflictError, KernelError, NotFoundError, StorageError
from netproxy.core.names import NamespacedName
from netproxy.kubelet.launch import Launch
from netproxy.kubelet.ports import Place
from netproxy.kubelet.runtime import ShimLostError
from netproxy.kubelet.state import Seen
from netproxy.kubelet.worker import Room, Worker
from netproxy.objects.cluster import cluster_spec

LIMIT_S = 10


class Objects:
    """The API in memory; it refuses a status that is not of the current version, as the API does."""

    def __init__(self, *pods):
        self.stored = {pod["metadata"]["name"]: {**pod, "version": 1} for pod in pods}
        self.failures = {}
        self.written = []
        self.tokens = 0

    def pod(self, at):
        return self.stored.get(at.name)

    def pods(self):
        return self.stored.values()

    def services(self, namespace):
        return ()

    def config_map(self, at):
        return None

    def secret(self, at):
        return None

    def images(self):
        return ()

    async def write_status(self, pod):
        name = pod["metadata"]["name"]
        if self.failures.get(name):
            raise self.failures[name].pop()
        if pod["version"] != self.stored[name]["version"]:
            raise ConflictError("not the current version")
        self.stored[name] = {**pod, "version": pod["version"] + 1}
        self.written.append((name, pod["status"]["phase"]))

    async def token(self, account, asked):
        self.tokens += 1
        if self.failures.get("token"):
            raise self.failures["token"].pop()
        return {"status": {"token": f"token {self.tokens}"}}

    async def delete_finished(self, pod):
        if self.failures.get("delete"):
            raise self.failures["delete"].pop()
        self.stored.pop(pod["metadata"]["name"], None)

    def delete(self, name, grace_s=0):
        pod = self.stored[name]
        meta = {**pod["metadata"], "deletionTimestamp": "now", "deletionGracePeriodSeconds": grace_s}
        self.stored[name] = {**pod, "metadata": meta, "version": pod["version"] + 1}


class Runtime:
    """Containers that only have a number; it refuses to start what runs, as the shim does."""

    def __init__(self):
        self.running, self.log, self.failures, self.told = {}, [], [], {}

    async def start(self, name, message):
        if self.failures:
            raise self.failures.pop(0)
        if name in self.running:
            raise KernelError(f"{name} runs already")
        self.running[name] = len(self.log) + 100
        self.log.append(("start", name.partition("/")[2]))
        return self.running[name]

    def kill(self, name, number):
        if self.running.pop(name, None):
            self.log.append(("kill", name.partition("/")[2], int(number)))
            self.told[name](-int(number))

    def forget(self, prefix):
        self.log.append(("forget", prefix))


class World:
    """Workers on fakes; the network is the host's, so that no namespace is made."""

    def __init__(self, folder: Path, *pods, addresses=()):
        self.addresses = list(addresses)
        self.objects, self.runtime, self.clock, self.events = Objects(*pods), Runtime(), FixedClock(), []
        place = Place(folder, lambda node: node, lambda at: str(at))
        launch = Launch(self.objects, cluster_spec(), place)
        self.executor = ThreadPoolExecutor(1)
        room = Room(
            self.objects, self.runtime, launch, place, self.clock, self.executor,
            lambda about, kind, reason, message: self.events.append((about["metadata"]["name"], reason)),
            plug=lambda pod, ips: None, addresses=self._addresses, host_ip=lambda node: "172.18.0.2",
        )  # fmt: skip
        self.workers = {pod["metadata"]["name"]: Worker(room, pod, Seen()) for pod in pods}
        for name, worker in self.workers.items():
            self.runtime.told[f"uid-{name}/c"] = lambda code, worker=worker: worker.exited("c", code)

    def _addresses(self, pod):
        given = self.addresses.pop(0) if self.addresses else ("10.0.0.1",)
        if isinstance(given, Exception):
            raise given
        return given

    async def until(self, condition):
        """Let the workers work until something is true."""
        tasks = [asyncio.ensure_future(worker.run()) for worker in self.workers.values()]
        try:
            async with asyncio.timeout(LIMIT_S):
                while not condition():
                    await asyncio.sleep(0)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.executor.shutdown()


def a_pod(name="web", **spec):
    return pod_object(
        name, spec={"hostNetwork": True, "containers": [{"name": "c", "image": "pause"}], **spec}, status={}
    )


def phase(world, name="web"):
    return (world.objects.stored.get(name) or {}).get("status", {}).get("phase")


def test_a_new_pod_runs_after_one_write(tmp_path):
    world = World(tmp_path, a_pod())
    asyncio.run(world.until(lambda: phase(world) == "Running"))
    assert world.objects.written == [("web", "Running")]
    assert world.runtime.log == [("start", "c")]
    assert ("web", "Started") in world.events


@pytest.mark.parametrize(
    "failure", [StorageError("no room"), RuntimeError("a mistake of ours")], ids=["storage", "bug"]
)
def test_a_status_that_cannot_be_written_is_written_later_and_harms_no_other_pod(tmp_path, failure, caplog):
    world = World(tmp_path, a_pod("bad"), a_pod("good"))
    world.objects.failures["bad"] = [failure, failure]

    async def both():
        waiting = asyncio.ensure_future(world.until(lambda: phase(world, "bad") == phase(world, "good") == "Running"))
        while not waiting.done():
            await asyncio.sleep(0)
            world.clock.time += 1
        await waiting

    asyncio.run(both())
    assert world.objects.written[0] == ("good", "Running"), "it did not wait for the other"
    assert "Pod default/bad: tried again" in caplog.text
    assert world.runtime.log.count(("start", "c")) == 2, "nothing was started twice"


def test_a_status_that_changed_meanwhile_is_read_again(tmp_path):
    world = World(tmp_path, a_pod())
    world.objects.failures["web"] = [ConflictError("changed"), NotFoundError("gone, or not heard of yet")]

    async def work():
        working = asyncio.ensure_future(world.until(lambda: phase(world) == "Running"))
        while not working.done():  # others have their turn: what is news can arrive
            await asyncio.sleep(0)
        await working

    asyncio.run(work())
    assert world.runtime.log == [("start", "c")]


def test_a_pod_without_an_address_waits_for_one(tmp_path, caplog):
    world = World(tmp_path, a_pod(), addresses=[ConflictError("the Pod range is full"), ("10.0.0.1",)])
    asyncio.run(world.until(lambda: phase(world) == "Running"))
    assert ("web", "FailedCreatePodSandBox") in world.events
    assert "the Pod range is full" in caplog.text


def test_a_container_that_ended_runs_again_and_is_counted(tmp_path):
    world = World(tmp_path, a_pod())

    async def die():
        work = asyncio.ensure_future(
            world.until(lambda: ("start", "c") in world.runtime.log[1:] and len(world.objects.written) > 1)
        )
        while phase(world) != "Running":
            await asyncio.sleep(0)
        world.runtime.kill("uid-web/c", 9)
        await work

    asyncio.run(die())
    status = world.objects.stored["web"]["status"]["containerStatuses"][0]
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 137)


def test_a_start_that_the_shim_s_end_interrupted_is_made_again_at_once(tmp_path):
    world = World(tmp_path, a_pod())
    world.runtime.failures = [ShimLostError("gone")]
    asyncio.run(world.until(lambda: phase(world) == "Running"))
    assert world.objects.stored["web"]["status"]["containerStatuses"][0]["restartCount"] == 1


def test_all_lost_is_told_and_started_again(tmp_path):
    world = World(tmp_path, a_pod())

    async def lose():
        work = asyncio.ensure_future(
            world.until(lambda: len(world.runtime.log) == 2 and len(world.objects.written) == 2)
        )
        while phase(world) != "Running":
            await asyncio.sleep(0)
        world.runtime.running.clear()
        world.workers["web"].all_lost()
        await work

    asyncio.run(lose())
    status = world.objects.stored["web"]["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert ("web", "ContainersLost") in world.events


def test_a_program_that_does_not_begin_is_said_in_an_event_and_backs_off(tmp_path):
    world = World(tmp_path, a_pod())
    world.runtime.failures = [KernelError("executable file not found")] * 2
    asyncio.run(world.until(lambda: ("web", "BackOff") in world.events and len(world.objects.written) == 1))
    status = world.objects.stored["web"]["status"]["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 127
    assert ("web", "Failed") in world.events


def test_an_image_is_tried_again_when_it_is_known(tmp_path):
    world = World(tmp_path, a_pod(containers=[{"name": "c", "image": "my/app"}]))
    known = {"metadata": {"name": "my-app"}, "spec": {"image": "my/app", "command": ["sleep"]}}

    async def learn():
        work = asyncio.ensure_future(world.until(lambda: phase(world) == "Running"))
        while phase(world) != "Pending":
            await asyncio.sleep(0)
        assert world.runtime.log == []
        world.objects.images = lambda: (known,)
        world.workers["web"].image_is_known()
        await work

    asyncio.run(learn())
    assert ("web", "Failed") in world.events


@pytest.mark.parametrize("failure", [[], [StorageError("no room")]], ids=["at once", "after a failure"])
def test_a_deleted_pod_ends_and_its_object_goes_last(tmp_path, failure):
    world = World(tmp_path, a_pod())
    world.objects.failures["delete"] = failure

    async def delete():
        work = asyncio.ensure_future(world.until(lambda: not world.objects.stored))
        while phase(world) != "Running":
            await asyncio.sleep(0)
        world.objects.delete("web")
        world.workers["web"].look()
        while not work.done():
            await asyncio.sleep(0)
            world.clock.time += 1
        await work

    asyncio.run(delete())
    assert world.runtime.log[:2] == [("start", "c"), ("kill", "c", 9)]
    assert ("forget", "uid-web/") in world.runtime.log


def test_a_pod_whose_object_went_leaves_nothing(tmp_path):
    world = World(tmp_path, a_pod())

    async def vanish():
        work = asyncio.ensure_future(world.until(lambda: ("forget", "uid-web/") in world.runtime.log))
        while phase(world) != "Running":
            await asyncio.sleep(0)
        world.objects.stored.clear()
        world.workers["web"].look()
        await work

    asyncio.run(vanish())
    assert world.runtime.running == {}
    assert world.objects.pod(NamespacedName("default", "web")) is None


def test_what_keeps_the_rights_of_a_server_of_ours_has_no_volumes(tmp_path):
    mounted = [{"name": "v", "mountPath": "/usr"}]

    def mounts(image):
        container = {"name": "c", "image": image, "volumeMounts": mounted}
        about = pod_object(spec={"volumes": [{"name": "v", "emptyDir": {}}], "containers": [container]})
        world = World(tmp_path, about)
        launch = Launch(world.objects, cluster_spec(), Place(tmp_path, lambda node: node, str))
        return [each["target"] for each in launch.start(about, container, ("10.0.0.1",), 0)["mounts"]]

    assert (mounts("agnhost"), mounts("netproxy-dns")) == (["/usr"], [])


def test_tokens_are_renewed_while_a_pod_runs(tmp_path):
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    world = World(tmp_path, a_pod(volumes=[{"name": "v", "projected": {"sources": [source]}}]))
    file = tmp_path / "pods" / "uid-web" / "volumes" / "v" / "token"

    async def live():
        await world.until(lambda: phase(world) == "Running")
        assert file.read_text() == "token 1"
        world.clock.time += 480
        world.objects.failures["token"] = [NotFoundError("gone for a while")]
        await world.until(lambda: ("web", "FailedMount") in world.events)
        assert file.read_text() == "token 1"
        world.clock.time += 30
        await world.until(lambda: file.read_text() == "token 3")

    asyncio.run(live())
