"""What no recording of an API server asks: states that it lets nobody make, and what its rules say of them all the same."""

import base64

import pytest
from support.build import service_object

from netproxy.objects.defaulting import with_defaults
from netproxy.objects.validate import problems, refusals, status_refusals, warnings
from netproxy.objects.validation.addresses import cidr, cidr_warnings
from netproxy.objects.validation.metadata import manager_problems, metadata_problems
from netproxy.objects.validation.names import port_name
from netproxy.objects.validation.serviceips import family_changes, ip_changes, ip_problems

NO_MAPPED, ZEROS = "must not have an IPv4-mapped IPv6 address", "must not have leading 0s in IP or prefix length"


def said(found):
    return [f"{problem.path}: {problem.message}" for problem in found]


def an_object(kind, api_version="v1", name="m", **fields):
    return {"kind": kind, "apiVersion": api_version, "metadata": {"name": name}, **fields}


@pytest.mark.parametrize(
    ("text", "refused", "warned"),
    [
        ("fd00::/64", (), ()),
        ("x", ("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",), ()),
        ("fd00:0::/64", (), ('IPv6 CIDR value "fd00:0::/64" should be in RFC 5952 canonical format ("fd00::/64")',)),
        ("10.0.0.1/8", ("must not have bits set beyond the prefix length",),
         ('CIDR value "10.0.0.1/8" is ambiguous in this context (should be "10.0.0.0/8" or "10.0.0.1/32"?)',)),
        ("010.0.0.0/8", (ZEROS,), ('non-standard CIDR value "010.0.0.0/8" is invalid: use "10.0.0.0/8"',)),
        ("10.0.0.0/08", (ZEROS,), ('non-standard CIDR value "10.0.0.0/08" is invalid: use "10.0.0.0/8"',)),
        ("::ffff:1.2.0.0/112", (NO_MAPPED,), ('non-standard CIDR value "::ffff:1.2.0.0/112" is invalid: use "1.2.0.0/16"',)),
        ("::ffff:1.2.3.4/64", (NO_MAPPED,),
         ('CIDR value "::ffff:1.2.3.4/64" is ambiguous in this context (should be "::/64" or "1.2.3.4/128"?)',
          'non-standard CIDR value "::ffff:1.2.3.4/64" is invalid: use "::/64"')),
    ],
)  # fmt: skip
def test_ranges_in_odd_spellings(text, refused, warned):
    assert cidr(text) == refused
    assert cidr_warnings("p", text) == tuple(f"p: {warning}" for warning in warned)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"strategy": "OldestEmulationVersion", "preferredHolder": "x"}, []),
        ({"strategy": "A_B"}, ['spec.strategy.strategy: Unsupported value: "A_B": supported values: "OldestEmulationVersion"']),
        ({"strategy": "a.b/c"}, []),
        ({"preferredHolder": "x"}, ["spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"]),
    ],
)  # fmt: skip
def test_leases_that_leaders_share(spec, why):
    lease = an_object("Lease", "coordination.k8s.io/v1", spec=spec)
    assert said(refusals(lease, None)) == said(refusals(lease, lease)) == why


@pytest.mark.parametrize(
    ("name", "value", "default", "why"),
    [
        ("system-x", 1, False, "system-x is not a known system priority class"),
        ("system-node-critical", 1, False, "value of system-node-critical PriorityClass must be 2000001000"),
        ("system-node-critical", 2000001000, True, "globalDefault of system-node-critical PriorityClass must be false"),
        ("system-node-critical", 2000001000, False, ""),
    ],
)
def test_classes_of_the_system(name, value, default, why):
    one = an_object(
        "PriorityClass", "scheduling.k8s.io/v1", name, value=value, globalDefault=default, preemptionPolicy=""
    )
    reserved = "priority class names with 'system-' prefix are reserved for system use only"
    expected = [f"metadata.name: Forbidden: {reserved}. error: {why}"] if why else []
    assert said(refusals(one, None)) == [*expected, "preemptionPolicy: Required value"]


def test_nodes_are_warned_of_what_is_gone():
    node = an_object("Node", spec={"configSource": {}, "externalID": "x"})
    assert list(warnings(node, None)) == [
        "spec.configSource: the feature is removed",
        "spec.externalID: this field is deprecated, and is unused by Kubernetes",
    ]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"operation": "X"}, 'operation: Invalid value: "X": must be `Apply` or `Update`'),
        ({"operation": "Update", "fieldsType": "V2"}, 'fieldsType: Invalid value: "V2": must be `FieldsV1`'),
        ({"operation": "Apply", "subresource": "s" * 257}, "subresource: Too long: may not be more than 256 bytes"),
    ],
)
def test_entries_of_managers(entry, why):
    assert said(metadata_problems({"name": "m", "managedFields": [entry]})) == [f"metadata.managedFields[0].{why}"]


