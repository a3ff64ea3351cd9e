"""The door: what each write may touch, how objects end, namespaces, one kind in two versions, dry runs."""

import pytest
from support.api import a_registry, a_store
from support.build import FixedClock, config_map, deployment, namespace_object, pod_object, service_object, slice_object

from netproxy.core.clock import timestamp
from netproxy.core.errors import AlreadyExistsError, ApiError, ConflictError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    EVENTS_V1,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
)
from netproxy.objects.manifest import Loaded
from netproxy.registry.convert import in_version
from netproxy.registry.deletion import Options, is_over
from netproxy.registry.options import WriteOptions

WEB = NamespacedName("default", "web")
POD = NamespacedName("default", "web-1")
CONFIG = NamespacedName("default", "c")
MERGE = "application/merge-patch+json"


def seen_types(registry):
    return [event.type for event in registry.store.since(0)]


# --- which write touches what


def test_a_new_object_begins_with_the_status_of_its_kind():
    registry = a_registry()
    assert registry.create({**service_object(), "status": {"x": 1}})["status"] == {"loadBalancer": {}}
    assert registry.create(pod_object())["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert registry.create(namespace_object())["status"] == {"phase": "Active"}
    assert registry.create({**deployment(), "status": {"replicas": 3}})["status"] == {}
    assert "status" not in registry.create(config_map())
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"phase": "x"}}
    assert registry.create(node)["status"]["phase"] == "x"


def test_a_write_of_the_spec_leaves_the_status_and_the_other_way_round():
    registry = a_registry()
    made = registry.create(deployment())
    with_status = registry.replace_status({**made, "spec": {}, "metadata": {"name": "web"}, "status": {"replicas": 2}})
    assert (with_status["status"], with_status["spec"]) == ({"replicas": 2}, made["spec"])
    assert with_status["metadata"]["uid"] == made["metadata"]["uid"]
    changed = registry.replace({**deployment(), "spec": {**made["spec"], "replicas": 5}, "status": {"replicas": 9}})
    assert (changed["status"], changed["spec"]["replicas"]) == ({"replicas": 2}, 5)
    assert registry.replace_status({**changed, "status": None})["status"] == {}


def test_both_check_the_version_they_were_made_from():
    registry = a_registry()
    made = registry.create(service_object())
    registry.replace({**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}})
    for write in (registry.replace, registry.replace_status):
        with pytest.raises(ConflictError, match='cannot be fulfilled on services "web": the object has been modified'):
            write(made)
        with pytest.raises(NotFoundError):
            write(service_object("none"))


def test_what_has_no_status_has_no_status_to_write():
    registry = a_registry()
    registry.create(config_map())
    with pytest.raises(NotFoundError, match="could not find the requested resource"):
        registry.replace_status(config_map())


def test_a_write_that_changes_nothing_is_no_write():
    registry = a_registry()
    made = registry.create(service_object())
    version = registry.store.version
    assert registry.replace(service_object()) == made
    assert registry.store.version == version


def test_a_new_object_brings_no_version_and_takes_no_name_that_is_there():
    registry = a_registry()
    registry.create(service_object())
    with pytest.raises(ApiError, match="resourceVersion should not be set on objects to be created"):
        registry.create({**service_object(), "metadata": {"name": "b", "resourceVersion": "5"}})
    with pytest.raises(AlreadyExistsError, match='services "web" already exists'):
        registry.create(service_object())


@pytest.mark.parametrize(
    ("obj", "field"),
    [
        ({"apiVersion": "v1", "kind": "Service", "metadata": 5}, "metadata"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": 5}, "spec"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "status": 5}, "status"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": ["a"]}}, "metadata.name"),
        ({"apiVersion": "netproxy.dev/v1alpha1", "kind": "Image", "metadata": {"labels": [1]}}, "metadata.labels"),
        ({"apiVersion": "v2", "kind": "Unicorn", "metadata": {"name": "a"}}, "kind"),
    ],
)
def test_what_has_the_wrong_shape_is_refused(obj, field):
    registry = a_registry()
    for write in (
        registry.create,
        registry.replace,
        registry.replace_status,
        lambda o: registry.apply([Loaded(o, "x")]),
    ):
        with pytest.raises(ManifestError) as error:
            write(obj)
        assert error.value.problems[0].path == field


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            deployment(),
            deployment(tier="b"),
            'spec.selector: Invalid value: {"matchLabels":{"tier":"b"}}: field is immutable',
        ),
        (
            slice_object(),
            {**slice_object(), "addressType": "FQDN"},
            'addressType: Invalid value: "FQDN": field is immutable',
        ),
        (
            {**config_map(), "immutable": True},
            config_map(),
            "immutable: Forbidden: field is immutable when `immutable` is set",
        ),
        (
            pod_object(),
            pod_object(spec={"hostNetwork": True}, metadata={"uid": ""}),
            "spec: Forbidden: pod updates may not change fields other than",
        ),
    ],
)
def test_some_fields_stay_what_they_were(before, after, message):
    registry = a_registry()
    registry.create(before)
    with pytest.raises(ManifestError) as error:
        registry.replace(after)
    assert str(error.value).startswith(message)


