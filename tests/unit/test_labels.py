"""Labels, annotations and selectors: what the API server refuses of them is refused, wherever they stand."""

import pytest
from support.build import pod_object, service_object

from netproxy.objects.validate import problems

MOST_ANNOTATION_BYTES = 256 << 10

LABELS = {"app": "web"}


def said(obj: dict) -> list[str]:
    return [str(problem) for problem in problems(obj)]


def labelled(labels: dict, **more: dict) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": labels, **more}}


def workload(selector: dict, labels: dict = LABELS, **spec: dict) -> dict:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "pause"}], **spec}}
    return {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {"selector": selector, "template": template}}


@pytest.mark.parametrize(
    "labels",
    [
        {"app": ""}, {"a": "b.c_d-e"}, {"A": "B" * 63}, {"example.com/app": "1"}, {"a" * 63: "b"}, {"a.b-c/D_e.f": "g"},
    ],
)  # fmt: skip
def test_labels_that_the_api_server_takes(labels):
    assert said(labelled(labels, annotations={key.upper(): "any\ntext" for key in labels if "/" not in key})) == []
    assert said({**service_object(clusterIP="10.96.0.9"), "spec": {"selector": labels, "ports": [{"port": 80}]}}) == []
    assert said(workload({"matchLabels": labels}, labels, nodeSelector=labels)) == []


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("a b", "c", 'Invalid value: "a b": name part must consist of alphanumeric'),
        ("", "c", 'Invalid value: "": name part must be non-empty'),
        ("a" * 64, "c", "name part must be no more than 63 bytes"),
        ("a/b/c", "d", 'Invalid value: "a/b/c": a valid label key must consist of'),
        ("/b", "c", 'Invalid value: "/b": prefix part must be non-empty'),
        ("A_b/c", "d", 'Invalid value: "A_b/c": prefix part a lowercase RFC 1123 subdomain must consist of'),
        ("a/", "b", 'Invalid value: "a/": name part must be non-empty'),
        ("\u00e9", "a", "name part must consist of"),
    ],
)
def test_a_key_that_cannot_be(key, value, why):
    for obj, path in places({key: value}):
        assert any(message.startswith(f"{path}: ") and why in message for message in said(obj)), (path, said(obj))
    if "A_b" not in key:
        assert why in said(labelled({}, annotations={key: "any text"}))[0]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("c d", 'Invalid value: "c d": a valid label must be an empty string or consist of'),
        ("-a", "a valid label must be"), ("a\n", "a valid label must be"), ("a" * 64, "must be no more than 63 bytes"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be(value, why):
    for obj, path in places({"a": value}):
        assert any(message.startswith(f"{path}: ") and why in message for message in said(obj)), (path, said(obj))


def places(labels: dict) -> list[tuple[dict, str]]:
    pod = pod_object("a", "10.244.0.9")
    return [
        (labelled(labels), "metadata.labels"),
        ({**service_object(), "spec": {"selector": labels, "ports": [{"port": 80}]}}, "spec.selector"),
        ({**pod, "spec": {**pod["spec"], "nodeSelector": labels}}, "spec.nodeSelector"),
        (workload({"matchLabels": labels}), "spec.selector.matchLabels"),
        (workload({"matchLabels": LABELS}, {**LABELS, **labels}), "spec.template.labels"),
        ({"kind": "Cluster", "spec": {"nodes": [{"name": "n", "labels": labels}]}}, "spec.nodes[0].labels"),
    ]


def test_a_zone_is_a_label_too():
    (found,) = said({"kind": "Cluster", "spec": {"nodes": [{"name": "n", "zone": "a b"}, {"name": "m", "zone": "a"}]}})
    assert found.startswith('spec.nodes[0].zone: Invalid value: "a b": a valid label')


def test_annotations_have_a_size_together():
    half = "x" * (MOST_ANNOTATION_BYTES // 2)
    assert said(labelled({}, annotations={"a": half})) == []
    (found,) = said(labelled({}, annotations={"a": half, "b": half}))
    assert found == f"metadata.annotations: Too long: may not be more than {MOST_ANNOTATION_BYTES} bytes"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ({"key": "app", "operator": "In", "values": ["web"]}, []),
        ({"key": "app", "operator": "Exists"}, []),
        ({"key": "b", "operator": "DoesNotExist", "values": []}, []),
        ({"key": "app", "operator": "Is"}, ['operator: Invalid value: "Is": not a valid selector operator']),
        ({"key": "app"}, ['operator: Invalid value: "": not a valid selector operator']),
        ({"operator": "Exists"}, ['key: Invalid value: "": name part must be non-empty']),
        ({"key": "b", "operator": "NotIn"}, ["values: Required value: must be specified when `operator` is 'In' or 'NotIn'"]),
        ({"key": "app", "operator": "Exists", "values": ["a"]}, ["values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"]),
    ],
)  # fmt: skip
def test_expressions(expression, found):
    at = "spec.selector.matchExpressions[0]."
    all_said = said(workload({"matchExpressions": [expression]}))
    assert bool(all_said) is bool(found)
    assert {at + message for message in found} <= set(all_said)
