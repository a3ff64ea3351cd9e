"""Manifests, validation, unknown fields, selectors, the cluster's own object."""

import re

import pytest
from support.build import pod_object, service_object, slice_object

from netproxy.core.errors import ManifestError
from netproxy.objects.canonical import canonical, empty_field
from netproxy.objects.cluster import cluster_object, cluster_spec, node_object
from netproxy.objects.defaulting import with_defaults
from netproxy.objects.kinds import resource_of_word
from netproxy.objects.labelquery import parse_selector
from netproxy.objects.manifest import idle_kind, load, parse_manifests, unknown_kind
from netproxy.objects.schema import field_problems
from netproxy.objects.selector import field_filter, label_selector, matches, selects
from netproxy.objects.validate import problems


def test_yaml_documents_lists_and_json_are_the_same():
    yaml = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"
    namespace = '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"%s"}}'
    json = '{"apiVersion":"v1","kind":"List","items":[' + namespace % "a" + "," + namespace % "b" + "]}"
    assert [i.obj for i in parse_manifests(yaml, "x")] == [i.obj for i in parse_manifests(json, "x")]
    flow = "{apiVersion: v1, kind: NamespaceList, items: [{metadata: {name: a}}, {metadata: {name: b}}]}"
    assert [i.obj["metadata"]["name"] for i in parse_manifests(flow, "x")] == ["a", "b"]


def test_an_amount_that_is_none_has_no_canonical_form():
    with pytest.raises(ManifestError, match="quantities must match the regular expression"):
        canonical({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "many"}}})


def test_a_field_that_is_left_out_when_empty_has_no_empty_form():
    assert empty_field({"apiVersion": "v1", "kind": "ConfigMap"}, "data") is None


