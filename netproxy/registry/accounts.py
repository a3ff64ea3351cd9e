"""Who a Pod is to the API: its service account, whose token is put into its containers. Values only.

Source: kubernetes 1.36 plugin/pkg/admission/serviceaccount/admission.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable

from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import PODS, SERVICE_ACCOUNTS
from netproxy.objects.meta import Object, annotations_of, name, namespace, spec
from netproxy.objects.trust import ROOT_CA
from netproxy.registry.given import generated_name
from netproxy.registry.refusal import forbidden

DEFAULT = "default"
"""The account of Pods that name none; every namespace has one."""
MOUNTED_AT = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME = "kube-api-access-"
TOKEN_S = 3607
_GIVEN = ("nodeName", "serviceAccountName", "serviceAccount", "imagePullSecrets")
"""Fields of a Pod that others fill in."""
_MIRRORED = "kubernetes.io/config.mirror"


def with_its_account(
    pod: Object, find: Callable[[NamespacedName], Object | None], make: Callable[[Object], Object], chance: str
) -> Object:
    """A new Pod with the account that it names, or its namespace's own, which is made when it is not there yet.

    One that only tells of what a node runs by itself has none. CHANCE makes the volume's name. Raises ApiError (403).
    """
    if _MIRRORED in annotations_of(pod):
        return pod
    at = NamespacedName(namespace(pod), spec(pod).get("serviceAccountName") or DEFAULT)
    account = find(at)
    if account is None and at.name == DEFAULT:
        meta = {"name": DEFAULT, "namespace": at.namespace}
        account = make({"apiVersion": SERVICE_ACCOUNTS.api_version, "kind": "ServiceAccount", "metadata": meta})
    if account is None:
        why = f'error looking up service account {at}: serviceaccount "{at.name}" not found'
        raise forbidden(PODS, name(pod), why)
    return _with_account(pod, account, chance)


def _with_account(pod: Object, account: Object, chance: str) -> Object:
    """With the account, its secrets for pulling images and, unless the Pod or it wants none, the volume with its token."""
    wanted = {**spec(pod), "serviceAccountName": name(account), "serviceAccount": name(account)}
    if not wanted.get("imagePullSecrets") and account.get("imagePullSecrets"):
        wanted["imagePullSecrets"] = account["imagePullSecrets"]
    if _wants_token(wanted, account):
        wanted = _with_token(wanted, chance)
    return {**pod, "spec": wanted}


def with_what_was_given(pod: Object, old: Object) -> Object:
    """The state of a Pod that its manifest wants, with its node, its account and what came with that."""
    given = {field: spec(old)[field] for field in _GIVEN if field in spec(old)}
    wanted = {**given, **spec(pod)}
    for volume in spec(old).get("volumes") or ():
        volumes = wanted.get("volumes") or []
        if volume["name"].startswith(VOLUME) and volume["name"] not in [each["name"] for each in volumes]:
            wanted, _ = _mounted({**wanted, "volumes": [*volumes, volume]}, volume["name"])
    return {**pod, "spec": wanted}


def _wants_token(wanted: Object, account: Object) -> bool:
    for asked in (wanted.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):
        if asked is not None:
            return bool(asked)
    return True


def _with_token(wanted: Object, chance: str) -> Object:
    """With the volume mounted in every container that has nothing there yet."""
    volumes = list(wanted.get("volumes") or ())
    there = [volume["name"] for volume in volumes if str(volume.get("name")).startswith(VOLUME)]
    named = there[-1] if there else generated_name({"metadata": {"generateName": VOLUME}}, chance)
    result, is_used = _mounted(wanted, named)
    return {**result, "volumes": [*volumes, _volume(named)]} if is_used and not there else result


def _mounted(wanted: Object, named: str) -> tuple[Object, bool]:
    """With a volume mounted in every container, and whether it is in any."""
    mount = {"name": named, "readOnly": True, "mountPath": MOUNTED_AT}
    mounted: Object = {}
    for group in ("initContainers", "containers"):
        if wanted.get(group):
            mounted[group] = [_mounting(container, mount) for container in wanted[group]]
    is_used = any(mount in container["volumeMounts"] for group in mounted.values() for container in group)
    return {**wanted, **mounted}, is_used


def _mounting(container: Object, mount: Object) -> Object:
    mounts = container.get("volumeMounts") or []
    if any(each.get("mountPath") == MOUNTED_AT for each in mounts):
        return {**container, "volumeMounts": mounts}
    return {**container, "volumeMounts": [*mounts, mount]}


def _volume(named: str) -> Object:
    """A token, whom to believe, and the Pod's namespace, as files."""
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_S, "path": "token"}},
        {"configMap": {"name": ROOT_CA, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]
    return {"name": named, "projected": {"sources": sources, "defaultMode": 0o644}}
