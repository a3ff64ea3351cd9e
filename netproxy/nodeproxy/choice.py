"""Which mode a node is in: what was chosen for it, what the configuration says, and whether it exists at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.meta import Object, annotations_of
from netproxy.objects.validate import LAYOUT_ANNOTATION, MODE_ANNOTATION, NFTABLES_LAYOUTS, PROXY_MODES


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mode a node is in, and the layout of nftables mode."""

    mode: str = "iptables"
    layout: str = NFTABLES_LAYOUTS[0]


def choice_of(node: Object, config: Mapping[str, Any]) -> Choice:
    """A node's mode: what was chosen for it, or what the configuration says for all. Raises ManifestError for unknown ones."""
    notes = annotations_of(node)
    return checked_choice(
        notes.get(MODE_ANNOTATION) or config.get("mode") or "", notes.get(LAYOUT_ANNOTATION) or "", asked_by="the node"
    )


def checked_choice(mode: str, layout: str = "", *, asked_by: str = "") -> Choice:
    """The choice of these words; empty ones are the defaults. Raises ManifestError for unknown ones.

    >>> checked_choice("nftables", "flat"), checked_choice("")
    (Choice(mode='nftables', layout='flat'), Choice(mode='iptables', layout='kube-proxy'))
    """
    problems = [
        Problem(field, f'Unsupported value: "{word}": supported values: {", ".join(known)}', asked_by)
        for field, word, known in (("mode", mode, PROXY_MODES), ("layout", layout, NFTABLES_LAYOUTS))
        if word and word not in known
    ]
    if problems:
        raise ManifestError(problems)
    return Choice(mode or PROXY_MODES[0], layout or NFTABLES_LAYOUTS[0])
