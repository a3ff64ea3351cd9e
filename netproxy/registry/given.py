"""What a writer hands in: whether it is an object at all, where it belongs, and in which order many go in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

from netproxy.core.errors import ApiError, ManifestError
from netproxy.core.names import NamespacedName
from netproxy.objects.canonical import canonical
from netproxy.objects.kinds import (
    CLUSTER_ROLES,
    CLUSTERS,
    ENDPOINT_SLICES,
    KUBE_PROXY_CONFIGURATIONS,
    LIMIT_RANGES,
    ROLES,
    Resource,
    resource_of,
)
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, key, metadata, name, namespace
from netproxy.objects.schema import decoded, field_problems
from netproxy.registry.namespace import IMMORTAL

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_OURS = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def given_object(obj: Object, resource: Resource, cluster_name: str) -> Object:
    """The object, of the right shape, with a namespace where its resource has one. Raises ManifestError."""
    obj = dict(decoded(obj))
    wrong, _ = field_problems(obj)
    if wrong:
        raise ManifestError(wrong)
    lets_go = metadata(obj).get("managedFields") == []  # which is not the same as nothing
    emptied = [path for path in EMPTIED.get(resource, ()) if _list_at(obj, path) == []]
    obj = canonical(obj)
    for path in emptied:
        obj = _with_list(obj, path, [])
    meta = {**metadata(obj), "managedFields": []} if lets_go else dict(metadata(obj))
    meta.pop("selfLink", None)
    if resource.namespaced:
        meta["namespace"] = meta.get("namespace") or "default"
    else:
        meta.pop("namespace", None)
    if not meta.get("name"):
        own_name = {KUBE_PROXY_CONFIGURATIONS: "kube-proxy", CLUSTERS: cluster_name}.get(resource)
        if own_name:
            meta["name"] = own_name
    return {**obj, "metadata": meta}


EMPTIED: Mapping[Resource, tuple[tuple[str, ...], ...]] = {
    CLUSTER_ROLES: (("rules",),), ENDPOINT_SLICES: (("endpoints",), ("ports",)), LIMIT_RANGES: (("spec", "limits"),),
    ROLES: (("rules",),),
}  # fmt: skip
"""Lists that are null when they are kept empty; who wrote that they are empty manages them."""


def as_kept(obj: Object, resource: Resource) -> Object:
    """The object without what only tells who manages it."""
    for path in EMPTIED.get(resource, ()):
        if _list_at(obj, path) == []:
            obj = _with_list(obj, path, None)
    meta = {field: value for field, value in metadata(obj).items() if field != "managedFields"}
    return {**obj, "metadata": meta}


def _list_at(obj: Object, path: tuple[str, ...]) -> Any:
    here: Any = obj
    for field in path:
        here = here.get(field) if isinstance(here, dict) else None
    return here


def _with_list(obj: Object, path: tuple[str, ...], value: list[Any] | None) -> Object:
    first, *rest = path
    return {**obj, first: _with_list(obj[first], tuple(rest), value) if rest else value}


def check_name(obj: Object, at: NamespacedName) -> None:
    """Raise ApiError when the object is not the one that the URL names."""
    found = key(obj)
    if not found.name:
        why = f"the name of the object ({at.name} based on URL) was undeterminable: name must be provided"
    elif found.name != at.name:
        why = f"the name of the object ({found.name}) does not match the name on the URL ({at.name})"
    elif found != at:
        why = "the namespace of the provided object does not match the namespace sent on the request"
    else:
        return
    raise ApiError(400, "BadRequest", why)


def generated_name(obj: Object, uid: str) -> str:
    """A name that begins as the object asks for, and goes on with five letters that spell no word.

    >>> generated_name({"metadata": {"generateName": "web-"}}, "0-0-12345")
    'web-z4gzg'

    Source: kubernetes apiserver pkg/storage/names/generate.go, apimachinery pkg/util/rand/rand.go.
    """
    chance = sha256(uid.encode()).digest()[:5]
    return f"{metadata(obj)['generateName'][:58]}{''.join(_LETTERS[byte % len(_LETTERS)] for byte in chance)}"


def with_uid(obj: Object, uid: str) -> Object:
    """The object with the uid that it is going to have."""
    return {**obj, "metadata": {**metadata(obj), "uid": uid}}


def merged_metadata(obj: Object, old: Object) -> dict[str, Any]:
    """Metadata of an applied manifest over the stored one; versions and owners are the store's business."""
    given = {field: value for field, value in metadata(obj).items() if field not in _OURS}
    kept = {field: value for field, value in metadata(old).items() if field in ("ownerReferences", "finalizers")}
    return {**kept, **given}


def with_namespaces(items: Iterable[Loaded], is_there: Callable[[NamespacedName], bool]) -> list[Loaded]:
    """The items, and the namespaces that they need and that nobody has made."""
    items = list(items)
    listed = {name(item.obj) for item in items if item.obj.get("kind") == "Namespace"}
    missing: dict[str, Loaded] = {}
    for item in items:
        at, resource = namespace(item.obj), resource_of(item.obj)
        needs = resource is not None and resource.namespaced and at not in IMMORTAL | {""}
        if needs and at not in listed and not is_there(NamespacedName("", at)):
            missing.setdefault(
                at, Loaded({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": at}}, item.source)
            )
    return [*missing.values(), *items]


def write_order(items: Iterable[Loaded]) -> list[Loaded]:
    """Namespaces and Nodes first; then Services that ask for an address or port before those that take any."""
    return sorted(items, key=_rank)


def _rank(item: Loaded) -> int:
    kind, spec = item.obj.get("kind"), item.obj.get("spec")
    if kind != "Service" or not isinstance(spec, dict):
        return {"Cluster": 0, "Namespace": 1, "Node": 2}.get(str(kind), 5)
    ports = spec.get("ports")
    asks = isinstance(ports, list) and any([isinstance(port, dict) and port.get("nodePort") for port in ports])
    return 3 if asks or spec.get("clusterIP") or spec.get("clusterIPs") else 4
