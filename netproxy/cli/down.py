"""`netproxy down`: take a cluster down; nothing is left."""

from __future__ import annotations

import os
import select

import click

from netproxy.agent.paths import Paths, paths, state_root
from netproxy.agent.sweep import kill_all, sweep
from netproxy.cli.client import Agent, AgentError, agent_pid, cluster_option, is_rootless, join, progress, shim_pid
from netproxy.core.errors import NotFoundError

LIMIT_S = 30


@click.command()
@click.option("--all", "everything", is_flag=True, help="Every cluster of this user.")
@cluster_option
def down(everything: bool, where: Paths) -> None:
    """Take a cluster down: processes, namespaces, rules and files. Twice is fine."""
    names = sorted(p.name for p in state_root().iterdir()) if everything and state_root().exists() else [where.cluster]
    for name in names:
        take_down(paths(name))


def take_down(where: Paths) -> None:
    """Take one cluster down, whatever state it is in."""
    try:
        there = where.state.exists()
    except PermissionError:
        raise NotFoundError(f"cluster {where.cluster} belongs to another user; use sudo") from None
    if not there:
        progress(f"cluster {where.cluster} is down")
        return
    pid = agent_pid(where)
    if pid:
        _ask(where, pid)
    if where.state.exists():
        _by_hand(where)
    progress(f"cluster {where.cluster} is down")


def _ask(where: Paths, pid: int) -> None:
    """Ask the agent to end; end it when it does not."""
    fd = os.pidfd_open(pid)
    try:
        Agent(where).ask("POST", "/netproxy/down")
    except (AgentError, NotFoundError):
        pass  # it hears nothing: by hand, then
    else:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.poll(LIMIT_S * 1000)
    finally:
        os.close(fd)


def _by_hand(where: Paths) -> None:
    """Without an agent: the journal of namespaces says what was made."""
    pid = agent_pid(where)
    if is_rootless(where):
        child = os.fork()
        if child == 0:  # joining is for good, and the state folder's parent may not be seen from inside
            code = 1
            try:
                if pid or shim_pid(where):
                    join(where)
                kill_all([pid] if pid else [])
                sweep(where)
                code = 0
            finally:
                os._exit(code)
        os.waitpid(child, 0)
        kill_all([p for p in (shim_pid(where),) if p])
    else:
        kill_all([pid] if pid else [])
    sweep(where)