def test_an_image_may_change_but_not_the_node():
    registry = a_registry()
    registry.create(pod_object(spec={"containers": [{"name": "c", "image": "one:1"}]}))
    wanted = pod_object(spec={"containers": [{"name": "c", "image": "other:1"}]})
    del wanted["metadata"]["uid"]
    assert registry.replace(wanted)["spec"]["containers"][0]["image"] == "other:1"
    del wanted["spec"]["nodeName"]
    with pytest.raises(ManifestError, match="pod updates may not change fields other than"):
        registry.replace(wanted)


def test_a_pod_is_bound_once():
    registry = a_registry()
    pod = pod_object()
    del pod["spec"]["nodeName"]
    registry.create(pod)
    registry.replace_status({**pod_object(metadata={"uid": ""}), "status": {"conditions": [
        {"type": "PodScheduled", "status": "False"}, {"type": "Ready", "status": "False"}]}})  # fmt: skip
    bound = registry.bind(POD, "n1")
    assert bound["spec"]["nodeName"] == "n1"
    assert [(c["type"], c["status"]) for c in bound["status"]["conditions"]] == [
        ("PodScheduled", "True"),
        ("Ready", "False"),
    ]
    with pytest.raises(ConflictError, match='pod web-1 is already assigned to node "n1"'):
        registry.bind(POD, "n2")
    with pytest.raises(NotFoundError):
        registry.bind(WEB, "n1")


def test_a_pod_on_its_way_out_is_not_bound():
    registry = a_registry()
    pod = pod_object(metadata={"finalizers": ["a/b"]})
    del pod["spec"]["nodeName"]
    registry.create(pod)
    registry.delete(PODS, POD)
    with pytest.raises(ConflictError, match="is being deleted, cannot be assigned to a host"):
        registry.bind(POD, "n1")


# --- patches


def test_a_patch_is_a_write_of_what_it_makes():
    registry = a_registry()
    registry.create(deployment())
    at = NamespacedName("default", "web")
    body = {"spec": {"replicas": 3}, "status": {"replicas": 9}}
    assert registry.patch(DEPLOYMENTS, at, body, MERGE)["status"] == {}
    patched = registry.patch(DEPLOYMENTS, at, body, MERGE, subresource="status")
    assert (patched["status"], patched["spec"]["replicas"]) == ({"replicas": 9}, 3)
    with pytest.raises(ConflictError):
        registry.patch(DEPLOYMENTS, at, {"metadata": {"resourceVersion": "1"}}, MERGE)
    with pytest.raises(ApiError, match=r"the name of the object \(b\) does not match the name on the URL \(web\)"):
        registry.patch(DEPLOYMENTS, at, {"metadata": {"name": "b"}}, MERGE)
    with pytest.raises(NotFoundError):
        registry.patch(DEPLOYMENTS, CONFIG, body, MERGE)


# --- dry runs


def test_a_dry_run_says_what_would_be_and_stores_nothing():
    registry = a_registry()
    made = registry.create(service_object(), WriteOptions(dry_run=True))
    assert "resourceVersion" not in made["metadata"]
    assert made["spec"]["clusterIP"] == "10.96.0.0", "nobody's"
    real = registry.create(service_object(type="LoadBalancer"))
    changed = {**real, "metadata": {**real["metadata"], "labels": {"a": "b"}}}
    for result in (
        registry.replace(changed, WriteOptions(dry_run=True)),
        registry.patch(SERVICES, WEB, {"metadata": {"labels": {"a": "b"}}}, MERGE, WriteOptions(dry_run=True)),
    ):
        assert result["metadata"]["labels"] == {"a": "b"}
        assert result["metadata"]["resourceVersion"] == real["metadata"]["resourceVersion"]
    registry.replace_status(
        {**real, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}, WriteOptions(dry_run=True)
    )
    registry.delete(SERVICES, WEB, options=WriteOptions(dry_run=True))
    assert list(registry.store.all(SERVICES)) == [real]
    assert seen_types(registry) == ["ADDED", "ADDED"], "a Service and its IPAddress"


