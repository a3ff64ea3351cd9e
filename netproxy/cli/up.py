"""`netproxy up`: start a cluster, or bring the running one to what the manifests say."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import click

from netproxy.agent.doctor import missing
from netproxy.agent.paths import Paths, is_root
from netproxy.cli.client import Agent, agent_pid, checked_paths, cluster_option, on_terminal, progress, shim_pid
from netproxy.cli.files import read_manifests
from netproxy.core import programs
from netproxy.core.errors import KernelError, ManifestError, Problem
from netproxy.objects.cluster import modes_asked
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import describe


@click.command()
@click.option(
    "-f", "--filename", "files", multiple=True, metavar="PATH", help="File, folder or - ; may be given again."
)
@click.option("--foreground", is_flag=True, help="Stay in front; Ctrl-C takes the cluster down.")
@click.option(
    "--wait", "wait_s", type=float, default=30, show_default=True, help="Seconds to wait for Pods to be ready."
)
@click.argument("more_files", nargs=-1, metavar="[PATH]...")
@cluster_option
def up(files: tuple[str, ...], more_files: tuple[str, ...], foreground: bool, wait_s: float, where: Paths) -> None:
    """Start a cluster from Kubernetes manifests; a running one is brought to what they say.

    As an ordinary user everything happens inside a user namespace of your own.
    """
    begun = time.monotonic()
    loaded = read_manifests((*files, *more_files)) if files or more_files else []
    for item in loaded:
        if item.obj["kind"] == "Cluster" and not is_default_name(item, where):
            where = checked_paths(item.obj["metadata"]["name"])
    if agent_pid(where):
        _apply(where, loaded, wait_s)
        return
    if any(modes_asked(item.obj) for item in loaded):
        from netproxy.nodeproxy.modes import check_modes

        check_modes(loaded)
    if not (where.state / "state.db").exists():
        dry_run(loaded, where)
    _check_host()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    agent: _Starting | None = None
    fresh = not where.state.exists()
    try:
        agent = _start(where, loaded)
        _wait_ready(agent, where, wait_s, begun)
        if foreground:
            progress("in front: Ctrl-C takes the cluster down")
            agent.process.wait()
    except KeyboardInterrupt:
        if foreground or (fresh and (agent is None or not agent.ready)):
            _take_down(agent, where)
        sys.exit(130)


def _take_down(agent: _Starting | None, where: Paths) -> None:
    """End the agent and take away whatever it has made so far."""
    from netproxy.cli.down import take_down

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if agent:
        agent.process.terminate()
        agent.process.wait()
    take_down(where)


def _check_host() -> None:
    """Raises KernelError when the host lacks what a cluster needs; nothing has been changed then."""
    lacking = missing(rootless=is_rootless_start())
    if lacking:
        listed = "\n".join(f"  {finding.what}: {finding.advice}" for finding in lacking)
        raise KernelError(f"this host lacks what a cluster needs (`netproxy doctor` lists everything):\n{listed}")


def is_rootless_start() -> bool:
    """Whether a new cluster goes into a user namespace of its own."""
    return not is_root() or bool(os.environ.get("NETPROXY_ROOTLESS"))


def is_default_name(item: Loaded, where: Paths) -> bool:
    """Whether a Cluster object leaves the choice of the name to --cluster."""
    given = (item.obj.get("metadata") or {}).get("name")
    return not given or given == where.cluster or where.cluster != "default"


def dry_run(loaded: list[Loaded], where: Paths) -> None:
    """Admit everything to an empty store in memory. Raises ManifestError with all that the agent would refuse."""
    from netproxy.objects.cluster import cluster_spec
    from netproxy.registry.registry import Registry
    from netproxy.store.store import Store

    class Frozen:
        def now(self) -> float:
            return 0.0

        def monotonic(self) -> float:
            return 0.0

    numbers = iter(range(1 << 30))
    _check_clusters(loaded)
    cluster = cluster_spec([item.obj for item in loaded], cluster_name=where.cluster)
    Registry(Store(Frozen(), lambda: f"{next(numbers):05}"), cluster).apply(loaded)


def _check_clusters(loaded: list[Loaded]) -> None:
    clusters = [item for item in loaded if item.obj["kind"] == "Cluster"]
    if len(clusters) > 1:
        places = ", ".join(item.source for item in clusters)
        raise ManifestError(
            [
                Problem(
                    "kind", f"Too many: {len(clusters)} Cluster objects ({places}): give one", source=clusters[1].source
                )
            ]
        )


class _Starting:
    """The agent's process and what it reports."""

    def __init__(self, process: subprocess.Popen[bytes], report: int) -> None:
        self.process = process
        self.report = os.fdopen(report, "rb")
        self.ready = False