def test_names_of_managers():
    assert said(manager_problems("é\n" + "a" * 128, "p")) == [
        "p: Too long: may not be more than 128 bytes",
        f'p: Invalid value: "é\\n{"a" * 128}": invalid character U+000A (at position 2)',
    ]


@pytest.mark.parametrize(
    ("check", "new", "old", "why"),
    [
        (ip_problems, {"clusterIP": "10.0.0.1"}, {}, ["spec.clusterIPs: Required value"]),
        (ip_problems, {"clusterIPs": ["10.0.0.1"]}, {},
         ['spec.clusterIPs: Invalid value: ["10.0.0.1"]: must be empty when `clusterIP` is not specified']),
        (ip_problems, {"type": "ExternalName", "clusterIP": "x"}, {}, []),
        (ip_changes, {"clusterIPs": [], "clusterIP": ""}, {"clusterIPs": ["10.0.0.1"]},
         ["spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset"]),
        (ip_changes, {"clusterIPs": ["10.0.0.2"]}, {"clusterIPs": ["10.0.0.1", "fd00::1"]},
         ['spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
          "spec.ipFamilyPolicy: Invalid value: null: must be set to 'SingleStack' when releasing the secondary clusterIP"]),
        (family_changes, {"ipFamilies": []}, {"ipFamilies": ["IPv4"]},
         ["spec.ipFamilies[0]: Invalid value: []: primary ipFamily can not be unset"]),
        (family_changes, {"ipFamilies": ["IPv6"], "clusterIPs": ["fd00::1"]}, {"ipFamilies": ["IPv4", "IPv6"]},
         ['spec.ipFamilies[0]: Invalid value: ["fd00::1"]: may not change once set',
          "spec.ipFamilyPolicy: Invalid value: null: must be set to 'SingleStack' when releasing the secondary ipFamily"]),
        (family_changes, {"ipFamilies": ["IPv6"]}, {"ipFamilies": ["IPv4"]},
         ['spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set']),
    ],
)  # fmt: skip
def test_addresses_of_services(check, new, old, why):
    assert said(check(new, old)) == why


def test_namespaces_end_when_they_are_deleted():
    def one(phase, **meta):
        return {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "m", **meta}, "status": {"phase": phase}}

    going = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert said(status_refusals(one("Active", **going), one("Active", **going))) == [
        "status.Phase: Invalid value: \"Active\": may only be 'Terminating' if `deletionTimestamp` is not empty"
    ]
    assert said(status_refusals(one("Terminating"), one("Active"))) == [
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
    ]
    assert status_refusals(one("Terminating", **going), one("Active", **going)) == []


def test_a_claim_begins_in_its_own_namespace():
    source = {"kind": "X", "name": "y", "apiGroup": "g.io"}
    given = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "dataSource": source}
    claim = an_object("PersistentVolumeClaim", spec={**given, "dataSourceRef": {**source, "namespace": "a"}})
    assert said(refusals(with_defaults(claim), None)) == [
        "spec: Invalid value: {}: may not be specified when dataSourceRef.namespace is specified"
    ]


def test_slices_have_limits():
    def one(**fields):
        return an_object("EndpointSlice", "discovery.k8s.io/v1", addressType="IPv4", **fields)

    topology = {f"k{number}": "v" for number in range(17)}
    assert said(problems(one(endpoints=[{"addresses": ["1.2.3.4"], "deprecatedTopology": topology}], ports=[]))) == [
        "endpoints[0].deprecatedTopology: Too many: 17: must have at most 16 items"
    ]
    ports = [{"port": 1, "name": f"a{number}"} for number in range(20001)]
    assert said(problems(one(endpoints=[], ports=ports))) == ["ports: Too many: 20001: must have at most 20000 items"]


def a_service(**spec):
    return service_object(**{"type": "ClusterIP", "sessionAffinity": "None", **spec})


@pytest.mark.parametrize(
    ("spec", "ingress", "why"),
    [
        ({"sessionAffinityConfig": {}}, [],
         ["spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None"]),
        ({"type": "LoadBalancer"}, [{"ip": "1.2.3.4"}],
         ["status.loadBalancer.ingress[0].ipMode: Required value: must be specified when `ip` is set"]),
    ],
)  # fmt: skip
def test_services_without_defaults(spec, ingress, why):
    service = {**a_service(**spec), "status": {"loadBalancer": {"ingress": ingress}}}
    found = status_refusals(service, service) if ingress else refusals(service, None)
    assert [line for line in said(found) if "ession" in line or "ipMode" in line] == why