def test_dates_stay_text():
    (item,) = parse_manifests("apiVersion: v1\nkind: X\nmetadata: {creationTimestamp: 2024-01-01T00:00:00Z}", "x")
    assert item.obj["metadata"]["creationTimestamp"] == "2024-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "x.yaml: line 2, column 1"),
        ("just text", "document: Invalid value: 'just text': must be an object"),
        ("apiVersion: v1", "kind: Required value"),
        ("kind: Pod", "apiVersion: Required value"),
        ("a: \x00", "x.yaml: line 1, column 4: the character U+0000 is not allowed"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(text, message):
    with pytest.raises(ManifestError, match=re.escape(message)):
        parse_manifests(text, "x.yaml")


def test_all_problems_of_all_files_come_together():
    ports = "[{port: 80, name: a}, {port: 70000, name: b, targetPort: 8080}]"
    bad = f"apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{ports: {ports}}}\n"
    with pytest.raises(ManifestError) as error:
        load([("labs/x.yaml", bad), ("y.yaml", "a: [")], problems)
    syntax, port = error.value.problems
    assert str(syntax).startswith("y.yaml: line 2, column 1")
    assert str(port) == (
        "labs/x.yaml: Service default/web: spec.ports[1].port: Invalid value: 70000: must be between 1 and 65535, inclusive"
    )


def test_unknown_kinds_say_what_is_near_or_are_left_out():
    error, _ = unknown_kind({"apiVersion": "extensions/v1beta1", "kind": "Deployment"})
    assert "did you mean apiVersion apps/v1" in str(error)
    error, _ = unknown_kind({"apiVersion": "v1", "kind": "Servce"})
    assert 'did you mean "Service"' in str(error)
    error, warning = unknown_kind({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot"})
    assert error is None
    assert "left out" in str(warning)
    assert unknown_kind({"apiVersion": "v1", "kind": "Pod"}) == (None, None)
    assert idle_kind({"apiVersion": "v1", "kind": "Pod"}) is None
    assert "nothing acts on it" in str(idle_kind({"apiVersion": "batch/v1", "kind": "Job"}))


def test_the_name_server_gives_way_to_a_service_that_asks_for_its_address():
    asks = service_object(clusterIP="10.96.0.10", clusterIPs=["10.96.0.10"])
    assert cluster_spec([asks]).dns_addresses == ("10.96.0.11",)


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        ({"ports": []}, "spec.ports", "Required value"),
        ({"ports": [{"port": 0}]}, "spec.ports[0].port", "must be between 1 and 65535, inclusive"),
        ({"ports": [{}]}, "spec.ports[0].port", "must be between 1 and 65535"),
        ({"ports": [{"port": 1}, {"port": 2, "name": "b"}]}, "spec.ports[0].name", "Required value"),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}, "spec.ports[1].name", "Duplicate"),
        ({"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]}, "spec.ports[1]", "Duplicate"),
        ({"ports": [{"port": 1, "name": "A_"}]}, "spec.ports[0].name", "RFC 1123"),
        ({"ports": [{"port": 1, "protocol": "ICMP"}]}, "spec.ports[0].protocol", 'supported values: "SCTP", "TCP", "UDP"'),
        ({"ports": [{"port": 1, "targetPort": "a-name-too-long-"}]}, "spec.ports[0].targetPort", "no more than 15"),
        ({"ports": [{"port": 1, "targetPort": 99999}]}, "spec.ports[0].targetPort", "65535"),
        ({"ports": [{"port": 1, "nodePort": 30000}]}, "spec.ports[0].nodePort", "Forbidden"),
        ({"type": "NodePort", "ports": [{"port": 1, "name": "a", "nodePort": 30000}, {"port": 2, "name": "b", "nodePort": 30000}]},
         "spec.ports[1].nodePort", "Duplicate"),
        ({"type": "Cluster"}, "spec.type", "Unsupported value"),
        ({"clusterIP": "300.1.1.1"}, "spec.clusterIPs[0]", "valid IP"),
        ({"ipFamilies": ["IPv4", "IPv4"]}, "spec.ipFamilies[1]", "Duplicate"),
        ({"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.2"]}, "spec.clusterIPs", "first value must match"),
        ({"clusterIP": "None", "type": "NodePort"}, "spec.clusterIPs[0]", "may not be set to 'None'"),
        ({"externalIPs": ["127.0.0.1"]}, "spec.externalIPs[0]", "loopback"),
        ({"externalIPs": ["x"]}, "spec.externalIPs[0]", "valid IP"),
        ({"type": "LoadBalancer", "loadBalancerSourceRanges": ["1.2.3.4"]}, "spec.LoadBalancerSourceRanges[0]", "valid CIDR"),
        ({"loadBalancerSourceRanges": ["1.2.3.0/24"]}, "spec.LoadBalancerSourceRanges", "Forbidden"),
        ({"type": "ExternalName"}, "spec.externalName", "Required value"),
        ({"type": "ExternalName", "externalName": "a..b"}, "spec.externalName", "RFC 1123"),
        ({"sessionAffinity": "Cookie"}, "spec.sessionAffinity", "ClientIP"),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "greater"),
        ({"type": "NodePort", "externalTrafficPolicy": "Near"}, "spec.externalTrafficPolicy", "Cluster"),
        ({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 99999}, "spec.healthCheckNodePort", "65535"),
        ({"ipFamilies": ["IPv5"]}, "spec.ipFamilies[0]", "IPv4"),
    ],
)  # fmt: skip
def test_services_that_the_api_server_refuses(spec, path, message):
    found = problems(service_object(**spec))
    assert path in [p.path for p in found]
    assert message in next(p.message for p in found if p.path == path)


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        ({**slice_object(), "addressType": None}, "addressType"),
        ({**slice_object(), "addressType": "IPv6"}, "endpoints[0].addresses"),
        ({**slice_object(), "endpoints": [{"addresses": []}]}, "endpoints[0].addresses"),
        ({**slice_object(), "endpoints": [{"addresses": ["10.0.0.1"]}] * 1001}, "endpoints"),
        *(
            ({**slice_object(), "endpoints": [{"addresses": ["10.0.0.1"], "hostname": bad}]}, "endpoints[0].hostname")
            for bad in ("Web-0", "a.b", "-a", "a_b", "a\n", "x" * 64, "\u00e4", "")
        ),
        ({**slice_object("web", ()), "addressType": "FQDN", "endpoints": [{"addresses": ["a.example"], "hostname": "A"}]},
         "endpoints[0].hostname"),
        ({**slice_object(), "ports": [{"port": 1}, {"port": 2}]}, "ports[1].name"),
        ({**slice_object(), "ports": [{"port": 99999}]}, "ports[0].port"),
        (pod_object(spec={"containers": []}), "spec.containers"),
        (pod_object(spec={"containers": [{"name": "a", "image": "b"}, {"name": "a", "image": "b"}]}), "spec.containers[1].name"),
        (pod_object(spec={"containers": [{"name": "a"}]}), "spec.containers[0].image"),
        (pod_object(spec={"containers": [{"image": "a"}]}), "spec.containers[0].name"),
        (pod_object(spec={"containers": [{"name": "A", "image": "a"}]}), "spec.containers[0].name"),
        (pod_object(spec={"restartPolicy": "Maybe"}), "spec.restartPolicy"),
        (pod_object(spec={"dnsPolicy": "None"}), "spec.dnsConfig"),
        (pod_object(spec={"hostname": "a.b"}), "spec.hostname"),
        (pod_object(spec={"containers": [{"name": "a", "image": "b", "readinessProbe": {"periodSeconds": 0}}]}),
         "spec.containers[0].readinessProbe"),
        ({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {}}, "spec.selector"),
        ({"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
          "template": {"spec": {"containers": [{"name": "a", "image": "b"}]}}, "replicas": -1}}, "spec.replicas"),
        ({"kind": "ServiceCIDR", "metadata": {"name": "a"}, "spec": {"cidrs": ["x"]}}, "spec.cidrs[0]"),
        ({"kind": "KubeProxyConfiguration", "mode": "ebpf"}, "mode"),
        ({"kind": "KubeProxyConfiguration", "clusterCIDR": "x"}, "clusterCIDR"),
        ({"kind": "KubeProxyConfiguration", "nodePortAddresses": ["x"]}, "nodePortAddresses[0]"),
        ({"kind": "KubeProxyConfiguration", "iptables": {"masqueradeBit": 32}}, "iptables.masqueradeBit"),
        ({"kind": "Cluster", "spec": {"nodes": ["client"]}}, "spec.nodes[0].name"),
        ({"kind": "Cluster", "spec": {"nodes": ["a", "a"]}}, "spec.nodes[1].name"),
        ({"kind": "Cluster", "spec": {"nodes": []}}, "spec.nodes"),
        ({"kind": "Cluster", "spec": {"nodes": 0}}, "spec.nodes"),
        ({"kind": "Cluster", "spec": {"podCIDRs": ["x"]}}, "spec.podCIDRs[0]"),
        ({"kind": "Cluster", "spec": {"nodePortRange": "9-1"}}, "spec.nodePortRange"),
        ({"kind": "Cluster", "spec": {"ipFamilies": ["IPv5"]}}, "spec.ipFamilies[0]"),
        ({"kind": "Pod", "metadata": {}}, "metadata.name"),
        ({"kind": "Pod", "metadata": {"name": "A"}}, "metadata.name"),
        ({"kind": "Pod", "metadata": {"name": "a", "namespace": "A"}}, "metadata.namespace"),
    ],
)  # fmt: skip
def test_other_kinds_that_are_refused(obj, path):
    assert path in [p.path for p in problems(obj)]


