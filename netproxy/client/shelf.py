"""The objects of one resource as a client knows them: what is new in what it hears, and indexes. Values only, no I/O.

Versions of one API are numbers that grow with every change, so they can be compared.
Source: kubernetes KEP-5504, Comparable Resource Version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netproxy.client.port import Selector
from netproxy.core.errors import NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Event, Values
from netproxy.objects.kinds import Resource
from netproxy.objects.labelquery import parse_selector
from netproxy.objects.meta import SERVICE_NAME, Object, labels, metadata, namespace, spec, uid
from netproxy.objects.selector import field_filter, matches


def owners_of(obj: Object) -> Iterable[str]:
    """The uids of all owners."""
    return [str(owner.get("uid")) for owner in metadata(obj).get("ownerReferences") or ()]


def node_of(obj: Object) -> Iterable[str]:
    """The node of a Pod; nothing while it has none."""
    node = spec(obj).get("nodeName")
    return (str(node),) if node else ()


def namespace_of(obj: Object) -> Iterable[str]:
    """The namespace."""
    return (namespace(obj),)


def service_of(obj: Object) -> Iterable[str]:
    """`namespace/name` of the Service of an EndpointSlice."""
    service = labels(obj).get(SERVICE_NAME)
    return (f"{namespace(obj)}/{service}",) if service else ()


class Shelf:
    """What is known of one resource, under one selector.

    `told` is the version up to which the API has told everything; `latest` the highest one that it showed in any way, the
    answers to own writes counted.
    """

    def __init__(self, resource: Resource, selector: Selector) -> None:
        self.resource = resource
        self.told = ""
        self.latest = ""
        self.objects: dict[NamespacedName, Object] = {}
        self._picks = picks(selector)
        self._sorted: list[NamespacedName] | None = None
        self._indexes: dict[Values, dict[str, dict[NamespacedName, Object]]] = {}

    # --- reading

    def get(self, name: NamespacedName) -> Object:
        """One object. Raises NotFoundError, in the API server's words."""
        try:
            return self.objects[name]
        except KeyError:
            raise NotFoundError(f'{self.resource.group_resource} "{name.name}" not found') from None

    def in_order(self, in_namespace: str = "") -> Iterator[Object]:
        """All objects sorted by namespace and name; of one namespace when it is given."""
        if in_namespace:
            found = self._index(namespace_of).get(in_namespace) or {}
            return iter([found[name] for name in sorted(found)])
        if self._sorted is None:
            self._sorted = sorted(self.objects)
        return iter([self.objects[name] for name in self._sorted])

    def having(self, values: Values, value: str) -> tuple[Object, ...]:
        """The objects that VALUES puts under VALUE, in no order; the index is made at the first question and kept."""
        return tuple((self._index(values).get(value) or {}).values())

    # --- changing

    def replaced(self, items: Iterable[Object], version: str, *, asked_at: str) -> list[Event]:
        """Everything there is at VERSION; what differs from what was known.

        ASKED_AT is what `latest` was when the question was asked. An answer that is older comes from an API that lost its
        past (a restored backup): then it alone is true. Else what was learnt from later than VERSION stays: the watch from
        VERSION will tell the rest.
        """
        lost = is_older(version, asked_at)
        if lost:
            self.latest = ""
        fresh = {_name(obj): obj for obj in items}
        known = list(self.objects.items())
        gone = [name for name, obj in known if name not in fresh and (lost or not is_older(version, _version(obj)))]
        events = [event for name in gone for event in self._taken(name, None)]
        for name, obj in fresh.items():
            events += self._put(name, obj, newer_only=not lost)
        self.told = version
        self._shown(version)
        return events

    def changed(self, what: str, obj: Object) -> list[Event]:
        """The API told a change (ADDED, MODIFIED, DELETED); what of it is news."""
        name, version = _name(obj), _version(obj)
        self.bookmarked(version)
        if what != "DELETED":
            return self._put(name, obj)
        known = self.objects.get(name)
        if known is None or is_older(version, _version(known)):
            return []
        return self._taken(name, obj)

    def bookmarked(self, version: str) -> None:
        """The API has told everything up to VERSION."""
        if not is_older(version, self.told):
            self.told = version
        self._shown(version)

    def learnt(self, obj: Object) -> list[Event]:
        """An own write was answered with OBJ; what of it is news.

        Not an object that the API has already told about or taken away since, nor one that the selector does not pick.
        """
        if (self.told and not is_older(self.told, _version(obj))) or not self._picks(obj):
            return []
        self._shown(_version(obj))
        return self._put(_name(obj), obj)

    def _shown(self, version: str) -> None:
        if not self.latest or is_older(self.latest, version):
            self.latest = version

    def _put(self, name: NamespacedName, obj: Object, *, newer_only: bool = True) -> list[Event]:
        known = self.objects.get(name)
        if known is None:
            self._sorted = None
            self.objects[name] = obj
            self._indexed(name, None, obj)
            return [Event("ADDED", obj, None, self.resource)]
        same = _version(obj) == _version(known) if newer_only else obj == known
        if known is obj or same or (newer_only and is_older(_version(obj), _version(known))):
            return []
        if uid(known) != uid(obj):
            return [*self._taken(name, None), *self._put(name, obj)]
        self.objects[name] = obj
        self._indexed(name, known, obj)
        return [Event("MODIFIED", obj, known, self.resource)]

    def _taken(self, name: NamespacedName, last: Object | None) -> list[Event]:
        known = self.objects.pop(name)
        self._sorted = None
        self._indexed(name, known, None)
        shown = last if last is not None and uid(last) == uid(known) else known
        return [Event("DELETED", shown, known, self.resource)]

    # --- indexes

    def _index(self, values: Values) -> dict[str, dict[NamespacedName, Object]]:
        index = self._indexes.get(values)
        if index is None:
            index = self._indexes[values] = {}
            for name, obj in self.objects.items():
                for value in values(obj):
                    index.setdefault(value, {})[name] = obj
        return index

    def _indexed(self, name: NamespacedName, old: Object | None, new: Object | None) -> None:
        for values, index in self._indexes.items():
            if old is not None:
                for value in set(values(old)):
                    del index[value][name]
                    if not index[value]:
                        del index[value]
            if new is not None:
                for value in values(new):
                    index.setdefault(value, {})[name] = new


def picks(selector: Selector) -> Callable[[Object], bool]:
    """Whether a list or a watch with this selector has an object. Raises ManifestError when it is none."""
    terms, by_field = parse_selector(selector.labels), field_filter(selector.fields)
    at = selector.namespace
    return lambda obj: (not at or namespace(obj) == at) and matches(terms, labels(obj)) and by_field(obj)


def is_older(version: str, than: str) -> bool:
    """Whether VERSION is an earlier one; never of versions that are no numbers.

    >>> is_older("9", "10"), is_older("9", "9"), is_older("", "1"), is_older("a", "b")
    (True, False, False, False)
    """
    return version.isdigit() and than.isdigit() and int(version) < int(than)


def _name(obj: Object) -> NamespacedName:
    meta = obj["metadata"]
    return NamespacedName(meta.get("namespace") or "", meta["name"])


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion") or "")
