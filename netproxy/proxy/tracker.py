"""Keeps the joined service ports of a node up to date as objects change: work in proportion to the change.

A cache, nothing more: `Tracker` fed with all objects in any order holds what `build` returns for them.
"""

from __future__ import annotations

from netproxy.core.names import NamespacedName
from netproxy.objects.meta import Object, key
from netproxy.proxy.build import service_cidrs, service_ports, slice_key
from netproxy.proxy.model import NodeView, ServicePort, Snapshot, Step


class Tracker:
    """Services and slices of one node and family, joined."""

    def __init__(self, node: NodeView) -> None:
        self.node = node
        self.faults: dict[tuple[str, str], Exception] = {}
        """Services whose objects cannot be understood, and why."""
        self._services: dict[tuple[str, str], Object] = {}
        self._slices: dict[tuple[str, str], dict[NamespacedName, Object]] = {}
        self._ports: dict[tuple[str, str], tuple[ServicePort, ...]] = {}
        self._dirty: set[tuple[str, str]] = set()
        self._flat: list[ServicePort] = []
        self._offset: dict[tuple[str, str], int] = {}
        self._snapshot: Snapshot | None = Snapshot()
        self._cidrs: dict[str, tuple[str, ...]] = {}
        self._steps = self._udp_steps = 0
        self._places: list[int] = []
        self._has_moved = False

    def again_for(self, node: NodeView) -> Tracker:
        """The same objects, to be joined for another view of the node."""
        other = Tracker(node)
        other._services = self._services
        other._slices = self._slices
        other._cidrs = self._cidrs
        other._dirty = {*self._services, *self._slices}
        other._snapshot = None
        return other

    def set_service(self, obj: Object, *, deleted: bool = False) -> None:
        """A Service was added, changed or deleted."""
        at = (key(obj).namespace or "default", key(obj).name)
        if deleted:
            self._services.pop(at, None)
        else:
            self._services[at] = obj
        self._dirty.add(at)

    def set_slice(self, obj: Object, *, old: Object | None = None, deleted: bool = False) -> None:
        """An EndpointSlice was added, changed (from OLD, whose Service may be another) or deleted."""
        for before in (old, obj):
            owner = slice_key(before) if before else None
            if owner:
                self._slices.get(owner, {}).pop(key(obj), None)
                self._dirty.add(owner)
        owner = slice_key(obj)
        if owner and not deleted:
            self._slices.setdefault(owner, {})[key(obj)] = obj

    def set_service_cidr(self, obj: Object, *, deleted: bool = False) -> None:
        """A ServiceCIDR was added, changed or deleted. Raises ValueError for what is no range, and keeps what was."""
        if deleted:
            self._cidrs.pop(key(obj).name, None)
        else:
            self._cidrs[key(obj).name] = service_cidrs([(obj.get("spec") or {}).get("cidrs") or ()])
        self._snapshot = None

    def snapshot(self) -> Snapshot:
        """All service ports at this moment; those that did not change are the same values as before."""
        if self._dirty:
            self._rejoin()
        if self._snapshot is None:
            self._steps += 1
            places = None if self._has_moved else tuple(self._places)
            step = Step(self, self._steps, places, self._udp_steps)
            self._snapshot = Snapshot(tuple(self._flat), service_cidrs(self._cidrs.values()), step)
            self._places, self._has_moved = [], False
        return self._snapshot

    def _rejoin(self) -> None:
        moved = False
        for at in self._dirty:
            new = self._joined(at)
            old = self._ports.get(at, ())
            if new == old:
                continue
            self._snapshot = None
            if any(port.protocol == "udp" for port in (*old, *new)):
                self._udp_steps += 1
            if new:
                known = {port: port for port in old}
                self._ports[at] = kept = tuple([known.get(port, port) for port in new])
                if len(new) == len(old) and not moved:
                    start = self._offset[at]
                    self._flat[start : start + len(new)] = kept
                    self._places += range(start, start + len(new))
                    continue
            else:
                self._ports.pop(at, None)
            moved = True
        if moved:
            self._has_moved = True
            self._lay_out()
        self._dirty.clear()

    def _joined(self, at: tuple[str, str]) -> tuple[ServicePort, ...]:
        """The ports of one Service; none, and a note in `faults`, when its objects are not what they should be."""
        service = self._services.get(at)
        self.faults.pop(at, None)
        if service is None:
            return ()
        slices = self._slices.get(at, {})
        ordered = slices.values() if len(slices) == 1 else [slices[name] for name in sorted(slices)]
        try:
            new = service_ports(service, ordered, self.node)
        except Exception as error:  # whatever an API may hand out: it is this Service's own fault
            self.faults[at] = error
            return ()
        return new if len(new) < 2 else tuple(sorted(new, key=lambda p: (p.port_name, p.protocol)))

    def _lay_out(self) -> None:
        """Put all ports in order anew, and remember where those of each Service begin."""
        self._flat, self._offset = [], {}
        for at in sorted(self._ports):
            self._offset[at] = len(self._flat)
            self._flat += self._ports[at]
