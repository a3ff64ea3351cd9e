"""The tables of roles, storage, leases and of netproxy's own kinds.

Source: kubernetes 1.36 pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from netproxy.apiserver.tables.words import Cells, Printer, age_of, columns, count, part, text
from netproxy.objects.meta import Object, annotations_of, name, spec

_DEFAULTS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def _binding(obj: Object, now: float) -> Cells:
    role, subjects = part(obj, "roleRef"), obj.get("subjects") or ()
    users, groups = (
        ", ".join(text(subject, "name") for subject in subjects if subject.get("kind") == kind)
        for kind in ("User", "Group")
    )
    accounts = [f"{text(s, 'namespace')}/{text(s, 'name')}" for s in subjects if s.get("kind") == "ServiceAccount"]
    return [
        name(obj), f"{text(role, 'kind')}/{text(role, 'name')}", age_of(obj, now), users, groups, ", ".join(accounts),
    ]  # fmt: skip


def _storage_class(obj: Object, now: float) -> Cells:
    default = " (default)" if any(annotations_of(obj).get(note) == "true" for note in _DEFAULTS) else ""
    return [
        name(obj) + default, text(obj, "provisioner"), text(obj, "reclaimPolicy", "Delete"),
        text(obj, "volumeBindingMode", "Immediate"), bool(obj.get("allowVolumeExpansion")), age_of(obj, now),
    ]  # fmt: skip


def _priority_class(obj: Object, now: float) -> Cells:
    return [
        name(obj), count(obj, "value"), bool(obj.get("globalDefault")), age_of(obj, now), text(obj, "preemptionPolicy"),
    ]  # fmt: skip


def _lease(obj: Object, now: float) -> Cells:
    return [name(obj), text(spec(obj), "holderIdentity"), age_of(obj, now)]


def _image(obj: Object, now: float) -> Cells:
    return [text(spec(obj), "image"), " ".join(spec(obj).get("command") or ()), age_of(obj, now)]


BINDING = Printer(columns("Name,Role,Age", "Users,Groups,ServiceAccounts"), _binding)
STORAGE_CLASS = Printer(
    columns("Name,Provisioner,ReclaimPolicy,VolumeBindingMode,AllowVolumeExpansion,Age"), _storage_class
)
PRIORITY_CLASS = Printer(columns("Name,Value:integer,Global-Default:boolean,Age,PreemptionPolicy"), _priority_class)
LEASE = Printer(columns("Name,Holder,Age"), _lease)
IMAGE = Printer(columns("Image,Command,Age", named=False), _image)
PLAIN = Printer(columns("Name,Age"), lambda obj, now: [name(obj), age_of(obj, now)])
