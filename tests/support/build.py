"""Small values for tests: only what matters is given, everything else is usual."""

from typing import Any

from netproxy.core.net import Family
from netproxy.proxy.model import Endpoint, NodeView, ServicePort, Snapshot
from netproxy.ruleset.ir import Source


def an_endpoint(address: str = "10.244.0.5", **more: Any) -> Endpoint:
    return Endpoint(address, more.pop("port", 8080), **more)


def a_service(*endpoints: str | Endpoint, **more: Any) -> ServicePort:
    made = tuple(an_endpoint(e) if isinstance(e, str) else e for e in endpoints)
    usual: dict[str, Any] = {"namespace": "ns1", "service": "web", "port_name": "http", "protocol": "tcp",
                             "cluster_ip": "10.96.0.10", "port": 80}  # fmt: skip
    return ServicePort(**{**usual, "endpoints": made, **more})


def a_node(**more: Any) -> NodeView:
    usual: dict[str, Any] = {"name": "node1", "family": Family.IPV4, "zone": "a", "node_ip": "192.168.0.2",
                             "addresses": ("192.168.0.2", "127.0.0.1"), "local_traffic": Source("10.244.0.0/16")}  # fmt: skip
    return NodeView(**{**usual, **more})


def a_snapshot(*services: ServicePort) -> Snapshot:
    return Snapshot(tuple(services))


def service_object(name: str = "web", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
                             "selector": {"app": name}}  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**usual, **spec},
    }


def slice_object(
    service: str = "web", addresses: tuple[str, ...] = ("10.244.0.5",), namespace: str = "default", **more: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6" if ":" in "".join(addresses) else "IPv4",
        "metadata": {"name": f"{service}-1", "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}, "nodeName": "node1"} for a in addresses],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], **more,
    }  # fmt: skip


def pod_object(
    name: str = "web-1", ip: str = "10.244.0.5", *, ready: bool = True, node: str = "node1", **more: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}, "uid": f"uid-{name}", **more.pop("metadata", {})},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "agnhost"}], **more.pop("spec", {})},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": str(ready)}]}, **more,
    }  # fmt: skip


def config_map(**meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **meta}, "data": {"a": "1"}}


def namespace_object(name: str = "team") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(**selector: str) -> dict[str, Any]:
    labels = selector or {"app": "web"}
    template = {"metadata": {"labels": {"app": "web", **labels}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": labels}, "template": template}}  # fmt: skip


class FixedClock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time