# --- the end of an object


def test_an_object_without_finalizers_goes_at_once():
    registry = a_registry()
    registry.create(config_map())
    registry.delete(CONFIG_MAPS, CONFIG, Options(grace_s=30))
    assert seen_types(registry) == ["ADDED", "DELETED"]
    with pytest.raises(NotFoundError):
        registry.delete(CONFIG_MAPS, CONFIG)


def test_finalizers_hold_an_object_until_the_last_is_gone():
    registry = a_registry()
    registry.create(config_map(finalizers=["x/a", "x/b"]))
    marked = registry.delete(CONFIG_MAPS, CONFIG)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert registry.delete(CONFIG_MAPS, CONFIG) == marked
    with pytest.raises(AlreadyExistsError, match='object is being deleted: configmaps "c" already exists'):
        registry.create(config_map())
    with pytest.raises(
        ManifestError, match=r'no new finalizers can be added .* found new finalizers \[\]string\{"x/c"\}'
    ):
        registry.patch(CONFIG_MAPS, CONFIG, {"metadata": {"finalizers": ["x/a", "x/c"]}}, MERGE)
    registry.patch(CONFIG_MAPS, CONFIG, {"metadata": {"deletionTimestamp": None}}, MERGE)
    one = registry.patch(CONFIG_MAPS, CONFIG, {"metadata": {"finalizers": ["x/b"]}}, MERGE)
    assert one["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    last = registry.replace(config_map())
    assert is_over(last)
    assert last["metadata"]["resourceVersion"] == one["metadata"]["resourceVersion"]
    assert registry.store.find(CONFIG_MAPS, CONFIG) is None
    assert seen_types(registry) == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]


