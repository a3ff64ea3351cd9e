"""Admission: what happens between a request and the store. Defaults, validation, allocation; all or nothing.

Source: kubernetes pkg/registry/core/service (allocation and what an update may change).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family, contains, family_of
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.defaults import with_defaults
from netproxy.objects.kinds import SERVICES, Resource, resource_of
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, describe, metadata
from netproxy.objects.schema import field_problems
from netproxy.objects.validate import problems
from netproxy.registry.allocate import free_address, free_port
from netproxy.store.store import Store
from netproxy.store.transaction import Transaction


@dataclass(slots=True)
class _Taken:
    """Addresses and ports that Services hold: value → the Service's name."""

    addresses: dict[str, str]
    ports: dict[tuple[int, str], str]

    def numbers(self) -> set[int]:
        return {port for port, _ in self.ports}


class Registry:
    """Admits objects to a store as the API server does."""

    def __init__(self, store: Store, cluster: ClusterSpec) -> None:
        self.store = store
        self.cluster = cluster

    def create(self, obj: Object) -> Object:
        """Admit and store a new object. Raises ManifestError, ConflictError."""
        obj = self._placed(obj)
        with self.store.transaction() as change:
            existing = change.find(_resource(obj), _key(obj)) if metadata(obj).get("name") else None
            return change.create(obj if existing else self._admitted(obj, None, self._taken(change, obj)))

    def replace(self, obj: Object, *, status_only: bool = False) -> Object:
        """Admit and store a new state of an object. Raises ManifestError, ConflictError, NotFoundError."""
        obj = self._placed(obj)
        with self.store.transaction() as change:
            old = change.get(_resource(obj), _key(obj))
            if status_only:
                meta = {**old["metadata"], **_version(obj)}
                return change.replace({**old, "metadata": meta, "status": obj.get("status") or {}})
            merged = self._admitted(_keep(obj, old), old, self._taken(change, obj, besides=old))
            return change.replace(merged)

    def apply(self, items: Iterable[Loaded]) -> list[Object]:
        """Create or update all objects, or none: every problem of every object is raised together."""
        wrong: list[Problem] = []
        made: list[Object] = []
        seen: dict[tuple[Resource, NamespacedName], str] = {}
        with self.store.transaction() as change:
            taken = self._taken_by_services(change)
            for item in _fixed_first(items):
                try:
                    obj, old = self._apply_one(change, item, taken, seen)
                    made.append(change.replace(obj) if old else change.create(obj))
                except ManifestError as error:
                    wrong += [
                        Problem(p.path, p.message, describe(item.obj), item.source, p.reason) for p in error.problems
                    ]
            if wrong:
                raise ManifestError(wrong)
        return made

    def _apply_one(
        self, change: Transaction, item: Loaded, taken: _Taken, seen: dict[tuple[Resource, NamespacedName], str]
    ) -> tuple[Object, Object | None]:
        obj = self._placed(item.obj)
        name = (_resource(obj), _key(obj))
        if name in seen:
            raise ManifestError([Problem("metadata.name", f"Duplicate value: {name[1]}: it is also in {seen[name]}")])
        seen[name] = item.source
        old = change.find(*name) if metadata(obj).get("name") else None
        if old:
            obj = _keep({**obj, "metadata": _merged_metadata(obj, old)}, old)
            if obj["kind"] == "Service":
                self._release(old, taken)
        return self._admitted(obj, old, taken), old

    # --- steps

    def _placed(self, obj: Object) -> Object:
        """With a namespace where the kind has one."""
        entry = _resource(obj)
        meta = dict(metadata(obj))
        if entry.namespaced:
            meta["namespace"] = meta.get("namespace") or "default"
        else:
            meta.pop("namespace", None)
        if entry.kind in ("KubeProxyConfiguration", "Cluster") and not meta.get("name"):
            meta["name"] = "kube-proxy" if entry.kind == "KubeProxyConfiguration" else self.cluster.name
        return {**obj, "metadata": meta}

    def _admitted(self, obj: Object, old: Object | None, taken: _Taken) -> Object:
        obj = with_defaults(obj)
        wrong, _ = field_problems(obj)
        found = wrong or problems(obj)
        if found:
            raise ManifestError(found)
        return self._allocated(obj, old, taken) if obj["kind"] == "Service" else obj

    def _taken(self, change: Transaction, obj: Object, besides: Object | None = None) -> _Taken:
        if obj["kind"] != "Service":
            return _Taken({}, {})
        taken = self._taken_by_services(change)
        if besides:
            self._release(besides, taken)
        return taken

    @staticmethod
    def _taken_by_services(change: Transaction) -> _Taken:
        taken = _Taken({}, {})
        for service in change.all(SERVICES):
            _hold(service, taken)
        return taken

    @staticmethod
    def _release(service: Object, taken: _Taken) -> None:
        name = str(_key(service))
        taken.addresses = {k: v for k, v in taken.addresses.items() if v != name}
        taken.ports = {k: v for k, v in taken.ports.items() if v != name}

    # --- Services

    def _allocated(self, obj: Object, old: Object | None, taken: _Taken) -> Object:
        service = dict(obj["spec"])
        wrong: list[Problem] = []
        if service["type"] == "ExternalName":
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                service.pop(field, None)
        else:
            wrong += self._addresses(service, taken)
            if (
                old
                and old["spec"].get("clusterIP") not in (None, "", service.get("clusterIP"))
                and service["type"] != "ExternalName"
            ):
                wrong.append(
                    Problem(
                        "spec.clusterIPs[0]", f"Invalid value: {service.get('clusterIPs')}: may not change once set"
                    )
                )
            wrong += self._ports(service, taken)
        if wrong:
            raise ManifestError(wrong)
        result = {**obj, "spec": service, "status": obj.get("status") or {"loadBalancer": {}}}
        _hold(result, taken)
        return result

    def _addresses(self, service: dict[str, Any], taken: _Taken) -> list[Problem]:
        if service.get("clusterIP") == "None":
            service["clusterIPs"] = ["None"]
            families = service.get("ipFamilies") or [f.value for f in self.cluster.families]
            policy = service.setdefault("ipFamilyPolicy", "SingleStack" if len(families) == 1 else "PreferDualStack")
            service["ipFamilies"] = families[:1] if policy == "SingleStack" else families
            return []
        ips = list(service.get("clusterIPs") or filter(None, (service.get("clusterIP"),)))
        wrong = []
        for index, ip in enumerate(ips):
            path = f"spec.clusterIPs[{index}]" if len(ips) > 1 else "spec.clusterIP"
            cidr = self.cluster.cidr_of(family_of(ip))
            if cidr is None or not contains(cidr, ip):
                ranges = ", ".join(self.cluster.service_cidrs)
                wrong.append(Problem(path, f'Invalid value: "{ip}": the provided IP is not in the valid range. '
                                           f"The range of valid IPs is {ranges}"))  # fmt: skip
            elif ip in taken.addresses:
                wrong.append(
                    Problem(path, f'Invalid value: "{ip}": provided IP is already allocated to {taken.addresses[ip]}')
                )
        if wrong:
            return wrong
        families = self._service_families(service, ips)
        for family in families[len(ips) :]:
            cidr = self.cluster.cidr_of(Family(family))
            if cidr is None:
                return [Problem("spec.ipFamilies", f'Invalid value: "{family}": not configured on this cluster')]
            ips.append(free_address(cidr, [*taken.addresses, *self.cluster.dns_addresses]))
        service["clusterIP"], service["clusterIPs"], service["ipFamilies"] = ips[0], ips, families
        service.setdefault("ipFamilyPolicy", "SingleStack" if len(ips) == 1 else "RequireDualStack")
        return []

    def _service_families(self, service: dict[str, Any], ips: list[str]) -> list[str]:
        """The families in order: those of the given IPs, those asked for, the cluster's, as the policy says."""
        policy = service.get("ipFamilyPolicy") or ("SingleStack" if len(ips) < 2 else "RequireDualStack")
        families = [family_of(ip).value for ip in ips]
        asked = [*(service.get("ipFamilies") or ()), *(family.value for family in self.cluster.families)]
        count = 1 if policy == "SingleStack" and len(service.get("ipFamilies") or ()) < 2 else 2
        for family in asked:
            if family not in families and len(families) < max(count, len(ips)):
                families.append(family)
        return families

    def _ports(self, service: dict[str, Any], taken: _Taken) -> list[Problem]:
        wrong: list[Problem] = []
        first, last = self.cluster.node_ports
        exposed = service["type"] == "NodePort" or (
            service["type"] == "LoadBalancer" and service.get("allocateLoadBalancerNodePorts") is not False
        )
        ports = [dict(port) for port in service.get("ports") or ()]
        mine: dict[int, set[str]] = {}
        for index, port in enumerate(ports):
            number = port.get("nodePort")
            if number:
                path = f"spec.ports[{index}].nodePort"
                wrong += _check_node_port(path, number, port["protocol"], (first, last), taken)
                mine.setdefault(number, set()).add(port["protocol"])
        if wrong:
            return wrong
        for port in ports:
            if exposed and not port.get("nodePort"):
                same = next((p["nodePort"] for p in ports if p.get("nodePort") and p["port"] == port["port"]
                             and port["protocol"] not in mine.get(p["nodePort"], ())), None)  # fmt: skip
                port["nodePort"] = same or free_port(first, last, taken.numbers() | set(mine))
                mine.setdefault(port["nodePort"], set()).add(port["protocol"])
        if ports:
            service["ports"] = ports
        if service["type"] == "LoadBalancer" and service.get("externalTrafficPolicy") == "Local":
            if not service.get("healthCheckNodePort"):
                service["healthCheckNodePort"] = free_port(first, last, taken.numbers() | set(mine))
        elif "healthCheckNodePort" in service and not service["healthCheckNodePort"]:
            del service["healthCheckNodePort"]
        return []


