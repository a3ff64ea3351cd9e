"""What the containers of a Pod ask for together.

Source: kubernetes staging/src/k8s.io/component-helpers/resource/helpers.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netproxy.objects.amount import Amount, amount
from netproxy.objects.meta import Object

HUGE_PAGES = "hugepages-"

Amounts = dict[str, Amount]
"""How much of which resource."""


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
    return {key: str(found) for key, found in together(spec, lambda container: asked(container, side)).items()}


def asked(holder: Mapping[str, Any], side: str) -> Amounts:
    """The `limits` or `requests` of a container, a Pod's spec or a claim's spec."""
    return amounts((holder.get("resources") or {}).get(side))


def amounts(given: Mapping[str, str] | None) -> Amounts:
    """What quantities are."""
    return {key: amount(text) for key, text in (given or {}).items()}


def together(spec: Mapping[str, Any], needs: Callable[[Mapping[str, Any]], Amounts]) -> Amounts:
    """What a Pod's containers need when each needs what NEEDS says: all that run together, or most of what one init one does."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        total = added(total, needs(container))
    beside: Amounts = {}
    most: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            total = added(total, needs(container))
            beside = added(beside, needs(container))
            most = greatest(most, beside)
        else:
            most = greatest(most, added(needs(container), beside))
    return greatest(total, most)


def added(one: Amounts, other: Amounts) -> Amounts:
    """Both, resource by resource."""
    return {**one, **{key: one[key] + found if key in one else found for key, found in other.items()}}


def greatest(one: Amounts, other: Amounts) -> Amounts:
    """The greater of both, resource by resource."""
    return {**one, **{key: found for key, found in other.items() if key not in one or one[key].nano < found.nano}}


def quality(spec: Mapping[str, Any]) -> str:
    """The class of service of a Pod: what it is promised.

    Source: kubernetes pkg/apis/core/helper/qos/qos.go.
    """
    if spec.get("resources") is not None:
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
