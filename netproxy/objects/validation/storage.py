"""What is refused about a StorageClass and a PersistentVolumeClaim.

Source: kubernetes pkg/apis/storage/validation, pkg/apis/core/validation/validation.go (behaviour),
pkg/api/persistentvolumeclaim/util.go (warnings).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netproxy.objects.amounts import amount
from netproxy.objects.meta import Object, annotations_of, spec, status
from netproxy.objects.validation.gostructs import CLAIM_SPEC, difference, rendered
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.names import dns_label, dns_subdomain, qualified, size
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
    too_long,
    unchanged,
    unchanged_typed,
    unsupported,
)

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
NOT_POSITIVE = "must be greater than zero"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_MOST_PARAMETERS, _MOST_PARAMETER_BYTES = 512, 256 << 10
_FIXED = ("reclaimPolicy", "volumeBindingMode")

Part = Mapping[str, Any]


def _class(obj: Object, meta: Found) -> Problems:
    yield from meta
    provisioner = obj.get("provisioner") or ""
    if provisioner:
        yield from invalids("provisioner", provisioner.lower(), qualified(provisioner.lower()))
    else:
        yield required("provisioner")
    yield from _parameters(obj.get("parameters") or {})
    yield from one_of("reclaimPolicy", obj.get("reclaimPolicy") or None, ("Delete", "Retain"))
    yield from one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))
    seen: list[dict[str, set[str]]] = [{}] * len(obj.get("allowedTopologies") or ())
    for index, term in enumerate(obj.get("allowedTopologies") or ()):
        path = f"allowedTopologies[{index}].matchLabelExpressions"
        terms: dict[str, set[str]] = {}
        for at, item in enumerate(term.get("matchLabelExpressions") or ()):
            yield from _topology(item, f"{path}[{at}]", terms)
        for _ in range(seen.count(terms)):
            yield duplicate(path, "")
        seen.append(terms)


def _topology(item: Part, path: str, terms: dict[str, set[str]]) -> Problems:
    values, key = item.get("values") or (), item.get("key") or ""
    if not values:
        yield required(f"{path}.values")
    for index, value in enumerate(values):
        if value in values[:index]:
            yield duplicate(f"{path}.values[{index}]", value)
    yield from invalids(f"{path}.key", key, qualified(key))
    if key in terms:
        yield duplicate(f"{path}.key", key)
    terms[key] = set(values)


def _parameters(parameters: Mapping[str, str]) -> Problems:
    if len(parameters) > _MOST_PARAMETERS:
        yield too_long("parameters", _MOST_PARAMETERS)
        return
    if "" in parameters:
        yield invalid("parameters", "", "field can not be empty.")
    if sum(size(key) + size(value or "") for key, value in parameters.items()) > _MOST_PARAMETER_BYTES:
        yield too_long("parameters", _MOST_PARAMETER_BYTES)


def _class_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _class(new, meta.whole)
    yield from meta.change
    yield from unchanged("parameters", new.get("parameters"), old.get("parameters"))
    yield from unchanged("provisioner", new.get("provisioner"), old.get("provisioner"))
    for field in _FIXED:
        yield from unchanged_typed(field, new.get(field), old.get(field))


def mode_problems(modes: Sequence[str], path: str) -> Problems:
    """What is wrong with the ways of access to a volume."""
    for mode in modes:
        if mode not in ACCESS_MODES:
            yield unsupported(path, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES[:3] for mode in modes):
        yield forbidden(path, "may not use ReadWriteOncePod with other access modes")


def claim_spec_problems(claim: Part, path: str) -> Problems:
    """What is wrong with the spec of a claim, wherever it is."""
    modes = claim.get("accessModes") or ()
    if not modes:
        yield required(f"{path}.accessModes", "at least 1 access mode is required")
    yield from selector_problems(claim.get("selector"), f"{path}.selector")
    yield from mode_problems(modes, f"{path}.accessModes")
    asked, place = ((claim.get("resources") or {}).get("requests") or {}).get("storage"), f"{path}.resources[storage]"
    if asked is None:
        yield required(place)
    elif amount(asked) <= 0:
        yield invalid(place, asked, NOT_POSITIVE)
    else:
        yield from quantity_problems(place, "storage", asked)
    if name := claim.get("storageClassName"):
        yield from invalids(f"{path}.storageClassName", name, dns_subdomain(name))
    yield from one_of(f"{path}.volumeMode", claim.get("volumeMode"), VOLUME_MODES)
    yield from _sources(claim, path)
    if name := claim.get("volumeAttributesClassName"):
        yield from invalids(f"{path}.volumeAttributesClassName", name, dns_subdomain(name))


def _sources(claim: Part, path: str) -> Problems:
    source, reference = claim.get("dataSource"), claim.get("dataSourceRef")
    if source is not None:
        yield from _source(source, f"{path}.dataSource")
    if reference is None:
        return
    yield from _source(reference, f"{path}.dataSourceRef")
    namespace = reference.get("namespace")
    if namespace:
        yield from invalids(f"{path}.dataSourceRef.namespace", namespace, dns_label(namespace))
    if source is not None:
        same = all(source.get(field) == reference.get(field) for field in ("apiGroup", "kind", "name"))
        if namespace:
            yield invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified")
        elif not same:
            yield invalid(path, {}, "must match dataSourceRef")


def _source(source: Part, path: str) -> Problems:
    group, kind = source.get("apiGroup") or "", source.get("kind") or ""
    for field in ("name", "kind"):
        if not source.get(field):
            yield required(f"{path}.{field}")
    if not group and kind != "PersistentVolumeClaim":
        yield invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
    if group:
        yield from invalids(f"{path}.apiGroup", group, dns_subdomain(group))


def _claim(obj: Object, meta: Found) -> Problems:
    yield from meta
    yield from claim_spec_problems(spec(obj), "spec")


def _claim_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _claim(new, meta.whole)
    before, now = annotations_of(old).get(BETA_CLASS, ""), annotations_of(new).get(BETA_CLASS, "")
    if before != now:
        yield invalid(f"metadata.annotations.{BETA_CLASS}", now, "field is immutable")
    compared = [rendered(claim, CLAIM_SPEC) for claim in _compared(new, old)]
    if compared[0] != compared[1]:
        why = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden("spec", f"{why}\n{difference(*compared)}")
    if amount(_storage(new)) < amount(_storage(old)):
        had = (status(old).get("capacity") or {}).get("storage", "0")
        if amount(_storage(new)) <= amount(had):
            yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    yield from unchanged_typed("volumeMode", spec(new).get("volumeMode"), spec(old).get("volumeMode"))


def _storage(obj: Object) -> str:
    return str(((spec(obj).get("resources") or {}).get("requests") or {}).get("storage", "0"))


def _compared(new: Object, old: Object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The old and the new spec, without what may be set once, and without what a bound claim may change."""
    before, claim = dict(spec(old)), dict(spec(new))
    if not before.get("volumeName"):
        before["volumeName"] = claim.get("volumeName")
    if before.get("storageClassName") is None and BETA_CLASS not in annotations_of(old):
        claim["storageClassName"] = None
    if status(new).get("phase") == "Bound":
        claim["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
        resources = claim.get("resources") or {}
        if resources.get("requests"):
            claim["resources"] = {**resources, "requests": {**resources["requests"], "storage": _storage(old)}}
    return before, claim


def _claim_status(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    for field in ("capacity", "allocatedResources"):
        for name, given in (status(new).get(field) or {}).items():
            if amount(given) < 0:
                yield invalid(f"status.{field}[{name}]", int(amount(given)), "must be a valid resource quantity")


def _claim_warnings(new: Object, old: Object | None) -> Iterator[str]:
    if BETA_CLASS in annotations_of(new):
        yield f'metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead'
    for field in ("requests", "limits"):
        given = ((spec(new).get("resources") or {}).get(field) or {}).get("storage")
        if given is not None and amount(given).denominator != 1:
            path = f"spec.resources.{field}[storage]"
            yield f'{path}: fractional byte value "{given}" is invalid, must be an integer'


STORAGE_CLASS = Rules(create=_class, update=_class_update)
PERSISTENT_VOLUME_CLAIM = Rules(
    create=_claim, update=_claim_update, status=_claim_status, warnings=_claim_warnings
)  # fmt: skip
