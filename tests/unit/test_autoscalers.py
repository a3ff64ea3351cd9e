"""Autoscalers of version 2 as version 1 shows them, and back."""

import json

import pytest
from support.api import a_registry

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import EVENTS, HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1
from netproxy.registry.autoscalers import to_v1, to_v2
from netproxy.registry.convert import in_version

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
PREFIX = "autoscaling.alpha.kubernetes.io/"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}
METRIC = {"name": "hits", "selector": {"matchLabels": {"a": "b"}}}


def autoscaler(status=None, annotations=None, **spec):
    meta = {"name": "h", **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta,
            "spec": {"maxReplicas": 3, "scaleTargetRef": TARGET, **spec}, **({"status": status} if status else {})}  # fmt: skip


def noted(obj, what):
    text = obj["metadata"].get("annotations", {}).get(PREFIX + what)
    return json.loads(text) if text is not None else None


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        (MEMORY, {"type": "Resource", "resource": {"name": "memory", "targetAverageValue": "1Gi"}}),
        ({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 5}}},
         {"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 5}}),
        ({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 5}}},
         {"type": "ContainerResource", "containerResource": {"name": "cpu", "targetAverageUtilization": 5, "container": "c"}}),
        ({"type": "Pods", "pods": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "5"}}},
         {"type": "Pods", "pods": {"metricName": "hits", "targetAverageValue": "5", "selector": METRIC["selector"]}}),
        ({"type": "Object", "object": {"describedObject": {**TARGET, "apiVersion": "apps/v1"}, "metric": METRIC, "target": {"type": "Value", "value": "5"}}},
         {"type": "Object", "object": {"target": {**TARGET, "apiVersion": "apps/v1"}, "metricName": "hits", "targetValue": "5", "selector": METRIC["selector"]}}),
        ({"type": "Object", "object": {"describedObject": TARGET, "metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
         {"type": "Object", "object": {"target": TARGET, "metricName": "x", "targetValue": "0", "averageValue": "5"}}),
        ({"type": "External", "external": {"metric": METRIC, "target": {"type": "Value", "value": "5"}}},
         {"type": "External", "external": {"metricName": "hits", "metricSelector": METRIC["selector"], "targetValue": "5"}}),
        ({"type": "External", "external": {"metric": {"name": "x"}, "target": {"type": "AverageValue", "averageValue": "5"}}},
         {"type": "External", "external": {"metricName": "x", "targetAverageValue": "5"}}),
    ],
    ids=lambda item: "",
)  # fmt: skip
def test_a_metric_that_version_1_has_no_field_for_is_noted(metric, shown):
    first = to_v1(autoscaler(metrics=[metric, CPU]))
    assert noted(first, "metrics") == [shown]
    assert first["spec"]["targetCPUUtilizationPercentage"] == 80
    assert to_v2(first)["spec"]["metrics"] == [metric, CPU]
    assert "annotations" not in to_v2(first)["metadata"]


@pytest.mark.parametrize(
    "seen",
    [
        {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "1Gi", "averageUtilization": 3}}},
        {"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "c", "current": {"averageValue": "1"}}},
        {"type": "Pods", "pods": {"metric": METRIC, "current": {"averageValue": "5"}}},
        {"type": "Object", "object": {"describedObject": TARGET, "metric": METRIC, "current": {"value": "5", "averageValue": "1"}}},
        {"type": "External", "external": {"metric": METRIC, "current": {"value": "5", "averageValue": "1"}}},
    ],
    ids=lambda item: item["type"],
)  # fmt: skip
def test_what_is_measured_comes_back(seen):
    both = autoscaler(
        {"currentMetrics": [seen], "conditions": [{"type": "A", "status": "True", "lastTransitionTime": None}]},
        metrics=[CPU],
    )
    assert to_v2(to_v1(both))["status"] == both["status"]


def test_the_cpu_has_a_field_and_is_noted_with_its_amount():
    seen = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "1"}}}
    first = to_v1(autoscaler({"currentReplicas": 1, "currentMetrics": [seen]}, metrics=[CPU]))
    assert first["status"] == {"currentReplicas": 1, "currentCPUUtilizationPercentage": 40}
    assert to_v2(first)["status"]["currentMetrics"] == [seen]
    del first["metadata"]["annotations"]
    assert to_v2(first)["status"]["currentMetrics"] == [
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40}}}
    ]


def test_behavior_is_noted_as_go_writes_it():
    policy = {"type": "Percent", "value": 10, "periodSeconds": 60}
    behavior = {
        "scaleDown": {"selectPolicy": "Max", "policies": [policy]},
        "scaleUp": {"stabilizationWindowSeconds": 0},
    }
    first = to_v1(autoscaler(metrics=[CPU], behavior=behavior))
    assert first["metadata"]["annotations"][PREFIX + "behavior"] == (
        '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":null,"Policies":null,"Tolerance":null},'
        '"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":10,"PeriodSeconds":60}],"Tolerance":null}}'
    )
    assert to_v2(first)["spec"]["behavior"] == behavior
    one = to_v1(autoscaler(metrics=[CPU], behavior={"scaleUp": None}))
    assert noted(one, "behavior") == {"ScaleUp": None, "ScaleDown": None}
    assert "behavior" not in to_v2(one)["spec"]


@pytest.mark.parametrize("text", ["{", "5", "[1]", '{"a": 1}', "null"])
def test_notes_that_are_none_say_nothing(text):
    notes = {
        PREFIX + what: text for what in ("metrics", "current-metrics", "conditions", "behavior", "scale-up-tolerance")
    }
    odd = {**autoscaler(annotations={**notes, "own": "1"}), "apiVersion": "autoscaling/v1"}
    found = to_v2(odd)
    assert found["metadata"]["annotations"] == {"own": "1"}
    assert found["spec"]["metrics"] == [CPU]
    assert "status" not in found


def test_a_metric_of_a_kind_that_nobody_knows_keeps_its_type():
    assert noted(to_v1(autoscaler(metrics=[{"type": "New", "new": {}}, {"type": "Pods"}])), "metrics") == [
        {"type": "New"},
        {"type": "Pods"},
    ]
    assert to_v2(to_v1(autoscaler(metrics=[{"type": "Pods"}])))["spec"]["metrics"] == [{"type": "Pods"}]


def test_signs_of_html_are_escaped_as_go_does():
    named = {"type": "Pods", "pods": {"metric": {"name": "a<&>"}, "target": {"averageValue": "5"}}}
    text = to_v1(autoscaler(metrics=[named]))["metadata"]["annotations"][PREFIX + "metrics"]
    assert "a\\u003c\\u0026\\u003e" in text


def test_a_plain_autoscaler_of_version_1():
    registry = a_registry()
    plain = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
             "spec": {"maxReplicas": 3, "minReplicas": 2, "scaleTargetRef": TARGET, "targetCPUUtilizationPercentage": 50}}  # fmt: skip
    made = registry.create(plain)
    assert made["spec"] == plain["spec"]
    stored = registry.store.get(HORIZONTAL_POD_AUTOSCALERS, NamespacedName("default", "h"))
    assert stored["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    written = registry.replace_status({**made, "status": {"currentCPUUtilizationPercentage": 7}})
    assert written["status"]["currentCPUUtilizationPercentage"] == 7
    assert in_version(stored, HORIZONTAL_POD_AUTOSCALERS_V1)["spec"] == made["spec"]
    assert in_version({"apiVersion": "x", "kind": "y"}, EVENTS) == {"apiVersion": "x", "kind": "y"}
