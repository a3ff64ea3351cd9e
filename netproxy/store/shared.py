"""Equal parts of many objects, kept once: what is said of who manages their fields is longer than all else, and much alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

MOST = 4_096
"""Parts that are known; when there are more, they are learnt anew."""

Entries = list[dict[str, Any]]


class Shared:
    """Knows parts of objects. Nobody changes what is kept, so that one may be in many."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[bytes, Any] = {}

    def entries(self, entries: Entries) -> Entries:
        """`managedFields` with fields that others have, too.

        >>> shared = Shared()
        >>> one, two = (shared.entries([{"fieldsV1": {"f:spec": {"f:a": {}}}}]) for _ in range(2))
        >>> one[0]["fieldsV1"] is two[0]["fieldsV1"]
        True
        """
        return [
            {**entry, "fieldsV1": self._fields(entry["fieldsV1"])} if isinstance(entry.get("fieldsV1"), dict) else entry
            for entry in entries
        ]

    def _fields(self, fields: Mapping[str, Any]) -> Any:
        """All of it, or what of it is known: a field may have a key of its own below it, like an address."""
        text = orjson.dumps(fields)
        found = self._known.get(text)
        if found is not None:
            return found
        made = {name: self._parts(part) if isinstance(part, dict) else part for name, part in fields.items()}
        return self._learnt(text, made)

    def _parts(self, fields: Mapping[str, Any]) -> Any:
        made = {}
        for name, part in fields.items():
            text = orjson.dumps(part)
            found = self._known.get(text)
            made[name] = self._learnt(text, part) if found is None else found
        return made

    def _learnt(self, text: bytes, part: Any) -> Any:
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[text] = part
        return part
