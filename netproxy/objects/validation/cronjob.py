"""What is refused about CronJobs.

Source: kubernetes pkg/apis/batch/validation/validation.go, pkg/registry/batch/cronjob/strategy.go (behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.objects.meta import Object, name, spec
from netproxy.objects.validation.cron import schedule_reason
from netproxy.objects.validation.job import job_spec_problems, job_warnings
from netproxy.objects.validation.names import dns_label
from netproxy.objects.validation.podwarnings import is_renewed
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.templated import not_negative, selector_shown
from netproxy.objects.validation.timezones import zone_reason
from netproxy.objects.validation.words import Problems, invalid, one_of, required, unsupported

_LONGEST_NAME = 52
_is_zone_part = re.compile(r"[A-Za-z.\-_0-9+]{1,14}").fullmatch

Part = Mapping[str, Any]


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _spec(spec(obj), {})
    if len(name(obj)) > _LONGEST_NAME:
        yield invalid("metadata.name", name(obj), f"must be no more than {_LONGEST_NAME} characters")


def _spec(given: Part, before: Part) -> Problems:
    if given.get("schedule"):
        yield from _schedule(given, before, "spec.schedule")
    else:
        yield required("spec.schedule")
    yield from not_negative(given, "spec", "startingDeadlineSeconds")
    zone = given.get("timeZone")
    if zone is not None and zone != before.get("timeZone"):
        yield from _zone(zone, "spec.timeZone")
    policies = ("Allow", "Forbid", "Replace")
    yield from one_of("spec.concurrencyPolicy", given.get("concurrencyPolicy"), policies)
    job, path = (given.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec"
    yield from job_spec_problems(job, path)
    if job.get("selector") is not None:
        yield invalid(f"{path}.selector", selector_shown(job["selector"]), "`selector` will be auto-generated")
    if job.get("manualSelector"):
        yield unsupported(f"{path}.manualSelector", True, ("nil", "false"))
    yield from not_negative(given, "spec", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")


def _schedule(given: Part, before: Part, path: str) -> Problems:
    schedule = given["schedule"]
    if reason := schedule_reason(schedule):
        yield invalid(path, schedule, reason)
    if "TZ" not in schedule:
        return
    if "TZ" not in (before.get("schedule") or ""):
        yield invalid(path, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    elif given.get("timeZone") is not None:
        yield invalid(path, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")


def _zone(zone: str, path: str) -> Problems:
    if not zone:
        yield invalid(path, zone, "timeZone must be nil or non-empty string")
        return
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _is_zone_part(part):
            yield invalid(path, zone, f"unknown time zone {zone}")
            return
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        yield invalid(path, zone, why)
    if reason := zone_reason(zone):
        yield invalid(path, zone, reason)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _spec(spec(new), spec(old))


def _warnings(new: Object, old: Object | None) -> Iterable[str]:
    if old is None and (reasons := dns_label(name(new))):
        why = "this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended"
        yield f"metadata.name: {why}: [{' '.join(reasons)}]"
    if is_renewed(new, old):
        yield from job_warnings((spec(new).get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    if "TZ" in (spec(new).get("schedule") or ""):
        yield (
            "spec.schedule: cannot use TZ or CRON_TZ in schedule, use timeZone instead, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones for more details"
        )


CRON_JOB = Rules(create=_create, update=_update, warnings=_warnings)