def test_a_wrong_shape_never_breaks_the_check():
    assert problems({"kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": 7}})


def test_misspelt_fields_get_the_likely_name():
    obj = service_object(ports=[{"port": 80, "targetport": 8080, "nonsense": 1}])
    wrong, unknown = field_problems(obj)
    assert not wrong
    assert [str(p) for p in unknown] == [
        'spec.ports[0].targetport: unknown field; did you mean "targetPort"?',
        "spec.ports[0].nonsense: unknown field",
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ports": [{"port": "80"}]}, "spec.ports[0].port: Invalid value: '80': must be of type integer"),
        ({"ports": [{"port": True}]}, "spec.ports[0].port: Invalid value: True: must be of type integer"),
        ({"ports": {}}, "spec.ports: Invalid value: an object: must be of type array"),
        ({"selector": ["a"]}, "spec.selector: Invalid value: an array: must be of type object"),
        ({"selector": {"a": 1}}, "spec.selector.a: Invalid value: 1: must be of type string"),
        ({"ports": [7]}, "spec.ports[0]: Invalid value: 7: must be of type object"),
        ({"externalIPs": [None], "ports": None}, None),
    ],
)
def test_wrong_types_are_named(spec, message):
    wrong, _ = field_problems(service_object(**spec))
    assert [str(p) for p in wrong] == ([message] if message else [])


