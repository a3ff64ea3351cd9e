"""One version of a custom kind, as its CustomResourceDefinition defines it: a value that its Resource carries.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import orjson

from netproxy.objects.custom.structure import coerced, defaulted, metadata_read, pruned, without_nulls
from netproxy.objects.decoding import DecodingError, Reading
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, spec, status

Made = TypeVar("Made")

AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
"""The column of kinds that name none."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where an object says how many copies of it are wanted, and are there."""

    wanted: tuple[str, ...]
    there: tuple[str, ...]
    selector: tuple[str, ...] = ()


class Version:
    """One version of a custom kind. Nothing of it changes; what is worked out of it is kept."""

    def __init__(self, definition: Definition, said: Mapping[str, Any]) -> None:
        self.definition = definition
        self.name: str = said["name"]
        self.is_served = bool(said.get("served"))
        self.is_stored = bool(said.get("storage"))
        self.schema: Mapping[str, Any] = (said.get("schema") or {}).get("openAPIV3Schema") or {}
        self.columns: tuple[Mapping[str, Any], ...] = tuple(said.get("additionalPrinterColumns") or (AGE,))
        self.selectable = tuple(str(each["jsonPath"]) for each in said.get("selectableFields") or ())
        parts = said.get("subresources") or {}
        self.has_status = parts.get("status") is not None
        self.scale = _scale(parts["scale"]) if parts.get("scale") else None
        self.warning = _warning(definition, said) if said.get("deprecated") else ""
        self._made: dict[str, Any] = {}

    @cached_property
    def resource(self) -> Resource:
        """The resource that is served."""
        names, parts = self.definition.names, ("status",) * self.has_status + ("scale",) * (self.scale is not None)
        return Resource(
            self.definition.group, self.name, names["plural"], names["kind"], self.definition.is_namespaced,
            tuple(names.get("shortNames") or ()), parts, categories=tuple(names.get("categories") or ()), custom=self,
        )  # fmt: skip

    @property
    def api_version(self) -> str:
        """Group and version."""
        return f"{self.definition.group}/{self.name}"

    @property
    def kind(self) -> str:
        """The kind of its objects."""
        return str(self.definition.names["kind"])

    def made(self, what: str, make: Callable[[Version], Made]) -> Made:
        """Something that is worked out of this version, once."""
        if what not in self._made:
            self._made[what] = make(self)
        found: Made = self._made[what]
        return found

    # --- objects

    def read(self, obj: Object) -> Reading:
        """An object as somebody sent it, without what the schema does not know. Raises DecodingError."""
        told: list[str] = []
        meta = metadata_read(obj["metadata"], "metadata", told) if "metadata" in obj else None
        kept, unknown = pruned(obj, self.schema)
        within: list[str] = []
        kept = coerced(without_nulls(kept, self.schema), self._bare, "", within)
        made = {**kept, "metadata": meta} if meta is not None else kept
        paths = (*told, *unknown, *sorted(within))
        return Reading(made, tuple(f'unknown field "{path}"' for path in paths))

    @cached_property
    def _bare(self) -> Mapping[str, Any]:
        """The schema of what is in an object beside its own metadata."""
        properties = {k: v for k, v in (self.schema.get("properties") or {}).items() if k != "metadata"}
        return {**self.schema, "properties": properties, "x-kubernetes-embedded-resource": False}

    def defaulted(self, obj: Object) -> Object:
        """With what the schema fills in."""
        made: Object = defaulted(obj, self.schema)
        return made

    def seen(self, obj: Object) -> Object:
        """An object of any version of the kind as this version shows it: complete in the version in which it was kept."""
        before = self.definition.version(str(obj.get("apiVersion")).rpartition("/")[2])
        if before is not None:
            obj = before.defaulted(before._kept(obj))
        return obj if before is self else self._kept({**obj, "apiVersion": self.api_version})

    def _kept(self, obj: Object) -> Object:
        try:
            return {**self.read(obj).obj, "metadata": obj["metadata"]}
        except DecodingError:  # the schema was another one when it was written
            return obj