def test_a_service_of_another_name_has_no_addresses_outside():
    service = a_service(type="ExternalName", externalName="a.b", externalIPs=["1.2.3.4"])
    assert list(warnings(service, None)) == ['spec.externalIPs is ignored when spec.type is "ExternalName"']


def armoured(kind):
    return base64.b64encode(f"-----BEGIN {kind}-----\nQUJD\n-----END {kind}-----\n".encode()).decode()


def test_a_certificate_and_its_key_in_armour_are_believed():
    data = {"tls.crt": armoured("CERTIFICATE"), "tls.key": armoured("EC PRIVATE KEY")}
    assert list(warnings(an_object("Secret", type="kubernetes.io/tls", data=data), None)) == []


def a_volume(**spec):
    given = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], **spec}
    return with_defaults(an_object("PersistentVolume", spec=given))


def test_volumes_of_drivers_that_are_gone():
    assert said(refusals(a_volume(rbd={"monitors": ["a"], "image": "i"}), None)) == []
    assert list(warnings(a_volume(cephfs={}, storageos={}), None)) == [
        "spec.cephfs: deprecated in v1.28, non-functional in v1.31+",
        "spec.storageOS: deprecated in v1.22, non-functional in v1.25+",
    ]


def test_nodes_of_a_volume():
    asked = [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "Gt", "values": ["1"]}]
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": asked}]}}
    assert said(refusals(a_volume(hostPath={"path": "/x"}, nodeAffinity=affinity), None)) == []


def test_a_bound_claim_may_have_no_requests():
    claim = an_object("PersistentVolumeClaim", spec={"accessModes": ["ReadWriteOnce"]}, status={"phase": "Bound"})
    assert said(refusals(claim, claim)) == said(refusals(claim, None))


def test_claims_may_say_what_they_begin_with_twice():
    source = {"kind": "PersistentVolumeClaim", "name": "y"}
    given = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = an_object("PersistentVolumeClaim", spec={**given, "dataSource": source, "dataSourceRef": source})
    assert refusals(with_defaults(claim), None) == []
    alone = an_object("PersistentVolumeClaim", spec={**given, "dataSourceRef": source})
    assert refusals(with_defaults(alone), None) == []


@pytest.mark.parametrize("name", ["a--b", "-a", "a-"])
def test_names_of_ports(name):
    why = "must not contain consecutive hyphens" if "--" in name else "must not begin or end with a hyphen"
    assert why in port_name(name)


def test_few_topologies_of_an_endpoint():
    endpoint = {"addresses": ["1.2.3.4"], "deprecatedTopology": {"a": "v"}}
    made = an_object("EndpointSlice", "discovery.k8s.io/v1", addressType="IPv4", endpoints=[endpoint], ports=[])
    assert problems(made) == []


ZONED = "TZ=UTC * * * * *"
NO_ZONE = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"


@pytest.mark.parametrize(
    ("given", "before", "why"),
    [
        ({"schedule": ZONED}, {"schedule": "* * * * *"}, [NO_ZONE]),
        ({"schedule": ZONED}, {"schedule": ZONED}, []),
        ({"schedule": ZONED, "timeZone": "UTC"}, {"schedule": ZONED}, ["cannot use both timeZone field and TZ or CRON_TZ in schedule"]),
    ],
)  # fmt: skip
def test_a_schedule_that_had_a_zone_in_it_keeps_it(given, before, why):
    job = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
    new, old = (
        with_defaults(an_object("CronJob", "batch/v1", spec={**spec, "jobTemplate": job})) for spec in (given, before)
    )
    assert said(refusals(new, old)) == [f'spec.schedule: Invalid value: "{ZONED}": {reason}' for reason in why]
    (warned,) = warnings(new, old)
    assert warned.startswith("spec.schedule: cannot use TZ or CRON_TZ in schedule, use timeZone instead")


def test_a_target_without_a_group_that_was_taken_once_is_taken_again():
    def one(**target):
        spec = {"maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "d", **target}}
        return with_defaults(an_object("HorizontalPodAutoscaler", "autoscaling/v2", spec=spec))

    why = ['spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group']
    assert said(refusals(one(apiVersion="v1"), None)) == why
    assert said(refusals(one(apiVersion="v1"), one(apiVersion="apps/v1"))) == why
    assert said(refusals(one(apiVersion="v1", name="e"), one(apiVersion="v1"))) == []
    assert said(refusals(one(apiVersion="/v1"), None)) == [why[0].replace('"v1"', '"/v1"')]
