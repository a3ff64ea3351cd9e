"""Services that no API server has seen yet: the addresses and node ports that a cluster would hand out to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netproxy.core.errors import ApiError, ManifestError, Problem
from netproxy.core.net import sloppy_address
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, describe, spec
from netproxy.registry.allocate import Holdings
from netproxy.registry.given import write_order
from netproxy.registry.options import WriteOptions
from netproxy.registry.service import ServiceStrategy

_RANGES = ("Cluster", "ServiceCIDR", "Service")
"""What says which addresses there are."""


def lacks_address(obj: Object) -> bool:
    """Whether this is a Service that has no address, and ought to have one."""
    if obj.get("kind") != "Service" or spec(obj).get("type") == "ExternalName":
        return False
    return not spec(obj).get("clusterIP") and not spec(obj).get("clusterIPs")


def with_addresses(objects: Iterable[Object]) -> tuple[list[Object], list[Problem]]:
    """The objects, Services without an address as a new cluster of these objects would make them; and a note on each.

    Those that have an address stay as they are. One that a cluster would refuse stays without, and its note says why.
    """
    objects = list(objects)
    cluster = cluster_spec([obj for obj in objects if obj.get("kind") in _RANGES])
    holdings = Holdings(cluster)
    for obj in objects:
        if obj.get("kind") == "Service" and not lacks_address(obj):
            holdings.changed(None, _held(obj))
    strategy = ServiceStrategy(lambda: cluster, holdings)
    made: dict[int, Object] = {}
    notes: list[Problem] = []
    for item in write_order(Loaded(obj, "") for obj in objects if lacks_address(obj)):
        try:
            new = strategy.settled(with_defaults(item.obj), None, WriteOptions(tolerant=True))
        except (ManifestError, ApiError) as error:
            notes.append(_note(item.obj, f"not given, and a cluster would refuse this Service: {_reason(error)}"))
            continue
        holdings.changed(None, new)
        made[id(item.obj)] = new
        notes.append(_note(item.obj, f"not given: it gets {_shown(new)}, as in a new cluster"))
    return [made.get(id(obj), obj) for obj in objects], notes


def _held(service: Object) -> Object:
    """A Service with what it holds in the fields where a registry has it."""
    ips = spec(service).get("clusterIPs") or [spec(service).get("clusterIP")]
    return {
        **service,
        "spec": {**spec(service), "clusterIPs": [read for ip in ips if (read := sloppy_address(ip or ""))]},
    }


def _note(service: Object, why: str) -> Problem:
    return Problem("spec.clusterIP", why, describe(service))


def _reason(error: ManifestError | ApiError) -> str:
    return "; ".join(map(str, error.problems)) if isinstance(error, ManifestError) else str(error)


def _shown(service: Object) -> str:
    ports: Sequence[str] = [str(port["nodePort"]) for port in spec(service).get("ports") or () if port.get("nodePort")]
    on_nodes = f" and node port {', '.join(ports)}" if ports else ""
    return ", ".join(spec(service)["clusterIPs"]) + on_nodes
