"""What is refused about the resources that containers and Pods ask for.

Source: kubernetes pkg/apis/core/validation/validation.go (validateResourceRequirements and its like; behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from netproxy.objects.amount import amount
from netproxy.objects.resources import aggregated, is_huge_page
from netproxy.objects.validation.mounts import not_found
from netproxy.objects.validation.names import dns_label
from netproxy.objects.validation.resources import (
    container_name_problems,
    may_be_overcommitted,
    quantity_problems,
    resource_name_problems,
)
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    required,
    unsupported,
)

_OF_PODS = ("cpu", "hugepages-", "memory")

Part = Mapping[str, Any]


def requirement_problems(
    resources: Part,
    path: str,
    claims: Collection[str],
    check_name: Callable[[str, str], Problems] = container_name_problems,
) -> Problems:
    """What is wrong with what a container is to have; its Pod has these claims."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, text in limits.items():
        yield from _amount(name, text, f"{path}.limits[{name}]", check_name)
        yield from _huge(name, text, f"{path}.limits[{name}]")
    for name, text in requests.items():
        yield from _amount(name, text, f"{path}.requests[{name}]", check_name)
        yield from _within(name, text, limits.get(name), path)
        yield from _huge(name, text, f"{path}.requests[{name}]")
    names = {*limits, *requests}
    if any(map(is_huge_page, names)) and not names & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")
    if resources.get("claims"):
        yield from _claims(resources["claims"], f"{path}.claims", claims)


def _amount(name: str, text: str, path: str, check_name: Callable[[str, str], Problems]) -> Problems:
    if name not in ("cpu", "memory") or text.startswith("-"):
        yield from check_name(path, name)
        yield from quantity_problems(path, name, text)


def _huge(name: str, text: str, path: str) -> Problems:
    if not is_huge_page(name):
        return
    try:
        page = amount(name.removeprefix("hugepages-"))
    except ValueError:
        page = None
    whole = page is not None and page.nano > 0 and page.is_whole and amount(text).value % page.value == 0
    if not whole:
        yield invalid(path, text, f"{text} is not positive integer multiple of {name}")


def _within(name: str, text: str, limit: str | None, path: str) -> Problems:
    if limit is None:
        if not may_be_overcommitted(name):
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    asked, most = amount(text).nano, amount(limit).nano
    if asked != most and not may_be_overcommitted(name):
        yield invalid(f"{path}.requests", text, f"must be equal to {name} limit of {limit}")
    elif asked > most:
        yield invalid(f"{path}.requests", text, f"must be less than or equal to {name} limit of {limit}")


def _claims(claims: Sequence[Part], path: str, known: Collection[str]) -> Problems:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        name, place = claim.get("name") or "", f"{path}[{index}]"
        if not name:
            yield required(place)
            continue
        if name in seen:
            yield duplicate(place, name)
        else:
            yield from _claim(name, claim.get("request") or "", place, seen)
        if name not in known:
            listed = f": {', '.join(sorted(set(known)))}" if known else " which is empty"
            yield not_found(place, name, f"must be one of the names in pod.spec.resourceClaims{listed}")


def _claim(name: str, request: str, path: str, seen: set[str]) -> Problems:
    key = f"{name}/{request}" if request else name
    if request:
        yield from invalids(f"{path}.request", request, dns_label(request))
    if key in seen:
        yield duplicate(path, key)
    elif not request:
        for other in seen:
            if other.partition("/")[0] == name and "/" in other:
                yield duplicate(path, name)
    seen.add(key)


def pod_resources_problems(spec: Part, path: str, claims: Collection[str]) -> Problems:
    """What is wrong with what a whole Pod is to have."""
    resources = spec["resources"]
    if (spec.get("os") or {}).get("name") == "windows":
        yield forbidden(path, "may not be set for a windows pod")
        return
    if resources.get("claims") is not None:
        yield forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level")
    yield from requirement_problems(resources, path, claims, _pod_name)
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, text in aggregated(spec, "requests").items():
        if name in requests and amount(text).nano > amount(requests[name]).nano:
            why = f"must be greater than or equal to aggregate container requests of {text}"
            yield invalid(f"{path}.requests[{name}]", requests[name], why)
    for name, text in aggregated(spec, "limits").items():
        if is_huge_page(name) and name in limits and amount(text).nano > amount(limits[name]).nano:
            why = f"must be greater than or equal to aggregate container limits of {text}"
            yield invalid(f"{path}.limits[{name}]", limits[name], why)
    for index, container in enumerate(spec.get("containers") or ()):
        for name, text in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and amount(text).nano > amount(limits[name]).nano:
                place = f"{path}.containers[{index}][{name}].limits"
                yield invalid(place, text, f"must be less than or equal to pod limits of {limits[name]}")


def _pod_name(path: str, name: str) -> Problems:
    wrong = list(resource_name_problems(path, name))
    yield from wrong
    if not wrong and name not in _OF_PODS and not is_huge_page(name):
        yield unsupported(path, name, _OF_PODS)
