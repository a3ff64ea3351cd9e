"""Everything that a cluster left on this machine, taken away: processes, namespaces, files. Twice is fine."""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.agent.journal import journalled
from netproxy.agent.marks import kill_all, processes_of, remove_control_groups
from netproxy.agent.paths import Paths
from netproxy.core.errors import KernelError
from netproxy.linux import netns
from netproxy.linux.files import remove_tree

ROUNDS = 50
"""How often to look again for processes that others started while they were ended."""


def sweep(paths: Paths, *, spared: Iterable[int] = ()) -> None:
    """End every process of the cluster, then remove its namespaces, and its files last. Call it with the lock held.

    Raises KernelError when processes cannot be ended: everything else stays then, so that they are found again.
    """
    end_processes(paths, spared=spared)
    for name in () if paths.is_rootless else journalled(paths):
        netns.delete(name)
    remove_control_groups(paths.state)
    remove_tree(paths.state)


def end_processes(paths: Paths, *, spared: Iterable[int] = ()) -> None:
    """SIGKILL to every process of the cluster until there is none. Raises KernelError when some stay."""
    left = processes_of(paths, spared=spared)
    for _ in range(ROUNDS):
        if not left:
            return
        kill_all(left)
        left = processes_of(paths, spared=spared)
    numbers = ", ".join(str(process.pid) for process in left)
    raise KernelError(f"processes of cluster {paths.cluster} cannot be ended: {numbers}")