def _start(where: Paths, loaded: list[Loaded]) -> _Starting:
    where.state.parent.mkdir(parents=True, exist_ok=True, mode=0o755 if is_root() else 0o700)
    where.state.mkdir(exist_ok=True, mode=0o700)
    rootless = is_rootless_start()
    joined = rootless and shim_pid(where)
    if rootless:
        (where.state / "rootless").touch()
    items = [{"obj": item.obj, "source": item.source} for item in loaded]
    (where.state / "incoming.json").write_text(json.dumps(items))
    read, write = os.pipe()
    orders = {"cluster": where.cluster, "state": str(where.state), "report": write, "rootless": rootless and not joined}
    env = {**os.environ, "NETPROXY_ORDERS": json.dumps(orders)}
    log = os.open(where.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", programs.AGENT, where.cluster],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[write], env=env, cwd="/",
            start_new_session=True, preexec_fn=_joiner(joined) if joined else None,
        )  # fmt: skip
    finally:
        os.close(log)
        os.close(write)
    return _Starting(process, read)


def _joiner(pid: int) -> Any:
    from netproxy.agent import userns

    return lambda: userns.join(pid)


def _wait_ready(agent: _Starting, where: Paths, wait_s: float, begun: float) -> None:
    last: dict[str, Any] = {}
    for line in agent.report:
        last = json.loads(line)
    if not last.get("ready"):
        agent.process.wait()
        if last.get("problems"):
            raise ManifestError([Problem("", text) for text in last["problems"]])
        message = last.get("error") or f"the agent ended while starting; its log: {_tail(where)}"
        with contextlib.suppress(OSError):
            if not (where.state / "state.db").exists():
                _forget(where)
        raise KernelError(message)
    agent.ready = True
    _report(where, wait_s, begun)


def _tail(where: Paths) -> str:
    try:
        return "\n".join(where.log.read_text().splitlines()[-15:])
    except OSError:
        return "(none)"


def _forget(where: Paths) -> None:
    import shutil

    shutil.rmtree(where.state, ignore_errors=True)


def _report(where: Paths, wait_s: float, begun: float) -> None:
    agent = Agent(where)
    waiting = _wait_for_pods(agent, wait_s)
    status = agent.ask("GET", "/netproxy/status")
    for pod in waiting:
        progress(f"warning: {describe(pod)} is not ready: {_why(pod)}")
    nodes = len(status["nodes"])
    progress(
        f"cluster {where.cluster}: {nodes} node{'s' * (nodes != 1)}, {status['pods']['ready']}/{status['pods']['total']} Pods ready, "
        f"{status['services']} Service{'s' * (status['services'] != 1)}, {status['mode']} mode, in {time.monotonic() - begun:.2f} s"
    )


def _wait_for_pods(agent: Agent, wait_s: float) -> list[dict[str, Any]]:
    """Wait; on a terminal, say how far it is. Returns the Pods that are not ready."""
    end = time.monotonic() + wait_s
    shown = False
    while True:
        left = max(0.0, end - time.monotonic())
        answer = agent.ask("POST", "/netproxy/wait", query={"timeout": str(min(left, 0.5) if on_terminal() else left)})
        if answer["settled"] or left <= 0:
            break
        shown = True
        click.echo(f"\rwaiting for {len(answer['notReady'])} of the Pods …\033[K", err=True, nl=False)
    if shown:
        click.echo("\r\033[K", err=True, nl=False)
    waiting: list[dict[str, Any]] = answer["notReady"]
    return waiting


def _why(pod: dict[str, Any]) -> str:
    for item in (pod.get("status") or {}).get("containerStatuses") or ():
        state = item.get("state") or {}
        if state.get("waiting"):
            return f"{state['waiting'].get('reason')}: {state['waiting'].get('message', '')}"
        if not item.get("ready"):
            return f"container {item['name']} is not ready"
    conditions = (pod.get("status") or {}).get("conditions") or [{}]
    return conditions[0].get("message") or "it has not started yet"


def _apply(where: Paths, loaded: list[Loaded], wait_s: float) -> None:
    begun = time.monotonic()
    agent = Agent(where)
    items = [{"obj": item.obj, "source": item.source} for item in loaded]
    agent.ask("POST", "/netproxy/apply", body=items)
    _report(where, wait_s, begun)
