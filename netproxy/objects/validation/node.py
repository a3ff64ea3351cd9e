"""What is refused about a Node.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateNode, ValidateNodeUpdate; behaviour),
pkg/registry/core/node/strategy.go (warnings).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.net import sloppy_network
from netproxy.objects.choices import (
    KUBE_PROXY_VERSIONS,
    LAYOUT_ANNOTATION,
    MODE_ANNOTATION,
    NFTABLES_LAYOUTS,
    PROXY_MODES,
    VERSION_ANNOTATION,
)
from netproxy.objects.meta import Object, annotations_of, spec, status
from netproxy.objects.validation.addresses import cidr_problems, cidr_warnings, is_ipv6
from netproxy.objects.validation.names import label_value, qualified, size
from netproxy.objects.validation.resources import quantity_problems
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    one_of,
    required,
    unsupported,
)

_OURS = (
    (MODE_ANNOTATION, PROXY_MODES), (LAYOUT_ANNOTATION, NFTABLES_LAYOUTS), (VERSION_ANNOTATION, KUBE_PROXY_VERSIONS),
)  # fmt: skip
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_FEATURE = re.compile(r"[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*")
_ONCE = 'except from "" to valid'


def _own(obj: Object) -> Problems:
    """What is wrong with the annotations by which a Node chooses its proxy."""
    for key, choices in _OURS:
        yield from one_of(f"metadata.annotations[{key}]", annotations_of(obj).get(key) or None, choices)


def _problems(obj: Object) -> Problems:
    node = spec(obj)
    yield from _taints(node.get("taints") or ())
    yield from _resources(obj)
    swap = (((status(obj).get("nodeInfo") or {}).get("swap")) or {}).get("capacity")
    if swap is not None and swap <= 0:
        yield invalid("metadata.nodeSwapStatus.capacity", swap, "must be greater than zero")
    yield from _features(obj)
    yield from _ranges(node.get("podCIDRs") or [])


def _ranges(ranges: Sequence[str]) -> Problems:
    path = "spec.podCIDRs"
    for index, text in enumerate(ranges):
        yield from cidr_problems(f"{path}[{index}]", text)
    if len(ranges) < 2:
        return
    bad = next((at for at, text in enumerate(ranges) if not sloppy_network(text)), None)
    if bad is not None:
        why = f"invalid CIDR[{bad}]: <nil> (invalid CIDR address: {ranges[bad]})"
        said = f"Internal error: invalid PodCIDRs. failed to check with dual stack with error:{why}"
        yield Problem(path, said, reason="InternalError")
    if bad is not None or len(ranges) > 2 or is_ipv6(_host(ranges[0])) == is_ipv6(_host(ranges[1])):
        yield invalid(path, ranges, "may specify no more than one CIDR for each IP family")


def _host(text: str) -> str:
    return text.partition("/")[0]


def _taints(taints: Sequence[Mapping[str, Any]]) -> Problems:
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(taints):
        path = f"metadata.taints[{index}]"
        key, value, effect = (item.get(field) or "" for field in ("key", "value", "effect"))
        yield from invalids(f"{path}.key", key, qualified(key))
        if reasons := label_value(value):
            yield invalid(f"{path}.value", value, ";".join(reasons))
        if not effect:
            yield required(f"{path}.effect")
        elif effect not in _EFFECTS:
            yield unsupported(f"{path}.effect", effect, _EFFECTS)
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": item.get("timeAdded")}
            yield duplicate(path, shown, "taints must be unique by key and effect pair")
        seen.add((key, effect))


def _resources(obj: Object) -> Problems:
    for field in ("capacity", "allocatable"):
        for name, amount in (status(obj).get(field) or {}).items():
            yield from quantity_problems(f"status.{field}.{name}", name, amount)


def _features(obj: Object) -> Problems:
    features = status(obj).get("declaredFeatures") or ()
    for index, feature in enumerate(features):
        path = f"status.declaredFeatures[{index}]"
        if size(feature) > 253:
            yield invalid(
                path, feature, f"invalid feature name {json.dumps(feature)}: must be no more than 253 characters"
            )
        elif not _FEATURE.fullmatch(feature):
            why = (
                f"invalid feature name {json.dumps(feature)}: must start with an UpperCamelCase segment, with subsequent "
                "segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric "
                "characters and slashes"
            )
            yield invalid(path, feature, why)
        following = features[index + 1] if index + 1 < len(features) else None
        if following == feature:
            yield duplicate(f"status.declaredFeatures[{index + 1}]", following)
        elif following is not None and feature > following:
            yield invalid(f"status.declaredFeatures[{index + 1}]", following, "list must be sorted alphabetically")


def _changes(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _resources(new)
    yield from _features(new)
    seen: list[Any] = []
    for index, item in enumerate(status(new).get("addresses") or ()):
        if item in seen:
            shown = {"Type": item.get("type") or "", "Address": item.get("address") or ""}
            yield duplicate(f"status.addresses[{index}]", shown)
        seen.append(item)
    now, before = spec(new), spec(old)
    yield from _range_changes(now.get("podCIDRs") or [], before.get("podCIDRs") or [])
    if before.get("providerID") and before["providerID"] != now.get("providerID"):
        yield forbidden("spec.providerID", f"node updates may not change providerID {_ONCE}")
    yield from _taints(now.get("taints") or ())
    if (now.get("externalID") or "") != (before.get("externalID") or ""):
        yield forbidden("spec.externalID", "may not be updated")


def _range_changes(new: Sequence[str], old: Sequence[str]) -> Problems:
    """A Node gets its ranges once."""
    changed = 1 if len(new) != len(old) else sum(was != now for was, now in zip(old, new, strict=True))
    for _ in range(changed if old else 0):
        yield forbidden("spec.podCIDRs", f"node updates may not change podCIDR {_ONCE}")


def _create(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from _own(obj)
    yield from _problems(obj)


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _create(new, meta.whole)
    yield from _changes(new, old, meta)


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    if spec(new).get("configSource") is not None:
        yield "spec.configSource: the feature is removed"
    if spec(new).get("externalID"):
        yield "spec.externalID: this field is deprecated, and is unused by Kubernetes"
    for index, text in enumerate(spec(new).get("podCIDRs") or ()):
        yield from cidr_warnings(f"spec.podCIDRs[{index}]", text)


RULES = Rules(create=_create, update=_update, status=_changes, warnings=_warnings)
