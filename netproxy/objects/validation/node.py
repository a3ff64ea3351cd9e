"""What is refused about a Node."""

from __future__ import annotations

from netproxy.objects.choices import (
    KUBE_PROXY_VERSIONS,
    LAYOUT_ANNOTATION,
    MODE_ANNOTATION,
    NFTABLES_LAYOUTS,
    PROXY_MODES,
    VERSION_ANNOTATION,
)
from netproxy.objects.meta import Object, metadata
from netproxy.objects.ranges import node_range_problems
from netproxy.objects.validation.words import Problems, one_of


def node_problems(obj: Object) -> Problems:
    annotations = metadata(obj).get("annotations") or {}
    for key, choices in (
        (MODE_ANNOTATION, PROXY_MODES), (LAYOUT_ANNOTATION, NFTABLES_LAYOUTS), (VERSION_ANNOTATION, KUBE_PROXY_VERSIONS),
    ):  # fmt: skip
        yield from one_of(f"metadata.annotations[{key}]", annotations.get(key) or None, choices)
    yield from node_range_problems(obj.get("spec") or {})