def _check_node_port(path: str, number: int, protocol: str, span: tuple[int, int], taken: _Taken) -> list[Problem]:
    first, last = span
    if not first <= number <= last:
        return [Problem(path, f"Invalid value: {number}: provided port is not in the valid range. "
                              f"The range of valid ports is {first}-{last}")]  # fmt: skip
    owner = taken.ports.get((number, protocol))
    if owner:
        return [Problem(path, f"Invalid value: {number}: provided port is already allocated to {owner}; "
                              "leave it out to get a free one")]  # fmt: skip
    return []


def _hold(service: Object, taken: _Taken) -> None:
    name = str(_key(service))
    spec = service.get("spec") or {}
    for ip in spec.get("clusterIPs") or ():
        if ip and ip != "None":
            taken.addresses[ip] = name
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            taken.ports[port["nodePort"], port.get("protocol") or "TCP"] = name
    if spec.get("healthCheckNodePort"):
        taken.ports[spec["healthCheckNodePort"], "TCP"] = name


def _keep(obj: Object, old: Object) -> Object:
    """What an update may leave out and still has: allocated addresses and ports, the status, where a Pod runs."""
    result = {**obj, "status": obj.get("status") or old.get("status") or {}}
    if obj["kind"] == "Service":
        result["spec"] = _kept_service(dict(obj.get("spec") or {}), old["spec"])
    if obj["kind"] == "Pod" and old.get("spec", {}).get("nodeName"):
        result["spec"] = {**(obj.get("spec") or {}), "nodeName": old["spec"]["nodeName"]}
    return result


