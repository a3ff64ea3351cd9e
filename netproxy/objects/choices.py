"""What there is to choose from: modes, layouts, versions, and the annotations of a Node that choose."""

from __future__ import annotations

MODE_ANNOTATION = "netproxy.dev/proxy-mode"
"""On a Node: its own proxy mode, which comes before the cluster's."""

LAYOUT_ANNOTATION = "netproxy.dev/nftables-layout"
"""On a Node: how its nftables rules are laid out."""

VERSION_ANNOTATION = "netproxy.dev/kube-proxy-version"
"""On a Node: the kube-proxy whose rules it has, before the cluster's."""

PROXY_MODES = ("iptables", "ipvs", "nftables", "userspace")
KUBE_PROXY_VERSIONS = ("1.36", "1.30")
NFTABLES_LAYOUTS = ("kube-proxy", "flat")
IPVS_SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sh", "dh", "sed", "nq", "mh")

FILLED_VOLUMES = ("secret", "configMap", "downwardAPI", "projected")
"""The kinds of volumes that hold files of the cluster's; the first three may be in a projected one."""

SCOPES = ("cluster", "control-plane", "api")
"""How much of a cluster there is: all of it, the API with its controllers, the API alone."""
