"""The objects that a cluster begins with: what every cluster has, and what its user gave. Values, and one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netproxy import __version__
from netproxy.agent.begin import API, API_PORT, first_address
from netproxy.apiserver.discovery import KUBERNETES
from netproxy.core.clock import timestamp
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.linux.machine import Machine, this_machine
from netproxy.objects.cluster import ClusterSpec, cluster_object, node_object
from netproxy.objects.kinds import KUBE_PROXY_CONFIGURATIONS, NAMESPACES, NODES, SERVICES, resource_of
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, key, name, spec, status
from netproxy.objects.trust import root_ca_object
from netproxy.registry.bootstrap import default_bindings, default_roles
from netproxy.registry.ipaddresses import MANAGER
from netproxy.registry.options import WriteOptions
from netproxy.registry.priority import OF_THE_SYSTEM
from netproxy.registry.registry import Registry
from netproxy.registry.steps import CONTROLLERS

DNS_LABELS = {"k8s-app": "kube-dns"}
DNS_NAME = {"kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
"""Labels of the Service by which `kubectl cluster-info` names it."""
MOST_PODS = 110
"""As a kubelet says that is not told otherwise."""
_PRESSURES = (
    ("Memory", "SufficientMemory", "sufficient memory available"),
    ("Disk", "NoDiskPressure", "no disk pressure"),
    ("PID", "SufficientPID", "sufficient PID available"),
)
"""Of what a Node could have too little."""
SERVER = WriteOptions(manager="kube-apiserver")
"""Who writes what every API server has."""
SPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
DOCUMENTED = "192.0.2.10"
"""Where the API of a control plane alone is said to be called, to which no Pod leads: an address of documentation."""


def put_first(
    registry: Registry, incoming: list[Loaded], *, restored: bool, runs_pods: bool = True, authority: str = ""
) -> None:
    """Admit the objects that every cluster has, then those of the user; all in one transaction. Raises ManifestError.

    RUNS_PODS is false where nothing would run a name server. Every namespace is told of an AUTHORITY (PEM), so that no Pod waits.
    """
    cluster = registry.cluster
    with registry.transaction() as change:
        if not restored:
            base = [
                cluster_object(cluster),
                *map(_namespace, SPACES),
                *OF_THE_SYSTEM,
                *default_roles(),
                *default_bindings(),
            ]
            if not any(item.obj["kind"] == "ServiceCIDR" for item in incoming):
                base.append(_service_cidr(cluster))
            registry.apply(_own(base), SERVER)
        given = {name(item.obj): item.obj for item in incoming if item.obj["kind"] == "Node"}
        facts, nodes = _facts(this_machine()) if runs_pods else {}, []
        for node in cluster.nodes:
            written = given.get(node.name)
            made = node_object(node, written or change.find(NODES, NamespacedName("", node.name)))
            told = status(written or {})  # whoever writes a Node may say something else of the machine
            ours = {
                "addresses": status(made)["addresses"],
                "conditions": _conditions(timestamp(registry.store.clock.now())),
            }
            nodes.append({**made, "status": {**status(made), **facts, **told, **ours}})
        registry.apply(_own(nodes))
        registry.apply(item for item in incoming if item.obj["kind"] not in ("Cluster", "Node"))
        if runs_pods or not restored:
            called = cluster.nodes[0].addresses if runs_pods else (DOCUMENTED,)
            _add(registry, api_objects(registry, called), MANAGER)
        spaces = map(name, list(change.all(NAMESPACES))) if authority else ()
        certificates = (root_ca_object(space, authority) for space in spaces)
        _add(registry, certificates, CONTROLLERS)
        _add(registry, _dns(cluster) if runs_pods else ())


def _add(registry: Registry, objects: Iterable[Object], manager: str = "unknown") -> None:
    """Make the objects that are not there."""
    with registry.transaction() as change:
        for obj in objects:
            resource = resource_of(obj)
            assert resource is not None
            if change.find(resource, key(obj)) is None:
                registry.create(obj, WriteOptions(manager=manager))


def api_objects(registry: Registry, address: Sequence[str]) -> list[Object]:
    """The Service of the API itself, which is called at ADDRESS (one a family); nothing when the user has given its own to another."""
    first = first_address(registry.cluster.service_cidrs[0])
    with registry.transaction() as change:
        taken = any(spec(obj).get("clusterIP") == first and key(obj) != API for obj in change.all(SERVICES))
    target = next((each for each in address if (":" in each) is (":" in first)), "")
    return _kubernetes(first, target) if target and not taken else []


def _facts(machine: Machine) -> Object:
    """What a Node says of the machine that it is on: every node has all of it."""
    size = {"cpu": str(machine.cpus), "memory": f"{machine.memory_kib}Ki", "pods": str(MOST_PODS)}
    info = {
        "machineID": machine.machine_id, "systemUUID": machine.machine_id, "bootID": machine.boot_id,
        "kernelVersion": machine.kernel, "osImage": machine.system, "containerRuntimeVersion": f"netproxy://{__version__}",
        "kubeletVersion": KUBERNETES, "kubeProxyVersion": "", "operatingSystem": "linux",
        "architecture": machine.architecture,
    }  # fmt: skip
    return {"capacity": size, "allocatable": size, "nodeInfo": info}


def _conditions(now: str) -> list[Object]:
    """How a Node is that can run Pods, as a kubelet says it."""
    times = {"lastHeartbeatTime": now, "lastTransitionTime": now}
    pressures = [
        {"type": f"{what}Pressure", "status": "False", **times, "reason": f"KubeletHas{has}", "message": f"kubelet has {said}"}
        for what, has, said in _PRESSURES
    ]  # fmt: skip
    why = {"reason": "KubeletReady", "message": "kubelet is posting ready status"}
    ready = {"type": "Ready", "status": "True", **times, **why}
    return [*pressures, ready]


def proxy_configuration(registry: Registry) -> Mapping[str, Any]:
    """What all nodes' proxies are told: the cluster's ranges, mode and version, and the KubeProxyConfiguration if there is one."""
    given = next(iter(registry.store.all(KUBE_PROXY_CONFIGURATIONS)), None)
    cluster = registry.cluster
    own = {
        "clusterCIDR": ",".join(cluster.pod_cidrs), "mode": cluster.proxy_mode, "kubeProxyVersion": cluster.kube_proxy_version,
    }  # fmt: skip
    if given is None:
        return own
    return {**own, **{k: v for k, v in given.items() if k not in ("hostnameOverride", "clusterCIDR") or v}}


def name_server_settings(cluster: ClusterSpec, socket: str, upstreams: Iterable[str]) -> dict[str, Any]:
    """What the name server is started with."""
    families = cluster.families
    both = len(families) > 1 or families[0] is Family.IPV6
    return {
        "socket": socket, "domain": cluster.dns_domain, "pods": cluster.dns_pods_mode,
        "cidrs": [*cluster.pod_cidrs, *cluster.service_cidrs], "upstreams": list(upstreams),
        "addresses": ["0.0.0.0", *(["::"] if both else [])],
    }  # fmt: skip


def _own(objects: Iterable[Object]) -> list[Loaded]:
    return [Loaded(obj, "netproxy") for obj in objects]


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _service_cidr(cluster: ClusterSpec) -> Object:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": list(cluster.service_cidrs)}}  # fmt: skip


def _kubernetes(first: str, target: str) -> list[Object]:
    """The Service of the API itself: FIRST is its address, TARGET the one where the API is called."""
    at, port = {"name": API.name, "namespace": API.namespace}, {"name": "https", "port": API_PORT, "protocol": "TCP"}
    return [
        {"apiVersion": "v1", "kind": "Service",
         "metadata": {**at, "labels": {"component": "apiserver", "provider": "kubernetes"}},
         "spec": {"clusterIP": first, "ipFamilyPolicy": "SingleStack", "type": "ClusterIP", "sessionAffinity": "None",
                  "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": API_PORT}]}},
        {"apiVersion": "v1", "kind": "Endpoints",
         "metadata": {**at, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
         "subsets": [{"addresses": [{"ip": target}], "ports": [port]}]},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {**at, "labels": {"kubernetes.io/service-name": "kubernetes"}}, "addressType": "IPv6" if ":" in target else "IPv4",
         "endpoints": [{"addresses": [target], "conditions": {"ready": True}}], "ports": [port]},
    ]  # fmt: skip


def _dns(cluster: ClusterSpec) -> list[Object]:
    """The Service and the Deployment of the name server."""
    addresses = list(cluster.dns_addresses)
    service = {
        "clusterIP": addresses[0], "clusterIPs": addresses, "selector": DNS_LABELS,
        "ipFamilies": [family.value for family in cluster.families][: len(addresses)],
        "ipFamilyPolicy": "SingleStack" if len(addresses) == 1 else "RequireDualStack",
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
        ],
    }  # fmt: skip
    container = {
        "name": "coredns", "image": "netproxy-dns", "ports": [{"containerPort": 53, "protocol": "UDP", "name": "dns"}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 60, "timeoutSeconds": 5,
                          "failureThreshold": 5},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
    }  # fmt: skip
    pod = {
        "dnsPolicy": "Default", "terminationGracePeriodSeconds": 0, "containers": [container], "automountServiceAccountToken": False
    }  # fmt: skip
    template = {"metadata": {"labels": DNS_LABELS}, "spec": pod}
    return [
        {"apiVersion": "v1", "kind": "Service",
         "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {**DNS_LABELS, **DNS_NAME}}, "spec": service},
        {"apiVersion": "apps/v1", "kind": "Deployment",
         "metadata": {"name": "coredns", "namespace": "kube-system", "labels": DNS_LABELS},
         "spec": {"replicas": 1, "selector": {"matchLabels": DNS_LABELS}, "template": template}},
    ]  # fmt: skip
