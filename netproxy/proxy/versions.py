"""Where one kube-proxy differs from another: the only place that knows.

A compiler asks the field that it means (`node.version.…`), never which version it is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KubeProxyVersion:
    """What depends on the version of kube-proxy that is copied; each field is one difference."""

    name: str
    """`major.minor`, as `--kube-proxy-version` takes it."""


V1_30 = KubeProxyVersion("1.30")
"""As 1.30.5 writes."""
V1_36 = KubeProxyVersion("1.36")
"""As 1.36.2 writes."""

VERSIONS = {version.name: version for version in (V1_36, V1_30)}
DEFAULT = V1_30
