"""The resources that CustomResourceDefinitions make: one value a server, which follows every write of a definition.

Resources that are always there are asked for first: this costs them nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.custom.definition import Definition, is_accepted
from netproxy.objects.kinds import RESOURCES, Resource, by_path, resource_of
from netproxy.objects.meta import Object, name


class Customs:
    """An `Index` of the store's definitions: what they define, by kind and by path."""

    def __init__(self) -> None:
        self._definitions: dict[str, Definition] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._by_path: dict[tuple[str, str], Resource] = {}
        self.resources: tuple[Resource, ...] = RESOURCES
        """All that are served and told of: those that are always there, and then those that are established."""

    def changed(self, before: Object | None, after: Object | None) -> None:
        """A definition is now AFTER; it was BEFORE."""
        if before is not None:
            self._definitions.pop(name(before), None)
        if after is not None and (is_accepted(after) or is_accepted(after, "Established")):
            self._definitions[name(after)] = Definition(after)
        served = [
            resource for at in sorted(self._definitions) for resource in self._definitions[at].resources
        ]  # fmt: skip
        self._by_kind = {(resource.api_version, resource.kind): resource for resource in served}
        self._by_path = {(resource.api_version, resource.plural): resource for resource in served}
        told = [r for r in served if r.custom and is_accepted(r.custom.definition.obj, "Established")]
        self.resources = (*RESOURCES, *told) if told else RESOURCES

    def definition(self, named: str) -> Definition | None:
        """What a definition that is accepted defines."""
        return self._definitions.get(named)

    def by_path(self, api_version: str, plural: str) -> Resource | None:
        """The resource of a URL: its group and version, and its plural."""
        return by_path(api_version, plural) or self._by_path.get((api_version, plural))

    def has_group(self, path: str) -> bool:
        """Whether a URL's path is in a group that somebody defined.

        >>> Customs().has_group("/apis/example.com/v1/widgets")
        False
        """
        group = path.removeprefix("/apis/").partition("/")[0]
        return any(group == known.partition("/")[0] for known, _ in self._by_path)

    def of(self, obj: Mapping[str, Any]) -> Resource | None:
        """The resource of an object, by its apiVersion and kind; None for a kind that is not served."""
        return resource_of(obj) or self._by_kind.get((str(obj.get("apiVersion")), str(obj.get("kind"))))

    def served(self, obj: Mapping[str, Any]) -> Resource:
        """The resource of an object. Raises ManifestError for a kind that is not served."""
        found = self.of(obj)
        if found is None:
            raise ManifestError([Problem("kind", f"Unsupported value: {obj.get('apiVersion')}, {obj.get('kind')}")])
        return found