def test_defaults_of_the_api_server():
    service = with_defaults(service_object(ports=[{"port": 80}], type="LoadBalancer", sessionAffinity="ClientIP"))
    assert service["spec"]["ports"] == [{"protocol": "TCP", "port": 80, "targetPort": 80}]
    assert service["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] == 10800
    assert service["spec"]["externalTrafficPolicy"] == "Cluster"
    pod = with_defaults(pod_object(spec={"containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 1}],
                                                        "livenessProbe": {"tcpSocket": {"port": 1}}}]}))  # fmt: skip
    assert pod["spec"]["containers"][0]["ports"][0]["protocol"] == "TCP"
    assert pod["spec"]["containers"][0]["livenessProbe"]["periodSeconds"] == 10
    assert with_defaults({"kind": "Deployment", "metadata": {"name": "a"}})["spec"]["replicas"] == 1
    assert with_defaults({"kind": "Other"}) == {"kind": "Other"}


@pytest.mark.parametrize(
    ("selector", "labels", "result"),
    [
        ("a=b", {"a": "b"}, True), ("a==b", {"a": "c"}, False), ("a!=b", {}, True), ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False), ("a in (x, y)", {"a": "y"}, True), ("a notin (x)", {"a": "x"}, False),
        ("!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name", {}, True), ("", {}, True), ("a=", {"a": ""}, True),
    ],
)  # fmt: skip
def test_label_selectors(selector, labels, result):
    assert matches(parse_selector(selector), labels) is result


def test_selectors_of_objects():
    with pytest.raises(ManifestError):
        parse_selector("a=b=c,,")
    expressions = {
        "matchExpressions": [{"key": "a", "operator": "In", "values": ["x"]}, {"key": "b", "operator": "DoesNotExist"}]
    }
    assert matches(label_selector(expressions), {"a": "x"})
    assert not selects({}, {"a": "b"})
    assert field_filter("spec.nodeName=n1,status.phase!=Failed")({"spec": {"nodeName": "n1"}})
    assert not field_filter("spec.nodeName=n1")({})
    assert field_filter(r"spec.a==x\,y\=z")({"spec": {"a": "x,y=z"}})
    assert field_filter("spec.unschedulable=false,spec.hostNetwork=true")({"spec": {"hostNetwork": True}})
    assert field_filter("source=kubelet,spec.host=n1")({"source": {"component": "kubelet"}, "spec": {"nodeName": "n1"}})


def test_a_bare_cluster_has_two_nodes_and_kubernetes_ranges():
    spec = cluster_spec()
    assert [n.name for n in spec.nodes] == ["node1", "node2"]
    assert (spec.pod_cidrs, spec.service_cidrs, spec.dns_addresses) == (
        ("10.244.0.0/16",),
        ("10.96.0.0/16",),
        ("10.96.0.10",),
    )
    assert cluster_spec([cluster_object(spec)]) == spec


def test_a_dump_of_a_real_cluster_brings_its_ranges_and_nodes():
    node = {"kind": "Node", "metadata": {"name": "kind-worker", "labels": {"topology.kubernetes.io/zone": "z"}},
            "spec": {"podCIDR": "10.42.3.0/24"}, "status": {"addresses": [{"type": "InternalIP", "address": "192.168.9.9"}]}}  # fmt: skip
    dns = service_object("kube-dns", "kube-system", clusterIP="10.43.0.10", clusterIPs=["10.43.0.10"])
    spec = cluster_spec([node, dns])
    assert spec.service_cidrs == ("10.43.0.0/16",)
    assert spec.dns_addresses == ("10.43.0.10",)
    assert spec.nodes[0].addresses == ("192.168.9.9",)
    assert spec.nodes[0].pod_cidrs == ("10.42.3.0/24",)
    assert node_object(spec.nodes[0], node)["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z"


def test_both_families():
    spec = cluster_spec(
        [{"kind": "Cluster", "spec": {"ipFamilies": ["IPv4", "IPv6"], "nodes": [{"name": "a", "zone": "z"}]}}]
    )
    assert spec.nodes[0].addresses == ("172.18.0.2", "fd00:172:18::2")
    assert spec.nodes[0].pod_cidrs == ("10.244.0.0/24", "fd00:10:244::/64")
    assert len(spec.dns_addresses) == 2
    assert cluster_spec([{"kind": "Cluster", "spec": {"podCIDRs": ["fd00:1::/48"]}}]).service_cidrs == (
        "fd00:10:96::/112",
    )


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("svc", "Service"),
        ("Pods", "Pod"),
        ("deploy", "Deployment"),
        ("endpointslices.discovery.k8s.io", "EndpointSlice"),
    ],
)
def test_kinds_by_what_people_type(word, kind):
    assert resource_of_word(word).kind == kind


