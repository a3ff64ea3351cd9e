"""Services: what they leave open is handed out, and kept as long as they live.

Source: kubernetes pkg/registry/core/service (allocation and what an update may change).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Iterator
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.core.net import Family, contains, family_of, sloppy_address
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.kinds import SERVICES
from netproxy.objects.meta import Object, key, spec
from netproxy.registry.allocate import Holdings
from netproxy.registry.strategy import Strategy

Spec = dict[str, Any]


class ServiceStrategy(Strategy):
    """ClusterIPs and node ports come from the cluster's ranges."""

    status_is_given = True  # no load balancer lives here: its address is what the manifest says

    def __init__(self, cluster: Callable[[], ClusterSpec], holdings: Holdings) -> None:
        super().__init__(SERVICES)
        self._cluster = cluster
        self._holdings = holdings

    def first_status(self) -> Object:
        """No load balancer yet."""
        return {"loadBalancer": {}}

    def kept(self, obj: Object, old: Object) -> Object:
        """Addresses and ports that were handed out."""
        return {**obj, "spec": _kept(dict(spec(obj)), old["spec"])}

    def settled(self, new: Object, old: Object | None) -> Object:
        """With addresses and ports. Raises ManifestError when one that is asked for cannot be had."""
        service, who = dict(new["spec"]), str(key(new))
        if service["type"] == "ExternalName":
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                service.pop(field, None)
            wrong = []
        else:
            wrong = self._stack_problems(service) or self._addresses(service, who)
            if old is not None and spec(old).get("clusterIP") not in (None, "", service.get("clusterIP")):
                why = f"Invalid value: {service.get('clusterIPs')}: may not change once set"
                wrong.append(Problem("spec.clusterIPs[0]", why))
        wrong += self._ports(service, who)
        if wrong:
            raise ManifestError(wrong)
        return {**new, "spec": service}

    # --- addresses

    def _stack_problems(self, service: Spec) -> list[Problem]:
        """What is wrong with the families that are asked for: a headless Service without a selector may name any.

        Source: kubernetes pkg/registry/core/service/storage/alloc.go, initIPFamilyFields.
        """
        if _is_free(service):
            return []
        configured = [family.value for family in self._cluster().families]
        wrong = []
        if service.get("ipFamilyPolicy") == "RequireDualStack" and len(configured) < 2:
            why = 'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services'
            wrong.append(Problem("spec.ipFamilyPolicy", why))
        for index, family in enumerate(service.get("ipFamilies") or ()):
            if family not in configured:
                why = f'Invalid value: "{family}": not configured on this cluster'
                wrong.append(Problem(f"spec.ipFamilies[{index}]", why))
        return wrong

    def _addresses(self, service: Spec, who: str) -> list[Problem]:
        if service.get("clusterIP") == "None":
            self._headless(service)
            return []
        given = service.get("clusterIPs") or filter(None, (service.get("clusterIP"),))
        ips = [sloppy_address(ip) for ip in given]
        wrong = [problem for index, ip in enumerate(ips) for problem in self._address(ip, index, len(ips), who)]
        if wrong:
            return wrong
        families = self._families(service, ips)
        ips += [self._free_address(Family(family)) for family in families[len(ips) :]]
        service["clusterIP"], service["clusterIPs"], service["ipFamilies"] = ips[0], ips, families
        service.setdefault("ipFamilyPolicy", "SingleStack" if len(ips) == 1 else "RequireDualStack")
        return []

    def _headless(self, service: Spec) -> None:
        service["clusterIPs"] = ["None"]
        if _is_free(service):
            self._free_stacks(service)
            return
        families = service.get("ipFamilies") or [family.value for family in self._cluster().families]
        policy = service.setdefault("ipFamilyPolicy", "SingleStack" if len(families) == 1 else "PreferDualStack")
        service["ipFamilies"] = families[:1] if policy == "SingleStack" else families

    def _free_stacks(self, service: Spec) -> None:
        """Both families, whatever the cluster has, unless one is all that is wanted."""
        policy = service.setdefault("ipFamilyPolicy", "RequireDualStack")
        families = list(service.get("ipFamilies") or [self._cluster().families[0].value])
        if policy != "SingleStack":
            families += [family.value for family in Family if family.value not in families]
        service["ipFamilies"] = families

    def _address(self, ip: str, index: int, count: int, who: str) -> Iterator[Problem]:
        """What is wrong with an address that is asked for."""
        path = f"spec.clusterIPs[{index}]" if count > 1 else "spec.clusterIP"
        cidr = self._cluster().cidr_of(family_of(ip))
        if cidr is None or not contains(cidr, ip):
            ranges = ", ".join(self._cluster().service_cidrs)
            yield Problem(path, f'Invalid value: "{ip}": the provided IP is not in the valid range. '
                                f"The range of valid IPs is {ranges}")  # fmt: skip
            return
        holder = self._holdings.addresses(family_of(ip)).holder(int(ipaddress.ip_address(ip)))
        if holder not in (None, who):
            yield Problem(path, f'Invalid value: "{ip}": provided IP is already allocated to {holder}')

    def _free_address(self, family: Family) -> str:
        reserved = {int(ipaddress.ip_address(ip)) for ip in self._cluster().dns_addresses}
        number = self._holdings.addresses(family).free(reserved)
        return str(ipaddress.IPv4Address(number) if family is Family.IPV4 else ipaddress.IPv6Address(number))

    def _families(self, service: Spec, ips: list[str]) -> list[str]:
        """The families in order: those of the given IPs, those asked for, the cluster's, as the policy says."""
        policy = service.get("ipFamilyPolicy") or ("SingleStack" if len(ips) < 2 else "RequireDualStack")
        families = [family_of(ip).value for ip in ips]
        asked = [*(service.get("ipFamilies") or ()), *(family.value for family in self._cluster().families)]
        count = 1 if policy == "SingleStack" and len(service.get("ipFamilies") or ()) < 2 else 2
        for family in asked:
            if family not in families and len(families) < max(count, len(ips)):
                families.append(family)
        return families

    # --- ports

    def _ports(self, service: Spec, who: str) -> list[Problem]:
        ports = [dict(port) for port in service.get("ports") or ()]
        mine: dict[int, set[str]] = {}
        wrong: list[Problem] = []
        for index, port in enumerate(ports):
            if port.get("nodePort"):
                wrong += self._port(f"spec.ports[{index}].nodePort", port, who)
                mine.setdefault(port["nodePort"], set()).add(port["protocol"])
        if wrong:
            return wrong
        for port in ports if _is_exposed(service) else ():
            if not port.get("nodePort"):
                port["nodePort"] = _shared(port, ports, mine) or self._holdings.ports.free(mine)
                mine.setdefault(port["nodePort"], set()).add(port["protocol"])
        if ports:
            service["ports"] = ports
        self._health_check(service, mine)
        return []

    def _health_check(self, service: Spec, mine: Container[int]) -> None:
        if service["type"] == "LoadBalancer" and service.get("externalTrafficPolicy") == "Local":
            if not service.get("healthCheckNodePort"):
                service["healthCheckNodePort"] = self._holdings.ports.free(mine)
        elif not service.get("healthCheckNodePort"):
            service.pop("healthCheckNodePort", None)

    def _port(self, path: str, port: Spec, who: str) -> list[Problem]:
        """What is wrong with a node port that is asked for."""
        number = port["nodePort"]
        first, last = self._cluster().node_ports
        if not first <= number <= last:
            return [Problem(path, f"Invalid value: {number}: provided port is not in the valid range. "
                                  f"The range of valid ports is {first}-{last}")]  # fmt: skip
        holder = self._holdings.ports.holder(number, port["protocol"])
        if holder not in (None, who):
            return [Problem(path, f"Invalid value: {number}: provided port is already allocated to {holder}; "
                                  "leave it out to get a free one")]  # fmt: skip
        return []