class Definition:
    """A custom kind, in all its versions."""

    def __init__(self, obj: Object) -> None:
        """OBJ is a CustomResourceDefinition whose names are accepted."""
        said, self.names = spec(obj), status(obj).get("acceptedNames") or {}
        self.obj = obj
        self.group = str(said["group"])
        self.is_namespaced = said.get("scope") == "Namespaced"
        self._said = tuple(said["versions"])
        self.list_kind = str(self.names.get("listKind") or "")
        self.singular = str(self.names.get("singular") or "")
        self._made: dict[str, Any] = {}

    @cached_property
    def versions(self) -> tuple[Version, ...]:
        """All versions, the preferred one first."""
        made = [Version(self, said) for said in self._said]
        return tuple(sorted(made, key=lambda version: precedence(version.name)))

    @cached_property
    def storage(self) -> Version:
        """The version in which objects are kept."""
        return next(version for version in self.versions if version.is_stored)

    def made(self, what: str, make: Callable[[Definition], Made]) -> Made:
        """Something that is worked out of this definition, once."""
        if what not in self._made:
            self._made[what] = make(self)
        found: Made = self._made[what]
        return found

    def version(self, name: str) -> Version | None:
        """The version of a name."""
        return next((version for version in self.versions if version.name == name), None)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Those that are served."""
        return tuple(version.resource for version in self.versions if version.is_served)

    @cached_property
    def digest(self) -> str:
        """A word that changes with what is defined."""
        text = orjson.dumps([self.obj["spec"], self.names], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha512(text).hexdigest().upper()


def group_kind(obj: Object) -> tuple[str, str]:
    """What all versions of a kind have in common."""
    return str(obj.get("apiVersion")).rpartition("/")[0], str(obj.get("kind"))


def places(definitions: Iterable[Object]) -> dict[tuple[str, str], str]:
    """Under which key the objects of each kind that is defined are kept."""
    found = {}
    for obj in definitions:
        names, group = status(obj).get("acceptedNames") or {}, spec(obj)["group"]
        found[group, names.get("kind") or ""] = f"{names.get('plural')}.{group}"
    return found


def is_accepted(obj: Object, condition: str = "NamesAccepted") -> bool:
    """Whether a condition of a definition is true."""
    return any(
        each.get("type") == condition and each.get("status") == "True" for each in status(obj).get("conditions") or ()
    )


def _scale(said: Mapping[str, Any]) -> Scale:
    paths = (said.get(path) or "" for path in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath"))
    wanted, there, selector = (tuple(path.removeprefix(".").split(".")) if path else () for path in paths)
    return Scale(wanted, there, selector)


def precedence(name: str) -> tuple[int, int, int, str]:
    """The place of a version among others: v2, v1, v1beta2, v1beta1, v1alpha1, then all else by name.

    >>> sorted(["v1", "foo1", "v1alpha1", "v2", "v1beta2", "v10"], key=precedence)
    ['v10', 'v2', 'v1', 'v1beta2', 'v1alpha1', 'foo1']

    Source: kubernetes apimachinery pkg/version/helpers.go, CompareKubeAwareVersionStrings.
    """
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", name)
    if not found:
        return 3, 0, 0, name
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return stage, -int(found[1]), -int(found[3] or 0), ""


def _warning(definition: Definition, said: Mapping[str, Any]) -> str:
    if said.get("deprecationWarning") is not None:
        return str(said["deprecationWarning"])
    kind = definition.names["kind"]
    text = f"{definition.group}/{said['name']} {kind} is deprecated"
    newer = [
        each["name"] for each in definition._said
        if each.get("served") and not each.get("deprecated") and precedence(each["name"]) < precedence(said["name"])
    ]  # fmt: skip
    if newer:
        text += f"; use {definition.group}/{min(newer, key=precedence)} {kind}"
    return text
