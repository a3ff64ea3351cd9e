"""What is refused about what makes Pods from a template.

Source: kubernetes pkg/apis/apps/validation/validation.go (behaviour, not code).
"""

from __future__ import annotations

from netproxy.objects.meta import Object
from netproxy.objects.selector import label_selector, matches
from netproxy.objects.validation.metadata import label_problems, selector_problems
from netproxy.objects.validation.pod import pod_spec_problems
from netproxy.objects.validation.words import Problems, invalid, required


def workload_problems(obj: Object) -> Problems:
    spec = obj.get("spec") or {}
    template = spec.get("template")
    selector = list(selector_problems(spec.get("selector"), "spec.selector"))
    yield from selector
    if not spec.get("selector"):
        yield required("spec.selector")
    if not template:
        yield required("spec.template")
        return
    labels = (template.get("metadata") or {}).get("labels") or {}
    yield from label_problems(labels, "spec.template.metadata.labels")
    if spec.get("selector") and not selector and not matches(label_selector(spec["selector"]), labels):
        yield invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if (spec.get("replicas") or 0) < 0:
        yield invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    yield from pod_spec_problems(template.get("spec") or {}, "spec.template.spec")
