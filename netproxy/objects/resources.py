"""What the containers of a Pod ask for together.

Source: kubernetes staging/src/k8s.io/component-helpers/resource/helpers.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.objects.amount import Amount, amount
from netproxy.objects.meta import Object

HUGE_PAGES = "hugepages-"


def is_huge_page(key: str) -> bool:
    """Whether a resource is huge pages of some size.

    >>> is_huge_page("hugepages-2Mi")
    True
    """
    return key.startswith(HUGE_PAGES)


def aggregated(spec: Mapping[str, Any], side: str) -> dict[str, str]:
    """The `limits` or `requests` of a Pod's containers: all that run together, or the most that one init container needs.

    >>> def c(cpu, **more): return {"resources": {"requests": {"cpu": cpu}}, **more}
    >>> aggregated({"containers": [c("1"), c("500m")], "initContainers": [c("1", restartPolicy="Always"), c("2")]}, "requests")
    {'cpu': '3'}
    """
    total: dict[str, Amount] = {}
    for container in spec.get("containers") or ():
        _add(total, _asked(container, side))
    beside: dict[str, Amount] = {}
    most: dict[str, Amount] = {}
    for container in spec.get("initContainers") or ():
        asked = _asked(container, side)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(beside, asked)
            _raise(most, beside)
        else:
            together = dict(asked)
            _add(together, beside)
            _raise(most, together)
    _raise(total, most)
    return {key: str(found) for key, found in total.items()}


def _asked(container: Mapping[str, Any], side: str) -> dict[str, Amount]:
    return {key: amount(text) for key, text in ((container.get("resources") or {}).get(side) or {}).items()}


def _add(total: dict[str, Amount], more: dict[str, Amount]) -> None:
    for key, found in more.items():
        before = total.get(key)
        total[key] = Amount(before.nano + found.nano, before.form) if before else found


def _raise(least: dict[str, Amount], needed: dict[str, Amount]) -> None:
    for key, found in needed.items():
        if key not in least or least[key].nano < found.nano:
            least[key] = found


def quality(spec: Mapping[str, Any]) -> str:
    """The class of service of a Pod: what it is promised.

    Source: kubernetes pkg/apis/core/helper/qos/qos.go.
    """
    if spec.get("resources") and (spec["resources"].get("requests") or spec["resources"].get("limits")):
        return _quality([spec["resources"]])
    groups: Iterable[Object] = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    return _quality([container.get("resources") or {} for container in groups])


def _quality(parts: list[Object]) -> str:
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    for part in parts:
        asked, capped = _counted(part.get("requests")), _counted(part.get("limits"))
        for total, found in ((requests, asked), (limits, capped)):
            for key, value in found.items():
                total[key] = total.get(key, 0) + value
        guaranteed = guaranteed and len(capped) == 2
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and all(key in limits and limits[key] == value for key, value in requests.items()):
        return "Guaranteed" if len(requests) == len(limits) else "Burstable"
    return "Burstable"


def _counted(amounts: dict[str, str] | None) -> dict[str, int]:
    """Of the two resources that count, those of which there is any."""
    found = {key: amount((amounts or {}).get(key, "0")).nano for key in ("cpu", "memory")}
    return {key: value for key, value in found.items() if value > 0}