KUBE_PROXY = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}
IMAGE = {"apiVersion": "netproxy.dev/v1alpha1", "kind": "Image", "metadata": {"name": "web"}}


@pytest.mark.parametrize(
    ("obj", "path"),
    [
        ({**KUBE_PROXY, "featureGates": 1}, "featureGates"),
        ({**KUBE_PROXY, "conntrack": "x"}, "conntrack"),
        ({**KUBE_PROXY, "detectLocal": {"interfaceNamePrefix": 5}}, "detectLocal.interfaceNamePrefix"),
        ({**KUBE_PROXY, "iptables": {"masqueradeBit": "x"}}, "iptables.masqueradeBit"),
        ({**KUBE_PROXY, "nodePortAddresses": "10.0.0.0/8"}, "nodePortAddresses"),
        ({**IMAGE, "spec": {"command": 5}}, "spec.command"),
        ({**slice_object("web", ()), "ports": [None]}, "ports[0]"),
    ],
)
def test_what_would_break_whoever_reads_it_has_the_wrong_type(obj, path):
    wrong, _ = field_problems(obj)
    assert [problem.path for problem in wrong] == [path]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"conntrack": {"tcpEstablishedTimeout": "1.2.3s"}}, "conntrack.tcpEstablishedTimeout"),
        ({"conntrack": {"tcpCloseWaitTimeout": "999999999999h"}}, "conntrack.tcpCloseWaitTimeout"),
        ({"iptables": {"syncPeriod": "-5s"}}, "iptables.syncPeriod"),
        ({"ipvs": {"minSyncPeriod": "1e9h"}}, "ipvs.minSyncPeriod"),
        ({"detectLocal": {"bridgeInterface": 'a" ; b\n-F KUBE-SERVICES'}}, "detectLocal.bridgeInterface"),
        ({"detectLocal": {"interfaceNamePrefix": "averylongprefix"}}, "detectLocal.interfaceNamePrefix"),
    ],
)
def test_a_configuration_that_no_kernel_takes_is_refused(config, path):
    assert [problem.path for problem in problems({**KUBE_PROXY, **config})] == [path]


@pytest.mark.parametrize("text", ["fd00::1%x\n-F KUBE-SERVICES", "fe80::1%eth0"])
def test_an_address_with_a_zone_is_none(text):
    assert [p.path for p in problems(service_object(externalIPs=[text]))] == ["spec.externalIPs[0]"]
    slice_ = {**slice_object("web", ()), "addressType": "IPv6", "endpoints": [{"addresses": [text]}]}
    assert [p.path for p in problems(slice_)] == ["endpoints[0].addresses[0]"]


def test_where_a_load_balancer_answers_is_an_address():
    service = {**service_object(type="LoadBalancer"), "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1\n-F"}]}}}
    assert [p.path for p in problems(service)] == ["status.loadBalancer.ingress[0].ip"]


def a_job(**spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once"},
        "spec": {"template": template, **spec},
    }


def test_what_a_server_fills_in_is_not_missed_in_a_manifest():
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                  "metadata": {"name": "widgets.example.com"},
                  "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}}  # fmt: skip
    assert problems(definition) == problems(a_job()) == []
    own = {"selector": {"matchLabels": {"app": "x"}}, "manualSelector": True}
    assert [each.path for each in problems(a_job(**own))] == ["spec.template.metadata.labels"]
