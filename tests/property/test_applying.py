"""Apply and updates by several managers in any order: what stays true of objects and of who manages them."""

from hypothesis import given
from hypothesis import strategies as st
from support.api import a_registry

from netproxy.core.errors import ApiError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import SERVICES
from netproxy.registry.fieldset import (
    all_of,
    compare,
    difference,
    in_order,
    intersection,
    leaves_of,
    paths,
    read,
    union,
)
from netproxy.registry.merging import merged, without
from netproxy.registry.options import WriteOptions
from netproxy.registry.shape import FOUND, shape_of
from netproxy.registry.tracking import kind_of

AT = NamespacedName("default", "s")
SHAPE = shape_of({"apiVersion": "v1", "kind": "Service"})
MERGE = "application/merge-patch+json"

words = st.sampled_from(("a", "b", "c"))
labels = st.dictionaries(words, words, max_size=3)
ports = st.lists(
    st.fixed_dictionaries(
        {"port": st.sampled_from((80, 81, 82))},
        optional={"protocol": st.sampled_from(("TCP", "UDP")), "targetPort": st.sampled_from((8080, "http"))},
    ),
    min_size=1, max_size=4, unique_by=lambda port: (port["port"], port.get("protocol", "TCP")),
).map(lambda items: [{**port, "name": f"p{port['port']}{port.get('protocol', 'TCP').lower()[:1]}"} for port in items])  # fmt: skip
configs = st.builds(
    lambda ports, labels, notes, affinity, finalizers: {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "s",
            **{field: value for field, value in (("labels", labels), ("annotations", notes), ("finalizers", finalizers)) if value},
        },
        "spec": {"ports": ports, **({"sessionAffinity": affinity} if affinity else {})},
    },
    ports, labels, labels, st.sampled_from(("", "None", "ClientIP")), st.lists(st.sampled_from(("e.com/a", "e.com/b")), unique=True),
)  # fmt: skip
managers = st.sampled_from(("one", "two", "kubectl"))
objects = st.recursive(
    st.none() | st.integers(0, 2) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
sets = st.recursive(
    st.just({}), lambda inner: st.dictionaries(st.sampled_from(("f:a", "f:b", "f:c")), inner, max_size=3), max_leaves=8
)


def owners(obj):
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in obj["metadata"].get("managedFields", ())
    }


def apply(registry, config, manager, *, force=True):
    return registry.apply_configuration(SERVICES, AT, config, WriteOptions(manager=manager, force=force))[0]


def own(config):
    """What a manager owns who applied this: without what nobody does."""
    fields = leaves_of(config, SHAPE)
    meta = {element: below for element, below in fields["f:metadata"].items() if element != "f:name"}
    return {
        **{element: below for element, below in fields.items() if element == "f:spec"},
        **({"f:metadata": meta} if meta else {}),
    }


@given(st.lists(st.tuples(managers, configs), min_size=1, max_size=4))
def test_to_apply_twice_is_to_apply_once_and_who_applies_owns_what_was_applied(steps):
    registry = a_registry()
    for manager, config in steps:
        once = apply(registry, config, manager)
        assert apply(registry, config, manager) == once
        assert owners(once)[manager, "Apply"] == own(config)


@given(st.lists(st.tuples(managers, configs), min_size=1, max_size=4), configs)
def test_what_was_applied_is_there_afterwards(steps, last):
    registry = a_registry()
    for manager, config in (*steps, ("one", last)):
        made = apply(registry, config, manager)
    changed, _ = compare(made, last, SHAPE)
    assert not intersection(changed, own(last))


@given(st.lists(st.tuples(managers, configs, st.booleans()), min_size=2, max_size=5))
def test_without_force_nobody_loses_a_field_to_a_conflict(steps):
    registry = a_registry()
    for manager, config, force in steps:
        before = registry.store.find(SERVICES, AT)
        try:
            apply(registry, config, manager, force=force)
        except ApiError:
            assert (force, registry.store.find(SERVICES, AT)) == (False, before)


@given(configs, configs, labels)
def test_an_update_takes_exactly_what_it_changes(config, other, notes):
    registry = a_registry()
    apply(registry, config, "one")
    old = registry.store.get(SERVICES, AT)
    patch = {"metadata": {"annotations": notes}, "spec": {"ports": other["spec"]["ports"]}}
    new = registry.patch(SERVICES, AT, patch, MERGE, WriteOptions(manager="ed"))
    changed, removed = compare(
        {"metadata": {"annotations": old["metadata"].get("annotations")}, "spec": {"ports": old["spec"]["ports"]}},
        {"metadata": {"annotations": new["metadata"].get("annotations")}, "spec": {"ports": new["spec"]["ports"]}}, SHAPE,
    )  # fmt: skip
    assert owners(new).get(("ed", "Update"), {}).keys() <= {"f:metadata", "f:spec"}
    assert not intersection(owners(new).get(("one", "Apply"), {}), union(changed, removed))
    if "f:spec" in changed:
        assert owners(new)["ed", "Update"]["f:spec"] == changed["f:spec"]


@given(objects, objects)
def test_a_change_is_seen_in_the_places_that_it_names(old, new):
    changed, removed = compare({"x": old}, {"x": new}, FOUND)
    assert (changed, removed) == ({}, {}) if old == new else changed or removed
    assert not intersection(changed, removed)
    assert compare({}, {"x": new}, FOUND)[0] == {"f:x": all_of(new, FOUND)}


@given(sets, sets)
def test_sets_are_sets_of_paths(left, right):
    a, b = set(paths(left)), set(paths(right))
    assert set(paths(union(left, right))) == a | b
    assert set(paths(intersection(left, right))) == a & b
    assert set(paths(difference(left, right))) == a - b
    assert read(in_order(left)) == read(left)


@given(configs, configs)
def test_what_is_merged_and_taken_out_again_leaves_the_rest(live, config):
    both = merged(live, config, SHAPE)
    assert merged(both, config, SHAPE) == both
    assert merged(live, live, SHAPE) == live
    more, _ = compare(live, both, SHAPE)
    left = compare(live, without(both, difference(leaves_of(both, SHAPE), leaves_of(live, SHAPE)), SHAPE), SHAPE)[0]
    assert not difference(left, more)


def test_every_kind_has_a_shape():
    assert kind_of(SERVICES).shape("v1").within("spec").within("ports").keys == ("port", "protocol")
