"""Which mode a node is in, and whose rules it has: what was chosen for it, what the configuration says, and whether it exists at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.objects.meta import Object, annotations_of
from netproxy.objects.proxyconfig import PROXY_MODES
from netproxy.objects.validate import (
    KUBE_PROXY_VERSIONS,
    LAYOUT_ANNOTATION,
    MODE_ANNOTATION,
    NFTABLES_LAYOUTS,
    VERSION_ANNOTATION,
)
from netproxy.proxy.versions import DEFAULT, VERSIONS, KubeProxyVersion


@dataclass(frozen=True, slots=True)
class Choice:
    """Which mode a node is in, the layout of nftables mode, and which kube-proxy writes such rules."""

    mode: str = "iptables"
    layout: str = NFTABLES_LAYOUTS[0]
    version: KubeProxyVersion = DEFAULT


def choice_of(node: Object, config: Mapping[str, Any]) -> Choice:
    """A node's choice: what was chosen for it, or what the configuration says for all. Raises ManifestError for unknown words.

    CONFIG is a KubeProxyConfiguration; `kubeProxyVersion` beside its fields is the cluster's.
    """
    notes = annotations_of(node)
    return checked_choice(
        notes.get(MODE_ANNOTATION) or config.get("mode") or "",
        notes.get(LAYOUT_ANNOTATION) or "",
        notes.get(VERSION_ANNOTATION) or config.get("kubeProxyVersion") or "",
        asked_by="the node",
    )


def checked_choice(mode: str, layout: str = "", version: str = "", *, asked_by: str = "") -> Choice:
    """The choice of these words; empty ones are the defaults. Raises ManifestError for unknown ones.

    >>> choice = checked_choice("nftables", "flat", "1.30")
    >>> choice.mode, choice.layout, choice.version.name, checked_choice("").mode
    ('nftables', 'flat', '1.30', 'iptables')
    """
    asked = (
        ("mode", mode, PROXY_MODES), ("layout", layout, NFTABLES_LAYOUTS), ("kubeProxyVersion", version, KUBE_PROXY_VERSIONS),
    )  # fmt: skip
    problems = [
        Problem(field, f'Unsupported value: "{word}": supported values: {", ".join(known)}', asked_by)
        for field, word, known in asked
        if word and word not in known
    ]
    if problems:
        raise ManifestError(problems)
    return Choice(mode or PROXY_MODES[0], layout or NFTABLES_LAYOUTS[0], VERSIONS[version] if version else DEFAULT)