@pytest.mark.parametrize(
    ("propagation", "finalizers"),
    [("Background", None), (None, None), ("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])],
)
def test_propagation_is_a_finalizer(propagation, finalizers):
    registry = a_registry()
    registry.create(deployment())
    result = registry.delete(DEPLOYMENTS, WEB, Options(propagation=propagation))
    assert result["metadata"].get("finalizers") == finalizers
    assert (registry.store.find(DEPLOYMENTS, WEB) is None) is (finalizers is None)


def test_a_later_wish_for_propagation_replaces_the_earlier():
    registry = a_registry()
    registry.create(deployment())
    registry.delete(DEPLOYMENTS, WEB, Options(propagation="Orphan"))
    registry.delete(DEPLOYMENTS, WEB)
    assert registry.store.count(DEPLOYMENTS) == 1
    registry.delete(DEPLOYMENTS, WEB, Options(propagation="Background"))
    assert registry.store.count(DEPLOYMENTS) == 0


def test_a_bound_pod_gets_its_grace_and_a_second_wish_may_only_shorten_it():
    clock = FixedClock()
    registry = a_registry(a_store(clock=clock))
    registry.create(pod_object(spec={"terminationGracePeriodSeconds": 7}))
    start = clock.time
    marked = registry.delete(PODS, POD)["metadata"]
    assert (marked["deletionGracePeriodSeconds"], marked["deletionTimestamp"]) == (7, timestamp(start + 7))
    assert marked["generation"] == 2
    clock.time += 1
    shorter = registry.delete(PODS, POD, Options(grace_s=3))["metadata"]
    assert (shorter["deletionGracePeriodSeconds"], shorter["deletionTimestamp"]) == (3, timestamp(start + 3))
    assert registry.delete(PODS, POD, Options(grace_s=50))["metadata"] == shorter
    assert registry.delete(PODS, POD)["metadata"] == shorter
    assert registry.delete(PODS, POD, Options(grace_s=0))["metadata"]["deletionGracePeriodSeconds"] == 0
    assert registry.store.count(PODS) == 0


@pytest.mark.parametrize(
    ("pod", "grace_s", "left"),
    [
        pytest.param(pod_object(node=""), None, None, id="on no node"),
        pytest.param(pod_object(status={"phase": "Succeeded"}), None, None, id="has ended"),
        pytest.param(pod_object(spec={"terminationGracePeriodSeconds": 0}), None, None, id="needs no time"),
        pytest.param(pod_object(), -1, 1, id="less than none is a second"),
        pytest.param(pod_object(), None, 30, id="the usual"),
    ],
)
def test_how_long_a_pod_has(pod, grace_s, left):
    registry = a_registry()
    registry.apply([Loaded(pod, "x")])
    gone = registry.delete(PODS, POD, Options(grace_s=grace_s))["metadata"]
    assert gone["deletionGracePeriodSeconds"] == (left or 0)
    assert registry.store.count(PODS) == (left is not None)


def test_the_node_says_that_a_pod_has_ended():
    registry = a_registry()
    uid = registry.create(pod_object(metadata={"finalizers": ["x/a"]}))["metadata"]["uid"]
    registry.delete(PODS, POD)
    registry.finish(PODS, POD, "another")
    assert registry.store.get(PODS, POD)["metadata"]["deletionGracePeriodSeconds"] == 30
    registry.finish(PODS, POD, uid)
    assert registry.store.get(PODS, POD)["metadata"]["deletionGracePeriodSeconds"] == 0
    registry.patch(PODS, POD, {"metadata": {"finalizers": None}}, MERGE)
    assert registry.store.count(PODS) == 0
    registry.finish(PODS, POD, uid)


def test_a_status_can_be_written_to_a_pod_on_its_way_out():
    registry = a_registry()
    registry.create(pod_object())
    registry.delete(PODS, POD)
    written = registry.replace_status({**registry.store.get(PODS, POD), "status": {"phase": "Failed"}})
    assert written["status"] == {"phase": "Failed", "qosClass": "BestEffort"}
    assert registry.store.count(PODS) == 1


def test_the_object_that_is_meant_and_no_other():
    registry = a_registry()
    made = registry.create(service_object())["metadata"]
    with pytest.raises(ConflictError, match=r'on Service "web": the UID in the precondition \(other\) does not match'):
        registry.delete(SERVICES, WEB, Options(uid="other"))
    with pytest.raises(ConflictError, match=r"the ResourceVersion in the precondition \(7\) does not match"):
        registry.delete(SERVICES, WEB, Options(resource_version="7"))
    registry.delete(SERVICES, WEB, Options(uid=made["uid"], resource_version=made["resourceVersion"]))
    assert registry.store.count(SERVICES) == 0


# --- namespaces


def test_nothing_is_created_where_there_is_no_namespace_or_one_that_goes():
    registry = a_registry()
    with pytest.raises(NotFoundError, match='namespaces "team" not found'):
        registry.create(service_object(namespace="team"))
    registry.create(namespace_object())
    registry.create(service_object(namespace="team"))
    registry.delete(NAMESPACES, NamespacedName("", "team"))
    with pytest.raises(
        ApiError, match='services "b" is forbidden: unable to create new content in namespace team because'
    ) as error:
        registry.create(service_object("b", namespace="team"))
    assert (error.value.code, error.value.reason) == (403, "Forbidden")
    registry.replace(service_object(namespace="team", selector={"x": "y"}))


def test_a_namespace_stays_until_it_is_finalized():
    registry = a_registry()
    at = NamespacedName("", "team")
    made = registry.create({**namespace_object(), "spec": {"finalizers": []}})
    assert made["spec"]["finalizers"] == ["kubernetes"]
    kept = registry.replace({**made, "spec": {}})
    assert kept["spec"]["finalizers"] == ["kubernetes"]
    gone = registry.delete(NAMESPACES, at)
    assert gone["status"]["phase"] == "Terminating"
    assert registry.delete(NAMESPACES, at) == gone
    registry.replace(namespace_object())
    assert registry.store.get(NAMESPACES, at)["status"]["phase"] == "Terminating"
    registry.finalize({**namespace_object(), "spec": {}})
    assert registry.store.count(NAMESPACES) == 0


def test_a_living_namespace_without_finalizers_lives():
    registry = a_registry()
    registry.create(namespace_object())
    registry.patch(
        NAMESPACES, NamespacedName("", "team"), {"spec": {"finalizers": None}}, MERGE, subresource="finalize"
    )
    assert registry.store.count(NAMESPACES) == 1


def test_some_namespaces_may_not_be_deleted():
    registry = a_registry()
    registry.create(namespace_object("default"))
    with pytest.raises(ApiError, match='namespaces "default" is forbidden: this namespace may not be deleted'):
        registry.delete(NAMESPACES, NamespacedName("", "default"))


# --- applying


def test_an_applied_manifest_keeps_owners_finalizers_and_what_others_wrote_as_status():
    registry = a_registry()
    registry.create(pod_object(metadata={"finalizers": ["x/a"], "ownerReferences": []}))
    (again,) = registry.apply([Loaded(pod_object(metadata={"labels": {"b": "c"}, "resourceVersion": "99"}), "x")])
    assert again["metadata"]["finalizers"] == ["x/a"]
    assert again["metadata"]["labels"] == {"b": "c"}
    assert again["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_an_applied_manifest_is_believed_where_nobody_else_writes_the_status():
    registry = a_registry()
    service = service_object(type="LoadBalancer")
    given = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}}
    (made,) = registry.apply([Loaded({**service, "status": given}, "x")])
    assert made["status"] == given
    other = {"loadBalancer": {"ingress": [{"ip": "203.0.113.2", "ipMode": "VIP"}]}}
    (again,) = registry.apply([Loaded({**service, "status": other}, "x")])
    assert again["status"] == other
    (kept,) = registry.apply([Loaded(service, "x")])
    assert kept["status"] == other


def test_the_namespaces_that_a_set_needs_are_made_with_it():
    registry = a_registry()
    items = [
        service_object(namespace="b"),
        service_object(namespace="a"),
        service_object("c", "a"),
        namespace_object("a"),
    ]
    made = registry.apply([Loaded(obj, "x") for obj in items])
    assert sorted(obj["kind"] for obj in made) == ["Namespace", "Namespace", "Service", "Service", "Service"]
    assert len(registry.apply([Loaded(service_object(namespace="b"), "x")])) == 1
    with pytest.raises(ManifestError) as error:
        registry.apply([Loaded(service_object(namespace="B"), "x")])
    assert [p.path for p in error.value.problems] == ["metadata.name", "metadata.namespace"]


def test_a_set_with_an_object_without_a_name_is_refused_whole():
    registry = a_registry()
    with pytest.raises(ManifestError, match="name or generateName is required"):
        registry.apply(
            [Loaded(config_map(), "x"), Loaded({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, "y")]
        )
    assert registry.store.count(CONFIG_MAPS) == 0


def test_the_only_ones_of_their_kind_have_a_name():
    registry = a_registry()
    (made,) = registry.apply(
        [Loaded({"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}, "x")]
    )
    assert made["metadata"]["name"] == "kube-proxy"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": "default"}}
    registry.create(node)
    assert registry.store.get(NODES, NamespacedName("", "n"))


def test_writes_can_be_grouped():
    registry = a_registry()

    def two():
        with registry.transaction() as change:
            registry.create(config_map())
            assert change.find(CONFIG_MAPS, CONFIG)
            registry.create(config_map())

    with pytest.raises(AlreadyExistsError):
        two()
    assert registry.store.count(CONFIG_MAPS) == 0


# --- one kind in two groups or versions

EVENT = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
         "regarding": {"kind": "Pod", "name": "p"}, "note": "n", "reason": "R", "reportingController": "c",
         "reportingInstance": "i", "action": "a", "type": "Normal", "eventTime": "2020-01-01T00:00:00.000000Z"}  # fmt: skip


def test_an_event_is_written_in_one_group_and_read_in_the_other():
    registry = a_registry()
    made = registry.create(EVENT)
    always = {"deprecatedSource": {}, "deprecatedFirstTimestamp": None, "deprecatedLastTimestamp": None}
    assert made == {**EVENT, **always, "metadata": made["metadata"]}
    stored = registry.store.get(EVENTS_V1, NamespacedName("default", "e"))
    assert stored["involvedObject"] == EVENT["regarding"]
    assert (stored["message"], stored["reportingComponent"]) == ("n", "c")
    assert in_version(stored, EVENTS) is stored
    assert in_version(stored, EVENTS_V1) == made
    series = {"count": 2, "lastObservedTime": "2020-01-01T00:00:01.000000Z"}
    patched = registry.patch(EVENTS_V1, NamespacedName("default", "e"), {"series": series}, MERGE)
    assert (patched["apiVersion"], patched["series"]) == ("events.k8s.io/v1", series)
    with pytest.raises(ManifestError, match='message: Invalid value: "m": field is immutable'):
        registry.patch(EVENTS_V1, NamespacedName("default", "e"), {"note": "m"}, MERGE)
    assert registry.delete(EVENTS_V1, NamespacedName("default", "e"))["series"] == series
