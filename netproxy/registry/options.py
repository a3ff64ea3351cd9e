"""What a writer wants beside the object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netproxy.core.user import ADMIN, User
from netproxy.objects.kinds import Resource

Warn = Callable[[str], None]
"""Takes what the writer should know, though the write is done."""


def _unheard(_: str) -> None:
    """Who does not listen is not warned."""


def _unguarded(_new: dict[str, Any], _old: dict[str, Any] | None) -> None:
    """Everything may be written."""


Guard = Callable[[dict[str, Any], dict[str, Any] | None], None]
"""Raises NetproxyError for an object (a new one, or a new state of an old one) that the writer may not write."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How an object is to be written."""

    manager: str = "unknown"
    """Who manages the fields that are written."""
    dry_run: bool = False
    """Say what would be, and store nothing."""
    force: bool = False
    """Server-side apply: take the fields of other managers, too."""
    field_validation: str = "Warn"
    """What becomes of a body with unknown or repeated fields: Ignore, Warn (and drop them) or Strict (refuse it)."""
    is_read: bool = False
    """The object has been read as one of its type: it has no unknown fields and no wrong types."""
    tolerant: bool = False
    """Take what servers before 1.36 took: a manifest may come from a cluster that has had it for years."""
    is_put: bool = False
    """The object may be made by putting it."""
    is_patch: bool = False
    """The object is what a patch made of it."""
    user: User = ADMIN
    warn: Warn = _unheard
    guard: Guard = _unguarded
    resource: Resource | None = None
    """In which group and version the writer sees the object; None: as it is stored."""

    def tell(self, told: Sequence[str], refusal: Callable[[], Exception]) -> None:
        """Warn of what a strict reader TOLD, be silent, or raise the REFUSAL, as the writer wants it."""
        if told and self.field_validation == "Strict":
            raise refusal()
        if self.field_validation == "Warn":
            for text in told:
                self.warn(text)

    def of(self, resource: Resource) -> WriteOptions:
        """The same for a writer who sees the object as RESOURCE."""
        return self if resource is self.resource else replace(self, resource=resource)


PLAIN = WriteOptions()
