"""What is refused about a PersistentVolume.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidatePersistentVolumeSpec; behaviour),
pkg/api/persistentvolume/util.go (warnings).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netproxy.objects.amounts import amount
from netproxy.objects.meta import Object, annotations_of, spec
from netproxy.objects.validation.gostructs import NODE_AFFINITY, VOLUME_SOURCE, difference, rendered
from netproxy.objects.validation.names import dns_label, dns_subdomain, label_value, qualified, size
from netproxy.objects.validation.podvolumes import HOST_PATH_TYPES
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.storage import BETA_CLASS, NOT_POSITIVE, VOLUME_MODES, mode_problems
from netproxy.objects.validation.words import (
    IMMUTABLE,
    Problems,
    Typed,
    forbidden,
    invalid,
    invalids,
    one_of,
    required,
    too_long,
    unchanged_typed,
    unsupported,
)

_SOURCES = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs",
    "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
    "azureDisk", "scaleIO", "local", "storageos", "csi",
)  # fmt: skip
_SECRETS = (
    "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef",
)  # fmt: skip
_DEPRECATED = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"

Part = Mapping[str, Any]


def _volume(obj: Object, meta: Found) -> Problems:
    yield from meta
    given = spec(obj)
    modes = given.get("accessModes") or ()
    if not modes:
        yield required("spec.accessModes")
    yield from mode_problems(modes, "spec.accessModes")
    yield from _capacity(given.get("capacity") or {})
    policy = given.get("persistentVolumeReclaimPolicy")
    yield from one_of("spec.persistentVolumeReclaimPolicy", policy, ("Delete", "Recycle", "Retain"))
    affinity = given.get("nodeAffinity")
    if affinity is not None:
        yield from _affinity(affinity, "spec.nodeAffinity")
    yield from _sources(given, has_nodes=affinity is not None)
    root = posixpath.normpath((given.get("hostPath") or {}).get("path") or ".") == "/"
    if root and policy == "Recycle":
        yield forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    if name := given.get("storageClassName"):
        yield from invalids("spec.storageClassName", name, dns_subdomain(name))
    yield from one_of("spec.volumeMode", given.get("volumeMode"), VOLUME_MODES)


def _capacity(capacity: Mapping[str, str]) -> Problems:
    if not capacity:
        yield required("spec.capacity")
    if list(capacity) != ["storage"]:
        yield unsupported("spec.capacity", dict(sorted(capacity.items())) or None, ("storage",))
    for name, given in capacity.items():
        if amount(given) < 0:
            yield invalid(f"spec.capacity[{name}]", int(amount(given)), "must be a valid resource quantity")
        if amount(given) <= 0:
            yield invalid(f"spec.capacity[{name}]", given, NOT_POSITIVE)


def _affinity(affinity: Part, path: str) -> Problems:
    needed = affinity.get("required")
    if needed is None:
        yield required(f"{path}.required", "must specify required node constraints")
        return
    terms = needed.get("nodeSelectorTerms") or ()
    if not terms:
        yield required(f"{path}.required.nodeSelectorTerms", "must have at least one node selector term")
    for index, term in enumerate(terms):
        for at, item in enumerate(term.get("matchExpressions") or ()):
            yield from _requirement(item, f"{path}.required.nodeSelectorTerms[{index}].matchExpressions[{at}]")


def _requirement(item: Part, path: str) -> Problems:
    operator, values, key = item.get("operator") or "", item.get("values") or (), item.get("key") or ""
    if operator in ("In", "NotIn"):
        if not values:
            yield required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            yield forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    elif operator in ("Gt", "Lt"):
        if len(values) != 1:
            yield required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
    else:
        yield invalid(f"{path}.operator", Typed(operator), "not a valid selector operator")
    yield from invalids(f"{path}.key", key, qualified(key))
    for index, value in enumerate(values):
        yield from invalids(f"{path}.values[{index}]", value, label_value(value))


def _sources(given: Part, *, has_nodes: bool) -> Problems:
    found = [field for field in _SOURCES if given.get(field) is not None]
    for field in found:
        if field != found[0]:
            shown = "cephFS" if field == "cephfs" else field
            yield forbidden(f"spec.{shown}", "may not specify more than 1 volume type")
        elif check := _CHECKS.get(field):
            yield from check(given[field], f"spec.{field}")
    if found[:1] == ["local"] and not has_nodes:
        yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if not found:
        yield required("spec", "must specify a volume type")


def _host_path(source: Part, path: str) -> Problems:
    yield from _local(source, path)
    if source.get("path"):
        yield from one_of(f"{path}.type", source.get("type"), HOST_PATH_TYPES)


def _local(source: Part, path: str) -> Problems:
    text = source.get("path") or ""
    if not text:
        yield required(f"{path}.path")
    if ".." in text.split("/"):
        yield invalid(f"{path}.path", text, "must not contain '..'")


def _nfs(source: Part, path: str) -> Problems:
    text = source.get("path") or ""
    if not source.get("server"):
        yield required(f"{path}.server")
    if not text:
        yield required(f"{path}.path")
    if not text.startswith("/"):
        yield invalid(f"{path}.path", text, "must be an absolute path")


def _csi(source: Part, path: str) -> Problems:
    driver = source.get("driver") or ""
    if not driver:
        yield required(f"{path}.driver")
    else:
        if size(driver) > 63:
            yield too_long(f"{path}.driver", 63)
        yield from invalids(f"{path}.driver", driver, dns_subdomain(driver.lower()))
    if not source.get("volumeHandle"):
        yield required(f"{path}.volumeHandle")
    for field in _SECRETS:
        secret = source.get(field)
        if secret is None:
            continue
        for part, rule in (("name", dns_subdomain), ("namespace", dns_label)):
            text = secret.get(part) or ""
            if text:
                yield from invalids(f"{path}.{field}.{part}", text, rule(text))
            else:
                yield required(f"{path}.{field}.{part}")


_CHECKS: dict[str, Callable[[Part, str], Problems]] = {
    "hostPath": _host_path, "local": _local, "nfs": _nfs, "csi": _csi,
}  # fmt: skip


def _create(obj: Object, meta: Found) -> Problems:
    yield from _volume(obj, meta)
    mounted = any(spec(obj).get(field) is not None for field in _SOURCES if field not in _UNMOUNTED)
    if _MOUNT_OPTIONS in annotations_of(obj) and not mounted:
        yield forbidden(f"metadata.annotations.{_MOUNT_OPTIONS}", "may not specify mount options for this volume type")


_UNMOUNTED = ("hostPath", "flocker", "fc", "flexVolume", "portworxVolume", "scaleIO", "local", "storageos", "csi")
"""Sources without mount options."""


def _update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from _create(new, meta.whole)
    yield from _volume(new, meta.whole)
    before, now = (rendered(spec(obj), VOLUME_SOURCE) for obj in (old, new))
    if before != now:
        why = "spec.persistentvolumesource is immutable after creation"
        yield forbidden("spec.persistentvolumesource", f"{why}\n{difference(before, now)}")
    yield from unchanged_typed("volumeMode", spec(new).get("volumeMode"), spec(old).get("volumeMode"))
    if spec(old).get("nodeAffinity") is not None:
        affinities = [rendered(spec(obj).get("nodeAffinity"), NODE_AFFINITY) for obj in (new, old)]
        if affinities[0] != affinities[1]:
            yield invalid("nodeAffinity", affinities[0], f"{IMMUTABLE}, except for updating from beta label to GA")


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    if BETA_CLASS in annotations_of(new):
        yield f'metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead'
    if _MOUNT_OPTIONS in annotations_of(new):
        yield f'metadata.annotations[{_MOUNT_OPTIONS}]: deprecated since v1.31; use "mountOptions" attribute instead'
    if spec(new).get("persistentVolumeReclaimPolicy") == "Recycle":
        yield (
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
            "approach is to use dynamic provisioning."
        )
    for field, said in _DEPRECATED.items():
        if spec(new).get(field) is not None:
            yield f"spec.{'storageOS' if field == 'storageos' else field}: {said}"


PERSISTENT_VOLUME = Rules(create=_create, update=_update, warnings=_warnings)
