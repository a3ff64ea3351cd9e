"""What `/healthz` and `/livez` say of a node's proxy, to the byte as kube-proxy writes it.

Source: kubernetes 1.36 pkg/proxy/healthcheck/proxy_health.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from netproxy.core.net import Family
from netproxy.nodeproxy.http import Answer
from netproxy.objects.meta import Object, is_deleting, spec

GOING = "ToBeDeletedByClusterAutoscaler"
"""The taint of a node that is about to be taken away."""

ZERO_TIME = "0001-01-01T00:00:00Z"
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class FamilyHealth:
    """Of one address family: when the rules were last right (0: never), and since when a change waits, if one does."""

    synced_at: float
    waiting_since: float | None = None

    def is_healthy(self, now: float, late_s: float) -> bool:
        """Whether nothing waits for too long."""
        return self.waiting_since is None or now - self.waiting_since < late_s


def is_eligible(node: Object | None) -> bool:
    """Whether a load balancer should send new connections to this node: it is there to stay."""
    if node is None or is_deleting(node):
        return False
    return not any(taint.get("key") == GOING for taint in spec(node).get("taints") or ())


def healthz(
    families: Mapping[Family, FamilyHealth], node: Object | None, *, now: float, late_s: float, api_error: str = ""
) -> Answer:
    """The answer of `/healthz`: 503 when rules wait for longer than LATE_S or the node is about to go.

    Why the API tells nothing is beside it (kube-proxy does not say that) and changes no status: traffic goes on.
    """
    eligible = is_eligible(node)
    beside = {"apiError": api_error} if api_error else {}
    return _answer(families, now, late_s, {"nodeEligible": eligible}, is_well=eligible, beside=beside)


def livez(families: Mapping[Family, FamilyHealth], *, now: float, late_s: float) -> Answer:
    """The answer of `/livez`, which does not look at the node."""
    return _answer(families, now, late_s, {}, is_well=True)


def _answer(
    families: Mapping[Family, FamilyHealth], now: float, late_s: float, more: dict[str, Any], *, is_well: bool,
    beside: Mapping[str, str] = NOTHING,
) -> Answer:  # fmt: skip
    began = {family: health for family, health in sorted(families.items()) if health.synced_at}
    healthy = all(health.is_healthy(now, late_s) for health in began.values())
    last = max((health.synced_at for health in began.values()), default=0.0)
    body: dict[str, Any] = {
        "lastUpdated": go_time(now if healthy and is_well else last), "currentTime": go_time(now), **more,
        "healthy": healthy,
    }  # fmt: skip
    if began:
        body["status"] = {
            family.value: {"lastUpdated": go_time(health.synced_at), "healthy": health.is_healthy(now, late_s)}
            for family, health in began.items()
        }
    body |= beside
    headers = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    return Answer(200 if healthy and is_well else 503, json.dumps(body, separators=(",", ":")).encode(), headers)


def go_time(seconds: float) -> str:
    """A time as Go writes it in JSON; 0 is no time.

    >>> go_time(0), go_time(1.5), go_time(2)
    ('0001-01-01T00:00:00Z', '1970-01-01T00:00:01.5Z', '1970-01-01T00:00:02Z')
    """
    if not seconds:
        return ZERO_TIME
    whole, _, fraction = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"
