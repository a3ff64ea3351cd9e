"""ResourceQuotas: what an object that comes in, or changes, uses of them, and whether that is still there.

A quota counts from when its status says what is used, which its controller does. What a write adds is in the status with the
write itself, so that nobody gets more than there is.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go (CheckRequest).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netproxy.objects.amount import amount
from netproxy.objects.kinds import PERSISTENT_VOLUME_CLAIMS, PODS, SERVICES, Resource
from netproxy.objects.meta import Object, name, status
from netproxy.objects.resources import Amounts, added, amounts
from netproxy.objects.usage import UNCOUNTED, concerned, is_in_scope, is_terminating, unsaid, usage
from netproxy.registry.refusal import forbidden

_NONE = amount("0")


def is_counted(resource: Resource, new: Object, old: Object | None, part: str) -> bool:
    """Whether a write can change what is used: of a new object, of the next state of OLD, or of a part of it."""
    if resource.stored in UNCOUNTED:
        return False
    if part == "resize":
        return resource is PODS
    if part:
        return part == "status" and resource is PERSISTENT_VOLUME_CLAIMS
    if old is None or resource in (SERVICES, PERSISTENT_VOLUME_CLAIMS):
        return True
    return resource is PODS and is_terminating(old) != is_terminating(new)


def charged(
    resource: Resource, new: Object, old: Object | None, quotas: Iterable[Object], now: float, part: str = ""
) -> Iterator[Object]:
    """Those of a namespace's quotas of which a write uses more than before, with what is used of them then.

    Raises ApiError when there is not as much left.
    """
    pertinent = [quota for quota in quotas if _is_pertinent(resource, quota, new)]
    uses = usage(resource, new, now) if pertinent else {}
    before = usage(resource, old, now) if pertinent and old is not None else {}
    for quota in pertinent:
        is_known = old is not None and is_in_scope(resource, quota, old)
        more = _grown(uses, before) if is_known else uses
        changed = _added(resource, new, quota, more, may_exceed=part == "status")
        if changed:
            yield changed


def _is_pertinent(resource: Resource, quota: Object, obj: Object) -> bool:
    """Whether a quota is about this object. Raises ApiError when that cannot be said."""
    names = concerned(resource, _hard(quota))
    if not names or not is_in_scope(resource, quota, obj):
        return False
    missing = unsaid(names, obj) if resource is PODS else ""
    if missing:
        raise forbidden(resource, name(obj), f"failed quota: {name(quota)}: must specify {missing}")
    if not all(key in _used(quota) for key in names):
        why = f"status unknown for quota: {name(quota)}, resources: {','.join(names)}"
        raise forbidden(resource, name(obj), why)
    return True


def _added(resource: Resource, obj: Object, quota: Object, more: Amounts, *, may_exceed: bool) -> Object | None:
    """The quota when so much more is used of it; None when that is nothing. Raises ApiError."""
    hard = amounts(_hard(quota))
    wanted = {key: found for key, found in more.items() if found.nano and key in hard}
    used = amounts(_used(quota))
    total = added(used, wanted)
    over = sorted(key for key in wanted if total[key].nano > hard[key].nano)
    if over and not may_exceed:
        words = (_printed(over, which) for which in (wanted, used, hard))
        why = "exceeded quota: {}, requested: {}, used: {}, limited: {}".format(name(quota), *words)
        raise forbidden(resource, name(obj), why)
    if not wanted:
        return None
    return {**quota, "status": {**status(quota), "used": {key: str(found) for key, found in total.items()}}}


def _grown(uses: Amounts, before: Amounts) -> Amounts:
    """What is used more than before; less does not count."""
    found = {key: value - before.get(key, _NONE) for key, value in uses.items()}
    return {key: value for key, value in found.items() if value.nano > 0}


def _printed(keys: Iterable[str], which: Amounts) -> str:
    return ",".join(f"{key}={which[key]}" for key in keys)


def _hard(quota: Object) -> Mapping[str, str]:
    return status(quota).get("hard") or {}


def _used(quota: Object) -> Mapping[str, str]:
    return status(quota).get("used") or {}
