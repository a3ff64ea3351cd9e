"""Hypothesis strategies: Services, slices and a Node as objects, in one family or the other."""

from typing import Any

from hypothesis import strategies as st

from netproxy.core.net import Family

PREFIXES = {Family.IPV4: ("10.96.0.{}", "10.244.{}.{}", "192.0.2.{}", "198.51.100.{}", "203.0.113.0/24", "192.168.0.{}"),
            Family.IPV6: ("fd00:96::{}", "fd00:244:{}::{}", "2001:db8:1::{}", "2001:db8:2::{}", "2001:db8:ffff::/64",
                          "fd00:168::{}")}  # fmt: skip
EVERYBODY = {Family.IPV4: "0.0.0.0/0", Family.IPV6: "::/0"}
POLICIES = st.sampled_from(["Cluster", "Local"])
SERVICE_CIDRS = {Family.IPV4: "10.96.0.0/16", Family.IPV6: "fd00:96::/112"}
CONFIG: dict[str, Any] = {"clusterCIDR": "10.244.0.0/16,fd00:244::/32"}


@st.composite
def services(draw: Any, number: int, family: Family) -> dict:
    vip, _, outside, balancer, ranges, _ = PREFIXES[family]
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    exposed = kind != "ClusterIP"
    protocols = draw(st.lists(st.sampled_from(["TCP", "UDP", "SCTP"]), min_size=1, max_size=2, unique=True))
    ports = [{"name": word.lower(), "port": 80, "protocol": word, **({"nodePort": 30000 + number} if exposed else {})}
             for word in protocols]  # fmt: skip
    spec = {"type": kind, "clusterIP": vip.format(number + 1), "ports": ports, "internalTrafficPolicy": draw(POLICIES)}
    if draw(st.booleans()):
        spec["externalIPs"] = [outside.format(number + 1)]
    if exposed:
        spec["externalTrafficPolicy"] = draw(POLICIES)
    if draw(st.booleans()):
        spec["sessionAffinity"] = "ClientIP"
    status = {}
    if kind == "LoadBalancer":
        status = {"loadBalancer": {"ingress": [{"ip": balancer.format(number + 1)}]}}
        spec["loadBalancerSourceRanges"] = draw(
            st.sampled_from([[], [ranges], [EVERYBODY[family]], [ranges, EVERYBODY[family]]])
        )
        spec["healthCheckNodePort"] = 31000 + number if spec["externalTrafficPolicy"] == "Local" else 0
    annotations = draw(st.sampled_from([{}, {"service.kubernetes.io/topology-mode": "Auto"}]))
    meta = {"name": f"s{number}", "namespace": "ns", "annotations": annotations, "labels": draw(_labels)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec, "status": status}


_labels = st.sampled_from(
    [{}] * 8 + [{"service.kubernetes.io/service-proxy-name": "x"}, {"service.kubernetes.io/headless": ""}]
)


@st.composite
def endpoints(draw: Any, family: Family) -> dict:
    at, inside = draw(st.integers(0, 5)), PREFIXES[family][draw(st.sampled_from([1, 1, 1, 5]))]
    ready = draw(st.sampled_from([True, None, False]))
    conditions = {
        "ready": ready,
        "serving": draw(st.sampled_from([True, None, False])),
        "terminating": draw(st.booleans()),
    }
    hints = draw(
        st.sampled_from(
            [{}, {"forZones": [{"name": "a"}]}, {"forZones": [{"name": "b"}]}, {"forNodes": [{"name": "node1"}]}]
        )
    )
    address = inside.format(at % 2, at + 2) if inside.count("{}") == 2 else inside.format(at % 2 + 2)
    return {"addresses": [address], "conditions": conditions, "nodeName": f"node{at % 2 + 1}", "hints": hints}


@st.composite
def specs(draw: Any) -> tuple[Family, list[dict], list[dict], dict]:
    """(family, Services, slices, Node)."""
    family = draw(st.sampled_from(Family))
    made = [draw(services(number, family)) for number in range(draw(st.integers(1, 3)))]
    slices = []
    for service in made:
        for number in range(draw(st.integers(0, 2))):
            owner = {"kubernetes.io/service-name": service["metadata"]["name"], **draw(_labels)}
            ports = [
                {"name": port["name"], "port": 8080, "protocol": port["protocol"]} for port in service["spec"]["ports"]
            ]
            slices.append({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family.value,
                "metadata": {"name": f"{service['metadata']['name']}-{number}", "namespace": "ns", "labels": owner},
                "endpoints": draw(st.lists(endpoints(family), max_size=3)), "ports": ports,
            })  # fmt: skip
    addresses = [{"type": "InternalIP", "address": PREFIXES[one][5].format(2)} for one in Family]
    meta = {"name": "node1", "labels": {"topology.kubernetes.io/zone": "a"}}
    return (
        family,
        made,
        slices,
        {"apiVersion": "v1", "kind": "Node", "metadata": meta, "status": {"addresses": addresses}},
    )
