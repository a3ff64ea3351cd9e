"""What is refused about the volumes of Pods.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateVolumes, validateVolumeSource; behaviour).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netproxy.objects.amount import amount
from netproxy.objects.validation.metadata import annotation_problems, label_problems
from netproxy.objects.validation.names import dns_label, dns_subdomain, size
from netproxy.objects.validation.paths import descending, file_mode, no_back_steps
from netproxy.objects.validation.projections import file_problems, key_problems, projected_problems
from netproxy.objects.validation.storage import claim_spec_problems
from netproxy.objects.validation.words import (
    Problems,
    duplicate,
    forbidden,
    invalid,
    invalids,
    one_of,
    quoted,
    required,
    too_long,
    unsupported,
)

HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_KINDS = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
    "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk",
    "storageos", "projected", "scaleIO", "csi", "ephemeral", "image",
)  # fmt: skip
_SPELT = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
"""How the real server spells these when there is more than one kind."""
_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([0-9A-Za-z.-]+)(:[^,;*&$|\s]+)$").search
_EUI = re.compile(r"eui.[0-9A-Za-z]{16}").fullmatch
_NAA = re.compile(r"naa.[0-9A-Za-z]{32}").fullmatch
_BYTE = "must be between {} and 255, inclusive"

Part = Mapping[str, Any]


def volume_problems(volumes: Sequence[Part], path: str, pod: str | None, good: dict[str, Part]) -> Problems:
    """What is wrong with the volumes of a Pod of this name (None: of a template); those that are right go into GOOD."""
    made = {f"{pod}-{item.get('name') or ''}" for item in volumes if pod and item.get("ephemeral") is not None}
    for index, item in enumerate(volumes):
        place, name = f"{path}[{index}]", item.get("name") or ""
        wrong = list(_source(item, place, name, pod))
        if not name:
            wrong.append(required(f"{place}.name"))
        else:
            wrong += invalids(f"{place}.name", name, dns_label(name))
        if name in good:
            wrong.append(duplicate(f"{place}.name", name))
        if wrong:
            yield from wrong
        else:
            good[name] = item
        claim = (item.get("persistentVolumeClaim") or {}).get("claimName")
        if claim in made:
            why = "must not reference a PVC that gets created for an ephemeral volume"
            yield invalid(f"{place}.persistentVolumeClaim.claimName", claim, why)


def _source(item: Part, path: str, name: str, pod: str | None) -> Problems:
    found = [kind for kind in _KINDS if item.get(kind) is not None]
    for at, kind in enumerate(found):
        if at:
            yield forbidden(f"{path}.{_SPELT.get(kind, kind)}", "may not specify more than 1 volume type")
        elif kind == "image":
            yield from _image(item[kind], f"{path}.image", of_pod=pod is not None)
        elif kind in _CHECKS:
            place = "persistentDisk" if kind == "gcePersistentDisk" else kind
            yield from _CHECKS[kind](item[kind], f"{path}.{place}")
            if kind == "ephemeral" and pod and name:
                yield from _made_claim(f"{pod}-{name}", name, f"{path}.name")
        else:
            yield from _needed(item[kind], f"{path}.{kind}", _NEEDED.get(kind, ()))
        if kind == "iscsi":
            yield from _iscsi_name(item[kind], name, f"{path}.name")


def _needed(source: Part, path: str, fields: tuple[str, ...]) -> Problems:
    for field in fields:
        if not source.get(field):
            yield required(f"{path}.{field}")


def _made_claim(claim: str, name: str, path: str) -> Problems:
    yield from invalids(path, name, (f"PVC name {quoted(claim)}: {why}" for why in dns_subdomain(claim)))


def _iscsi_name(source: Part, name: str, path: str) -> Problems:
    if source.get("initiatorName") is not None and size(f"{name}:{source.get('targetPortal') or ''}") > 64:
        why = (
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName "
            "is specified."
        )
        yield invalid(path, name, why)


def _empty_dir(source: Part, path: str) -> Problems:
    if source.get("sizeLimit", "0").startswith("-") and amount(source["sizeLimit"]).nano:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _host_path(source: Part, path: str) -> Problems:
    if not source.get("path"):
        yield required(f"{path}.path")
        return
    yield from no_back_steps(source["path"], f"{path}.path")
    yield from one_of(f"{path}.type", source.get("type"), HOST_PATH_TYPES)


def _git_repo(source: Part, path: str) -> Problems:
    yield from _needed(source, path, ("repository",))
    yield from descending(source.get("directory") or "", f"{path}.directory")


def _disk(field: str) -> Callable[[Part, str], Problems]:
    def check(source: Part, path: str) -> Problems:
        yield from _needed(source, path, (field,))
        if not 0 <= source.get("partition", 0) <= 255:
            yield invalid(f"{path}.partition", source["partition"], _BYTE.format(1))

    return check


def _keys(field: str) -> Callable[[Part, str], Problems]:
    def check(source: Part, path: str) -> Problems:
        yield from _needed(source, path, (field,))
        yield from file_mode(source.get("defaultMode"), f"{path}.defaultMode")
        for index, item in enumerate(source.get("items") or ()):
            yield from key_problems(item, f"{path}.items[{index}]")

    return check


def _nfs(source: Part, path: str) -> Problems:
    yield from _needed(source, path, ("server", "path"))
    if not (source.get("path") or "").startswith("/"):
        yield invalid(f"{path}.path", source.get("path") or "", "must be an absolute path")


def _iscsi(source: Part, path: str) -> Problems:
    yield from _needed(source, path, ("targetPortal", "iqn"))
    if source.get("iqn"):
        yield from _qualified(source["iqn"], f"{path}.iqn")
    if not 0 <= source.get("lun", 0) <= 255:
        yield invalid(f"{path}.lun", source["lun"], _BYTE.format(0))
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        yield required(f"{path}.secretRef")
    if source.get("initiatorName") is not None:
        yield from _qualified(source["initiatorName"], f"{path}.initiatorname")


def _qualified(name: str, path: str) -> Problems:
    rules = {"iqn": _IQN, "eui": _EUI, "naa": _NAA}
    if name[:3] not in rules:
        yield invalid(path, name, "must be valid format starting with iqn, eui, or naa")
    elif not rules[name[:3]](name):
        yield invalid(path, name, "must be valid format")


def _flocker(source: Part, path: str) -> Problems:
    name, uid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    if not name and not uid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if name and uid:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _cinder(source: Part, path: str) -> Problems:
    yield from _needed(source, path, ("volumeID",))
    yield from _secret_name(source, path)


def _secret_name(source: Part, path: str) -> Problems:
    if source.get("secretRef") is not None and not source["secretRef"].get("name"):
        yield required(f"{path}.secretRef.name")


def _quobyte(source: Part, path: str) -> Problems:
    registry, why = source.get("registry") or "", "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        yield required(f"{path}.registry", why)
    elif size(source.get("tenant") or "") >= 65:
        yield required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    else:
        for pair in registry.split(","):
            if pair.rpartition(":")[0].count(":") or ":" not in pair:
                yield invalid(f"{path}.registry", registry, why)
    yield from _needed(source, path, ("volume",))


def _downward(source: Part, path: str) -> Problems:
    yield from file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    for item in source.get("items") or ():
        yield from file_problems(item, path)


def _fibre_channel(source: Part, path: str) -> Problems:
    names, ids = source.get("targetWWNs") or (), source.get("wwids") or ()
    lun: int | None = source.get("lun")
    if not names and not ids:
        yield required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if names and ids:
        yield invalid(f"{path}.targetWWNs", names, "targetWWNs and wwids can not be specified simultaneously")
    if names and lun is None:
        yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif names and lun is not None and not 0 <= lun <= 255:
        yield invalid(f"{path}.lun", lun, _BYTE.format(0))


def _flex(source: Part, path: str) -> Problems:
    yield from _needed(source, path, ("driver",))
    for key in source.get("options") or ():
        if f".{key.partition('/')[0].lower()}".endswith((".kubernetes.io", ".k8s.io")):
            yield invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved")


def _azure_disk(source: Part, path: str) -> Problems:
    yield from _needed(source, path, ("diskName", "diskURI"))
    yield from one_of(f"{path}.cachingMode", source.get("cachingMode"), ("None", "ReadOnly", "ReadWrite"))
    kind, uri = source.get("kind"), source.get("diskURI") or ""
    yield from one_of(f"{path}.kind", kind, ("Dedicated", "Managed", "Shared"))
    managed = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
    blob = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        yield unsupported(f"{path}.diskURI", uri, (managed,))
    elif kind not in (None, "Managed") and not uri.startswith("https://"):
        yield unsupported(f"{path}.diskURI", uri, (blob,))


def _storage_os(source: Part, path: str) -> Problems:
    name, namespace = source.get("volumeName") or "", source.get("volumeNamespace") or ""
    yield from invalids(f"{path}.volumeName", name, dns_label(name)) if name else (required(f"{path}.volumeName"),)
    if namespace:
        yield from invalids(f"{path}.volumeNamespace", namespace, dns_label(namespace))
    yield from _secret_name(source, path)


def _csi(source: Part, path: str) -> Problems:
    driver = source.get("driver") or ""
    if not driver:
        yield required(f"{path}.driver")
    else:
        if size(driver) > 63:
            yield too_long(f"{path}.driver", 63)
        yield from invalids(f"{path}.driver", driver, dns_subdomain(driver.lower()))
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        name = secret.get("name") or ""
        if name:
            yield from invalids(f"{path}.name", name, dns_subdomain(name))
        else:
            yield required(f"{path}.nodePublishSecretRef.name")


def _ephemeral(source: Part, path: str) -> Problems:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
        return
    meta, place = template.get("metadata") or {}, f"{path}.volumeClaimTemplate"
    yield from annotation_problems(meta.get("annotations"), f"{place}.metadata.annotations")
    yield from label_problems(meta.get("labels"), f"{place}.metadata.labels")
    for field in meta:
        if field not in ("annotations", "labels"):
            spelt = "uID" if field == "uid" else field
            yield forbidden(f"{place}.metadata.{spelt}", "cannot be set")
    yield from claim_spec_problems(template.get("spec") or {}, f"{place}.spec")


def _image(source: Part, path: str, *, of_pod: bool) -> Problems:
    if of_pod and not source.get("reference"):
        yield required(f"{path}.reference")
    yield from one_of(f"{path}.pullPolicy", source.get("pullPolicy"), ("Always", "IfNotPresent", "Never"))


_NEEDED: dict[str, tuple[str, ...]] = {
    "glusterfs": ("endpoints", "path"),
    "persistentVolumeClaim": ("claimName",),
    "rbd": ("monitors", "image"),
    "cephfs": ("monitors",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "scaleIO": ("gateway", "system", "volumeName"),
}

_CHECKS: dict[str, Callable[[Part, str], Problems]] = {
    "emptyDir": _empty_dir, "hostPath": _host_path, "gitRepo": _git_repo, "gcePersistentDisk": _disk("pdName"),
    "awsElasticBlockStore": _disk("volumeID"), "secret": _keys("secretName"), "configMap": _keys("name"), "nfs": _nfs,
    "iscsi": _iscsi, "flocker": _flocker, "cinder": _cinder, "quobyte": _quobyte, "downwardAPI": _downward,
    "fc": _fibre_channel, "flexVolume": _flex, "azureDisk": _azure_disk, "storageos": _storage_os,
    "projected": projected_problems, "csi": _csi, "ephemeral": _ephemeral,
}  # fmt: skip
