"""The durations of a KubeProxyConfiguration: which kube-proxy takes, and which the kernel does.

Source: kubernetes pkg/proxy/apis/config/validation/validation.go, v1alpha1/defaults.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.objects.quantity import seconds_of
from netproxy.objects.validation.words import Problems
from netproxy.objects.validation.words import invalid as _invalid

LONGEST_S = 2**31 - 1
"""Of everything that we wait for ourselves."""
LONGEST_TIMEOUT_S = LONGEST_S // 1000
"""Of the kernel's connection tracking, which counts in up to 1,000 ticks a second."""
_SYNC_S = 30.0
"""How often kube-proxy looks at its rules when nobody says it."""
_SYNCS = ("iptables", "ipvs", "nftables")
_TIMEOUTS = {
    "conntrack": ("tcpEstablishedTimeout", "tcpCloseWaitTimeout", "udpTimeout", "udpStreamTimeout"),
    "ipvs": ("tcpTimeout", "tcpFinTimeout", "udpTimeout"),
}


def duration_problems(obj: Mapping[str, Any]) -> Problems:
    """What is wrong with each of them."""
    yield from _duration("configSyncPeriod", obj.get("configSyncPeriod"), LONGEST_S)
    for section in _SYNCS:
        given = obj.get(section) or {}
        wrong = [
            problem
            for field in ("syncPeriod", "minSyncPeriod")
            for problem in _duration(f"{section}.{field}", given.get(field), LONGEST_S)
        ]
        yield from wrong
        period_s = seconds_of(given.get("syncPeriod")) or _SYNC_S
        if not wrong and (seconds_of(given.get("minSyncPeriod")) or 0) > period_s:
            shown = given.get("syncPeriod") or "30s"
            yield _invalid(f"{section}.syncPeriod", shown, f"must be greater than or equal to {section}.minSyncPeriod")
    for section, fields in _TIMEOUTS.items():
        for field in fields:
            given = (obj.get(section) or {}).get(field)
            yield from _duration(f"{section}.{field}", given, LONGEST_TIMEOUT_S)


def _duration(path: str, given: Any, longest_s: int) -> Problems:
    if given in (None, ""):
        return
    seconds = seconds_of(given)
    if seconds is None:
        yield _invalid(path, given, "must be a duration, such as 5s, 1m, 2h22m")
    elif not 0 <= seconds <= longest_s:
        yield _invalid(path, given, f"must be between 0s and {longest_s}s")
