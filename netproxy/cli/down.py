"""`netproxy down`: take a cluster down; nothing is left."""

from __future__ import annotations

import time

import click

from netproxy.agent.lock import ClusterLock, holder, wait_a_tick
from netproxy.agent.marks import kill_all, processes_of
from netproxy.agent.paths import Paths, clusters
from netproxy.agent.sweep import sweep
from netproxy.cli.client import Agent, answers, progress
from netproxy.cli.options import checked_paths, cluster_name_option, is_cluster_name
from netproxy.core.errors import ApiError, KernelError, NotFoundError
from netproxy.objects.messages import DownAnswer, Nothing

LIMIT_S = 30.0
ANSWER_S = 5.0
"""How long an agent may take to say that it will end."""


@click.command()
@click.option("--all", "everything", is_flag=True, help="Every cluster of this user.")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 1e6), default=LIMIT_S, show_default=True,
              help="Seconds that the agent, or whoever starts the cluster, may take.")  # fmt: skip
@cluster_name_option
@click.pass_context
def down(ctx: click.Context, everything: bool, wait_s: float, cluster: str) -> None:
    """Take a cluster down: processes, namespaces, rules and files.

    Twice is fine; only a cluster named by --cluster must be there.
    """
    named = ctx.get_parameter_source("cluster") is click.core.ParameterSource.COMMANDLINE
    for name in clusters() if everything else [cluster]:
        found = (is_cluster_name(name) or not named) and take_down(checked_paths(name), wait_s)
        if named and not found:
            raise NotFoundError(f"there is no cluster {name}; {_what_there_is()}")
        progress(f"cluster {name} is down")


def _what_there_is() -> str:
    names = clusters()
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "there is none"


def take_down(where: Paths, wait_s: float = LIMIT_S) -> bool:
    """Take one cluster down, whatever state it is in; whether there was anything of it.

    Raises KernelError naming the process that holds the cluster when that does not end.
    """
    if not _is_there(where):
        return False
    lock = _take(where, wait_s)
    try:
        sweep(where)
        lock.remove()
    finally:
        lock.release()
    return True


def _is_there(where: Paths) -> bool:
    try:
        return where.state.exists() or where.cluster_lock.exists() or bool(processes_of(where))
    except PermissionError:
        raise NotFoundError(f"cluster {where.cluster} belongs to another user; use sudo") from None


def _take(where: Paths, wait_s: float) -> ClusterLock:
    """The cluster's lock: an agent that has it is asked to end, and ended when it does not; others are waited for."""
    asked, end = False, time.monotonic() + wait_s
    while True:
        lock = ClusterLock.take(where, "netproxy down")
        if lock:
            return lock
        deaf = False
        if not asked and answers(where):
            asked = True
            deaf = not _ask(where)
        if deaf or time.monotonic() > end:
            _end_holder(where)
            end = time.monotonic() + wait_s
        wait_a_tick(where)


def _ask(where: Paths) -> bool:
    """Ask the agent to end; whether it has heard."""
    try:
        Agent(where).order("down", Nothing(), DownAnswer, timeout_s=ANSWER_S)
    except ApiError:
        return False
    except NotFoundError:
        pass  # it has just gone
    return True


def _end_holder(where: Paths) -> None:
    """End an agent that does not end by itself. Raises KernelError when somebody else has the lock."""
    found = holder(where)
    if found is None or found.role != "agent":
        who = found or "a process that does not say who it is"
        raise KernelError(f"cluster {where.cluster} is held by {who}: wait until it ends, or end it")
    kill_all([found.process])
