"""Jobs and DaemonSets: what the server writes into them.

Source: kubernetes pkg/registry/batch/job/strategy.go (generateSelector), pkg/apis/apps/v1/conversion.go (the annotation).
"""

from __future__ import annotations

from netproxy.core.numbers import whole
from netproxy.objects.defaulting.workloads import TEMPLATE_GENERATION
from netproxy.objects.meta import Object, annotations_of, labels, metadata, name, spec
from netproxy.registry.options import PLAIN, WriteOptions
from netproxy.registry.strategy import Strategy

_OWN = {f"{domain}{name}" for domain in ("", "batch.kubernetes.io/") for name in ("controller-uid", "job-name")}


class TemplateStrategy(Strategy):
    """It makes Pods from a template."""

    def check(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> None:
        """A patch that takes the last label of the template leaves a map of labels, which is empty."""
        template = spec(new).get("template") or {}
        meta, before = template.get("metadata") or {}, (spec(old or {}).get("template") or {}).get("metadata") or {}
        if options.is_patch and before.get("labels") and "labels" not in meta:
            template = {**template, "metadata": {**meta, "labels": {}}}
            new = {**new, "spec": {**spec(new), "template": template}}
        super().check(new, old, options)


class JobStrategy(TemplateStrategy):
    """It selects its Pods by its own uid, unless it says otherwise."""

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """With a selector that selects nothing else."""
        return super().new(obj if spec(obj).get("manualSelector") else _selecting(obj), with_status=with_status)

    def check(self, new: Object, old: Object | None, options: WriteOptions = PLAIN) -> None:
        """Labels that it has from its template alone, which has them from the server, are not looked at twice."""
        given = labels(new)
        if old is None and given.keys() <= _OWN:
            new = {**new, "metadata": {field: value for field, value in metadata(new).items() if field != "labels"}}
        super().check(new, old, options)


def _selecting(job: Object) -> Object:
    """The Job with a selector and labels of its own."""
    uid, called = metadata(job)["uid"], name(job)
    own = {
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": called,
        "controller-uid": uid, "job-name": called,
    }  # fmt: skip
    wanted = spec(job)
    selector, template = wanted.get("selector") or {}, wanted.get("template") or {}
    chosen = {"batch.kubernetes.io/controller-uid": uid, **(selector.get("matchLabels") or {})}
    meta = template.get("metadata") or {}
    labelled = {**meta, "labels": {**own, **(meta.get("labels") or {})}}
    meta_of_job, given = metadata(job), meta.get("labels")
    if given and meta_of_job.get("labels") == given:  # they are the template's, and stay so
        job = {**job, "metadata": {**meta_of_job, "labels": labelled["labels"]}}
    return {
        **job,
        "spec": {
            **wanted,
            "selector": {**selector, "matchLabels": chosen},
            "template": {**template, "metadata": labelled},
        },
    }


class DaemonSetStrategy(TemplateStrategy):
    """An annotation counts the changes of its template."""

    def new(self, obj: Object, *, with_status: bool = False) -> Object:
        """The first template, whatever it says."""
        made = super().new(obj, with_status=with_status)
        given = annotations_of(made)[TEMPLATE_GENERATION]
        return _counted(made, _counts(given))

    def updated(self, obj: Object, old: Object) -> Object:
        """One more when the template changed."""
        new = super().updated(obj, old)
        before = int(annotations_of(old)[TEMPLATE_GENERATION])
        return _counted(new, before + (spec(new).get("template") != spec(old).get("template")))

    def reported(self, obj: Object, old: Object) -> Object:
        """The count is the server's."""
        return _counted(super().reported(obj, old), int(annotations_of(old)[TEMPLATE_GENERATION]))


def _counts(text: str) -> int:
    """The number that an annotation says, if Go reads one."""
    number = whole(text) if text.isascii() and text.isdigit() else 1
    return number if 0 < number < 1 << 63 else 1


def _counted(obj: Object, generation: int) -> Object:
    meta = metadata(obj)
    return {**obj, "metadata": {**meta, "annotations": {**annotations_of(obj), TEMPLATE_GENERATION: str(generation)}}}
