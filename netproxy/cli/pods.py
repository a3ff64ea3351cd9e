"""What `up` and `apply` say of the Pods in manifests: what they may do on this machine, and which fields do nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from netproxy.cli.client import progress
from netproxy.kubelet.fields import ignored, powers, runs_programs
from netproxy.labkit.shelf import OURS
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, describe, spec

MAY = (
    "note: Pods run programs of this machine, {who}: they read nearly all of its files and write to a /tmp, /run, /root and /home "
    "of their own and to their volumes; that is no sandbox for hostile programs"
)


def tell_of_pods(loaded: Iterable[Loaded], *, first: bool, rootless: bool) -> None:
    """Say it on standard error, once for each field. What Pods may do is said at the FIRST start of a cluster.

    ROOTLESS is whether they are this user, not root. Manifests that come with netproxy are trusted.
    """
    fields: dict[str, list[str]] = {}
    foreign = False
    for item in loaded:
        pod, path = _template(item.obj)
        for field in ignored(pod) if pod else ():
            fields.setdefault(path + field, []).append(describe(item.obj))
        if pod and not _is_ours(item):
            foreign = foreign or runs_programs(pod) or bool(powers(pod))
            if powers(pod):
                progress(f"note: {describe(item.obj)} reaches further into this machine: {', '.join(powers(pod))}")
    if foreign and first:
        progress(MAY.format(who="as you" if rootless else "as root unless they say otherwise"))
    for field, owners in fields.items():
        progress(f"warning: {field} does nothing here: {_listed(owners)}")


def _template(obj: Object) -> tuple[Object, str]:
    """The Pod that an object is or makes, empty when it makes none, and the path to it."""
    if obj.get("kind") == "Pod":
        return obj, ""
    template = spec(obj).get("template") if obj.get("kind") in ("Deployment", "ReplicaSet") else None
    return template or {}, "spec.template."


def _is_ours(item: Loaded) -> bool:
    file = Path(item.source)
    return file.is_file() and any(file.resolve().is_relative_to(folder) for folder in OURS)


def _listed(owners: list[str]) -> str:
    more = len(owners) - 1
    return owners[0] + (f" and {more} more" if more else "")
