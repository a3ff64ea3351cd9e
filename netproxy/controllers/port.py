"""What a controller is: whom a change concerns, and what is to be done about them. Values, so that anybody can run it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from netproxy.core.names import NamespacedName
from netproxy.objects.change import Change, Event, Identity, IndexedView
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import controller_of, key, namespace

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Outcome:
    """What a look at one key came to.

    CHANGES are made in their order; when one fails the rest is left, and the key is looked at again. ABSENT are objects
    that must not exist: what a view lacks may only not have been heard of yet, so the API is asked before anything is
    changed, and nothing is when one is there. AGAIN_AT, in seconds since the epoch, is when time alone makes a difference.
    """

    changes: tuple[Change, ...] = ()
    absent: tuple[Identity, ...] = ()
    again_at: float | None = None


NOTHING = Outcome()

Keys = Callable[[IndexedView, Event], Iterable[K]]


@dataclass(frozen=True)
class Controller(Generic[K]):
    """A name, which keys the events of a resource concern, and `reconcile(view, key, now)`.

    `reconcile` sees only what is, never what happened: the past does not matter, and a second look does nothing. NOW is in
    seconds since the epoch. Keys are of any kind that can be compared and printed, mostly an object's name.
    """

    name: str
    watches: Mapping[Resource, Keys[K]]
    reconcile: Callable[[IndexedView, K, float], Outcome]


def itself(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    """The object that changed; nobody when it is gone."""
    return () if event.type == "DELETED" else (key(event.obj),)


def controllers_of(event: Event, kind: str) -> list[NamespacedName]:
    """The owner of a kind that controls the object that changed, and the one that did before."""
    owners = [(namespace(obj), controller_of(obj)) for obj in event.states]
    return [NamespacedName(at, str(owner["name"])) for at, owner in owners if owner.get("kind") == kind]
