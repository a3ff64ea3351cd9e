"""Objects as the API server's own types show them: every field, in its order, with Go's names; and how two of them differ.

Source: kubernetes pkg/apis/core/types.go, apimachinery pkg/util/diff/diff.go.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_AS_IT_IS = object()
"""Of what has Kubernetes' names in Go, too."""

_NOT_IN_JSON = {ord(sign): f"\\u{ord(sign):04x}" for sign in "&<>\u2028\u2029"}


@dataclass(frozen=True, slots=True)
class Struct:
    """Go's names and ours: of a plain value with what it is when unset, of a struct, of a pointer to one."""

    fields: Mapping[str, tuple[str, Any]]
    is_pointer: bool = True
    is_list: bool = False


def rendered(value: Any, shape: Any) -> Any:
    """A value of ours as Go's JSON has it; SHAPE is a Struct, or what stands for nothing."""
    if shape is _AS_IT_IS:
        return value
    if not isinstance(shape, Struct):
        return shape if value in (None, [], {}) else value
    if shape.is_list:
        return [_struct(item, shape) for item in value] if value else None
    return None if value is None and shape.is_pointer else _struct(value or {}, shape)


def _struct(value: Mapping[str, Any], shape: Struct) -> dict[str, Any]:
    return {go: rendered(value.get(ours), inner) for go, (ours, inner) in shape.fields.items()}


def difference(old: Any, new: Any) -> str:
    """What is to be changed in the text of OLD to make it that of NEW.

    >>> print(difference({"A": 1}, {"A": 2}), end="")
    @@ -1,3 +1,3 @@
     {
    - "A": 1
    + "A": 2
     }
    """
    lines = list(difflib.unified_diff(_lines(old), _lines(new), lineterm=""))[2:]
    return "".join(f"{line}\n" for line in lines)


def _lines(value: Any) -> list[str]:
    return escaped(json.dumps(value, indent=1, ensure_ascii=False)).split("\n")


def escaped(text: str) -> str:
    """A JSON text as Go writes it: some signs are not in it."""
    return text.translate(_NOT_IN_JSON)


_REFERENCE = {"APIGroup": ("apiGroup", None), "Kind": ("kind", ""), "Name": ("name", "")}
_SECRET = Struct({"Name": ("name", ""), "Namespace": ("namespace", "")})
_RESOURCES = Struct({"Limits": ("limits", None), "Requests": ("requests", None)}, is_pointer=False)

CLAIM_SPEC = Struct({
    "AccessModes": ("accessModes", None), "Selector": ("selector", _AS_IT_IS), "Resources": ("resources", _RESOURCES),
    "VolumeName": ("volumeName", ""), "StorageClassName": ("storageClassName", None), "VolumeMode": ("volumeMode", None),
    "DataSource": ("dataSource", Struct(_REFERENCE)),
    "DataSourceRef": ("dataSourceRef", Struct({**_REFERENCE, "Namespace": ("namespace", None)})),
    "VolumeAttributesClassName": ("volumeAttributesClassName", None),
}, is_pointer=False)  # fmt: skip
"""core.PersistentVolumeClaimSpec."""

_HOST_PATH = Struct({"Path": ("path", ""), "Type": ("type", None)})
_NFS = Struct({"Server": ("server", ""), "Path": ("path", ""), "ReadOnly": ("readOnly", False)})
_LOCAL = Struct({"Path": ("path", ""), "FSType": ("fsType", None)})
_CSI = Struct({
    "Driver": ("driver", ""), "VolumeHandle": ("volumeHandle", ""), "ReadOnly": ("readOnly", False), "FSType": ("fsType", ""),
    "VolumeAttributes": ("volumeAttributes", None), "ControllerPublishSecretRef": ("controllerPublishSecretRef", _SECRET),
    "NodeStageSecretRef": ("nodeStageSecretRef", _SECRET), "NodePublishSecretRef": ("nodePublishSecretRef", _SECRET),
    "ControllerExpandSecretRef": ("controllerExpandSecretRef", _SECRET),
    "NodeExpandSecretRef": ("nodeExpandSecretRef", _SECRET),
})  # fmt: skip

VOLUME_SOURCE = Struct({
    "GCEPersistentDisk": ("gcePersistentDisk", None), "AWSElasticBlockStore": ("awsElasticBlockStore", None),
    "HostPath": ("hostPath", _HOST_PATH), "Glusterfs": ("glusterfs", None), "NFS": ("nfs", _NFS), "RBD": ("rbd", None),
    "Quobyte": ("quobyte", None), "ISCSI": ("iscsi", None), "FlexVolume": ("flexVolume", None), "Cinder": ("cinder", None),
    "CephFS": ("cephfs", None), "FC": ("fc", None), "Flocker": ("flocker", None), "AzureFile": ("azureFile", None),
    "VsphereVolume": ("vsphereVolume", None), "AzureDisk": ("azureDisk", None),
    "PhotonPersistentDisk": ("photonPersistentDisk", None), "PortworxVolume": ("portworxVolume", None),
    "ScaleIO": ("scaleIO", None), "Local": ("local", _LOCAL), "StorageOS": ("storageos", None), "CSI": ("csi", _CSI),
}, is_pointer=False)  # fmt: skip
"""core.PersistentVolumeSource."""

_REQUIREMENT = Struct({"Key": ("key", ""), "Operator": ("operator", ""), "Values": ("values", None)}, is_list=True)
_TERM = Struct(
    {"MatchExpressions": ("matchExpressions", _REQUIREMENT), "MatchFields": ("matchFields", _REQUIREMENT)}, is_list=True
)
NODE_AFFINITY = Struct({"Required": ("required", Struct({"NodeSelectorTerms": ("nodeSelectorTerms", _TERM)}))})
"""core.VolumeNodeAffinity."""