def _is_free(service: Spec) -> bool:
    """Whether its addresses are all somebody else's."""
    return service.get("clusterIP") == "None" and not service.get("selector")


def _is_exposed(service: Spec) -> bool:
    """Whether its ports have node ports."""
    if service["type"] == "LoadBalancer":
        return service.get("allocateLoadBalancerNodePorts") is not False
    return bool(service["type"] == "NodePort")


def _shared(port: Spec, ports: list[Spec], mine: dict[int, set[str]]) -> int | None:
    """The node port of the same port of another protocol."""
    return next(
        (
            p["nodePort"] for p in ports
            if p.get("nodePort") and p["port"] == port["port"] and port["protocol"] not in mine.get(p["nodePort"], ())
        ),
        None,
    )  # fmt: skip


def _kept(service: Spec, old: Spec) -> Spec:
    kind = service.get("type") or "ClusterIP"
    if kind == "ExternalName" or old.get("type") == "ExternalName":
        return service
    if not service.get("clusterIP") and not service.get("clusterIPs"):
        for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if field in old and not service.get(field):
                service[field] = old[field]
    if kind in ("NodePort", "LoadBalancer"):
        held = {_port_key(p): p["nodePort"] for p in old.get("ports") or () if p.get("nodePort")}
        service["ports"] = [
            {**p, "nodePort": held[_port_key(p)]} if not p.get("nodePort") and _port_key(p) in held else p
            for p in service.get("ports") or ()
        ]
    if kind == "LoadBalancer" and not service.get("healthCheckNodePort") and old.get("healthCheckNodePort"):
        service["healthCheckNodePort"] = old["healthCheckNodePort"]
    return service


def _port_key(port: Spec) -> tuple[Any, str]:
    return port.get("port"), port.get("protocol") or "TCP"