def _kept_service(spec: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    kind = spec.get("type") or "ClusterIP"
    if kind == "ExternalName" or old.get("type") == "ExternalName":
        return spec
    if not spec.get("clusterIP") and not spec.get("clusterIPs"):
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if field in old and not spec.get(field):
                spec[field] = old[field]
    if kind in ("NodePort", "LoadBalancer"):
        held = {
            (p["port"], p.get("protocol") or "TCP"): p["nodePort"] for p in old.get("ports") or () if p.get("nodePort")
        }
        spec["ports"] = [
            {**p, "nodePort": held[p.get("port"), p.get("protocol") or "TCP"]}
            if not p.get("nodePort") and (p.get("port"), p.get("protocol") or "TCP") in held
            else p
            for p in spec.get("ports") or ()
        ]
    if kind == "LoadBalancer" and not spec.get("healthCheckNodePort") and old.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old["healthCheckNodePort"]
    return spec


def _merged_metadata(obj: Object, old: Object) -> dict[str, Any]:
    """Metadata of an applied manifest over the stored one; versions and owners are the store's business."""
    given = {
        k: v
        for k, v in metadata(obj).items()
        if k not in ("resourceVersion", "uid", "creationTimestamp", "managedFields")
    }
    kept = {k: v for k, v in metadata(old).items() if k in ("ownerReferences", "finalizers")}
    return {**kept, **given}


def _version(obj: Object) -> dict[str, str]:
    version = metadata(obj).get("resourceVersion")
    return {"resourceVersion": version} if version else {}


def _resource(obj: Object) -> Resource:
    found = resource_of(obj)
    if found is None:
        raise ManifestError([Problem("kind", f"Unsupported value: {obj.get('apiVersion')}, {obj.get('kind')}")])
    return found


def _key(obj: Object) -> NamespacedName:
    meta = metadata(obj)
    namespaced = _resource(obj).namespaced
    return NamespacedName((meta.get("namespace") or "default") if namespaced else "", meta.get("name") or "")


def _fixed_first(items: Iterable[Loaded]) -> list[Loaded]:
    """Namespaces and Nodes first; then Services that ask for an address or port before those that take any."""

    def rank(item: Loaded) -> int:
        kind, spec = item.obj.get("kind"), item.obj.get("spec") or {}
        if kind != "Service":
            return {"Cluster": 0, "Namespace": 1, "Node": 2}.get(str(kind), 5)
        fixed = (
            spec.get("clusterIP") or spec.get("clusterIPs") or any(p.get("nodePort") for p in spec.get("ports") or ())
        )
        return 3 if fixed else 4

    return sorted(items, key=rank)
