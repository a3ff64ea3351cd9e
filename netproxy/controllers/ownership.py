"""Owner references: who made what, who takes over what, and names of what is made.

Source: kubernetes pkg/controller/controller_ref_manager.go (adopt, release); apimachinery pkg/util/rand (alphabet of names).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from netproxy.controllers.port import Keys
from netproxy.controllers.selection import selected, terms_of
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Change, Event, IndexedView, Update
from netproxy.objects.kinds import NAMESPACES, Resource
from netproxy.objects.meta import Object, controller_of, is_deleting, key, labels, metadata, name, namespace, uid
from netproxy.objects.selector import matches

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def short_name(seed: str, length: int) -> str:
    """LENGTH characters of Kubernetes' alphabet for generated names (no vowels), the same for the same seed.

    >>> short_name("web", 5)
    'ntbvs'
    """
    number = int.from_bytes(sha256(seed.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, at = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[at])
    return "".join(letters)


def owner_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes OWNER the controller of what it made."""
    return {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def owner_references(obj: Object) -> list[dict[str, Any]]:
    """`metadata.ownerReferences`, or an empty list."""
    return list(metadata(obj).get("ownerReferences") or ())


def with_owners(obj: Object, references: Iterable[dict[str, Any]]) -> Object:
    """The object with these owner references and no others."""
    meta = {k: v for k, v in metadata(obj).items() if k != "ownerReferences"}
    kept = list(references)
    return {**obj, "metadata": {**meta, "ownerReferences": kept} if kept else meta}


def is_leaving(view: IndexedView, owner: Object) -> bool:
    """Whether OWNER, or the Namespace that it is in, is on its way out: then it makes nothing new.

    Who asks this watches Namespaces, too: see `in_namespace_of`.
    """
    space = view.find(NAMESPACES, NamespacedName("", namespace(owner)))
    return is_deleting(owner) or (space is not None and is_deleting(space))


def in_namespace_of(resource: Resource) -> Keys[NamespacedName]:
    """Watch Namespaces: when one comes or goes, whoever makes things in it looks again at whether it may."""

    def keys(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
        if event.type == "MODIFIED" and event.old is not None and is_deleting(event.old) == is_deleting(event.obj):
            return ()
        return sorted(key(obj) for obj in view.by_namespace(resource, name(event.obj)))

    return keys


def controls(owner: Object, obj: Object) -> bool:
    """Whether OWNER is the controller of OBJ."""
    return controller_of(obj).get("uid") == uid(owner) and namespace(obj) == namespace(owner)


def adopts(owner: Object, obj: Object) -> bool:
    """Whether OWNER's selector picks OBJ and nobody controls it; nobody is adopted on the way out."""
    is_free = not (controller_of(obj) or is_deleting(obj))
    return is_free and namespace(obj) == namespace(owner) and matches(terms_of(owner), labels(obj))


@dataclass(frozen=True, slots=True)
class Claim:
    """What a controller's object has, sorted by name, and the changes that make it so."""

    mine: tuple[Object, ...]
    changes: tuple[Change, ...]


def claim(view: IndexedView, owner: Object, resource: Resource, counts: Callable[[Object], bool]) -> Claim:
    """What OWNER controls of those that count: matching orphans are adopted, those that no longer match released."""
    terms = terms_of(owner)
    owned = [obj for obj in view.by_owner(uid(owner), resource) if controls(owner, obj) and counts(obj)]
    released = [obj for obj in owned if not matches(terms, labels(obj))]
    orphans = [obj for obj in selected(view, resource, namespace(owner), terms) if counts(obj) and adopts(owner, obj)]
    adopted = [with_owners(obj, [*owner_references(obj), owner_reference(owner)]) for obj in orphans]
    freed = [
        with_owners(obj, (ref for ref in owner_references(obj) if ref.get("uid") != uid(owner)))
        for obj in sorted(released, key=key)
    ]
    mine = [*(obj for obj in owned if matches(terms, labels(obj))), *adopted]
    return Claim(tuple(sorted(mine, key=key)), tuple(Update(obj) for obj in (*freed, *adopted)))
