"""Where a cluster keeps its things on this machine, and whether it is run as root."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.core.names import NamespacedName

DEFAULT = "default"


class Scope(StrEnum):
    """How much of a cluster there is."""

    CLUSTER = "cluster"
    """All of it: machines, Pods that run, rules."""
    CONTROL_PLANE = "control-plane"
    """The API and the controllers; nodes, and what becomes of Pods, are somebody else's business."""
    API = "api"
    """The API alone: nothing happens by itself."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Files of one cluster below STATE; names of its namespaces."""

    cluster: str
    state: Path

    @property
    def socket(self) -> Path:
        """The agent's API."""
        return self.state / "agent.sock"

    @property
    def scope(self) -> Scope | None:
        """How much of a cluster this one was begun as; None when it was not."""
        try:
            return Scope(self.scope_file.read_text())
        except (OSError, ValueError):
            return None

    @property
    def scope_file(self) -> Path:
        """Keeps `scope`."""
        return self.state / "scope"

    @property
    def shim_socket(self) -> Path:
        """The shim's socket."""
        return self.state / "shim.sock"

    @property
    def cluster_lock(self) -> Path:
        """The lock of the whole cluster: beside the state folder, which may be deleted under it."""
        return self.state.parent / f".{self.cluster}.lock"

    @property
    def pid_file(self) -> Path:
        """The agent's process: its number and the time of its start."""
        return self.state / "agent.pid"

    @property
    def shim_pid_file(self) -> Path:
        """The shim's process: its number and the time of its start."""
        return self.state / "shim.pid"

    @property
    def tls(self) -> Path:
        """Certificates, and the kubeconfig that leads to the API over HTTPS."""
        return self.state / "tls"

    @property
    def kubeconfig(self) -> Path:
        """How kubectl and others find the API; there when it is served over HTTPS."""
        return self.tls / "kubeconfig"

    @property
    def log(self) -> Path:
        """The agent's log."""
        return self.state / "agent.log"

    @property
    def database(self) -> Path:
        """The store's file."""
        return self.state / "state.db"

    @property
    def incoming(self) -> Path:
        """What `up` hands to the agent that it starts."""
        return self.state / "incoming.json"

    @property
    def rootless_file(self) -> Path:
        """There when the cluster lives in a user namespace of its own."""
        return self.state / "rootless"

    @property
    def is_rootless(self) -> bool:
        """Whether the cluster lives in a user namespace of its own."""
        return self.rootless_file.exists()

    @property
    def was_up(self) -> bool:
        """Whether an agent has once been ready: what is in the state folder is a cluster, not the rest of a start."""
        return (self.state / "agent.json").exists()

    @property
    def journal(self) -> Path:
        """Names of the namespaces that were ever made for this cluster: its mark on the machine."""
        return self.state / "namespaces"

    @property
    def lock_file(self) -> Path:
        """The lock of iptables-legacy among this cluster's own namespaces."""
        return self.state / "xtables.lock"

    @property
    def client_etc(self) -> Path:
        """The client's own files of /etc."""
        return self.state / "client" / "etc"

    def namespace_of(self, machine: str) -> str:
        """A node's (or the client's) namespace: the bare name in the default cluster."""
        return machine if self.cluster == DEFAULT else f"{self.cluster}-{machine}"

    def pod_namespace(self, pod: NamespacedName) -> str:
        """A Pod's namespace."""
        return self.namespace_of(f"{pod.namespace}.{pod.name}")


def is_root() -> bool:
    """Whether this process may make namespaces of the machine itself."""
    return os.geteuid() == 0


def state_root() -> Path:
    """The folder of all clusters of this user."""
    given = os.environ.get("NETPROXY_STATE")
    if given:
        return Path(os.path.realpath(given))  # one spelling: it is part of what marks a cluster's processes
    if is_root() and not os.environ.get("NETPROXY_ROOTLESS"):
        return Path("/run/netproxy")
    home = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local/state")
    if os.access(os.path.dirname(home) if not os.path.isdir(home) else home, os.W_OK) or os.access(
        os.path.expanduser("~"), os.W_OK
    ):
        return Path(home) / "netproxy"
    return Path(tempfile.gettempdir()) / f"netproxy-{os.getuid()}"


def check_private(folder: Path) -> None:
    """Refuse a folder of state, when it is there, that anybody but this user can write: what is in it is believed.

    Raises KernelError.
    """
    try:
        found = folder.stat()
    except OSError:  # it is made, or what is wrong is told, by whoever needs it
        return
    if not stat.S_ISDIR(found.st_mode):
        return
    if found.st_uid != os.geteuid():
        raise KernelError(f"{folder} belongs to another user, who could change what netproxy keeps there; use another "
                          "folder (NETPROXY_STATE)")  # fmt: skip
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KernelError(f"{folder} can be written by others: chmod go-w {folder}")


def clusters() -> list[str]:
    """The names of this user's clusters."""
    try:
        return sorted(p.name for p in state_root().iterdir() if not p.name.startswith(".") and p.is_dir())
    except OSError:
        return []


def paths(cluster: str) -> Paths:
    """The paths of a cluster of this user."""
    return Paths(cluster, state_root() / cluster)
