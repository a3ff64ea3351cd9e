"""How a kind is checked: what is asked of a new object, of a new state of one, and of a new status.

Each kind's module has a `Rules`; `objects.validate` has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from netproxy.core.errors import Problem
from netproxy.objects.meta import Object
from netproxy.objects.validation.names import Rule, dns_subdomain
from netproxy.objects.validation.words import Problems

Found = Sequence[Problem]


@dataclass(frozen=True, slots=True)
class Meta:
    """What is wrong with an object's metadata: found once, told as often as the real server finds it."""

    whole: Found = ()
    """As of a new object."""
    change: Found = ()
    """As of a change of an object."""


def _no_create(obj: Object, meta: Found) -> Problems:
    yield from meta


def _no_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change


def _no_warnings(new: Object, old: Object | None) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is asked of one kind. All see objects that are complete: decoded, defaulted, with what is handed out."""

    create: Callable[[Object, Found], Problems] = _no_create
    update: Callable[[Object, Object, Meta], Problems] = _no_update
    status: Callable[[Object, Object, Meta], Problems] = _no_update
    name: Rule = dns_subdomain
    is_core: bool = True
    """Its finalizers are standard ones or have a domain."""
    warnings: Callable[[Object, Object | None], Iterable[str]] = _no_warnings
    status_warnings: Callable[[Object, Object | None], Iterable[str]] = _no_warnings
