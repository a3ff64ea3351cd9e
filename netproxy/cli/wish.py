"""What `up` is asked for, and whether that can be: before anything is made."""

from __future__ import annotations

import os
from dataclasses import dataclass

from netproxy.agent.begin import with_ranges
from netproxy.agent.doctor import missing
from netproxy.agent.paths import Paths, Scope, is_root
from netproxy.core.errors import KernelError, ManifestError, Problem
from netproxy.objects.cluster import ClusterSpec, cluster_spec, modes_asked
from netproxy.objects.manifest import Loaded


@dataclass(frozen=True, slots=True)
class Wish:
    """What `up` is asked for."""

    files: tuple[str, ...]
    api_address: str
    """ADDRESS:PORT; empty where the API is to be where it was, or anywhere on loopback."""
    scope: Scope | None
    """None is what it was, or all of a cluster."""


def check_running(where: Paths, wish: Wish) -> None:
    """Raises ManifestError for what is chosen when a cluster starts, and this one runs."""
    if wish.api_address:
        why = "the cluster runs already; its API's address is chosen at its start"
        raise ManifestError([Problem("--api-address", why)])
    wanted_scope(where, wish)


def wanted_scope(where: Paths, wish: Wish) -> Scope:
    """How much of a cluster it is going to be. Raises ManifestError when it was begun as another."""
    was = where.scope
    if wish.scope and was and was is not wish.scope:
        begun = "without that" if was is Scope.CLUSTER else f"with --{was}-only"
        why = f"cluster {where.cluster} was begun {begun}: take it down first, or give this one another name with --cluster"
        raise ManifestError([Problem(f"--{wish.scope}-only", why)])
    return wish.scope or was or Scope.CLUSTER


def checked(loaded: list[Loaded], scope: Scope, *, fresh: bool, where: Paths) -> ClusterSpec | None:
    """What a FRESH cluster is going to be. Raises ManifestError or KernelError for what the agent would refuse."""
    if any(modes_asked(item.obj) for item in loaded):
        from netproxy.nodeproxy.modes import check_modes

        check_modes(loaded)
    if scope is Scope.CLUSTER:
        _check_host()
    else:
        loaded = with_ranges(loaded, where.cluster, scope)
    return dry_run(loaded, where) if fresh else None


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


def dry_run(loaded: list[Loaded], where: Paths) -> ClusterSpec:
    """The cluster; everything has been admitted to an empty store in memory.

    Raises ManifestError with all that the agent would refuse.
    """
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
    store = Store(Frozen(), lambda: f"{next(numbers):05}")
    Registry(store, cluster, gives_accounts=cluster.scope == Scope.CLUSTER).apply(loaded)
    return cluster


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
