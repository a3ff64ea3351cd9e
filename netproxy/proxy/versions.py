"""Where one kube-proxy differs from another: the only place that knows.

A compiler asks the field that it means (`node.version.…`), never which version it is. docs/versions.md shows each field.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KubeProxyVersion:
    """What depends on the version of kube-proxy that is copied; each field is one difference."""

    name: str
    """`major.minor`, as `--kube-proxy-version` takes it."""

    hint_gates: bool
    """Feature gates say whether hints need the annotation, and whether hints for nodes count; else hints always hold."""
    running_duplicate_wins: bool
    """Of two endpoints with one address the last that does not terminate serves; else the first, or one of this node."""
    endpoints_by_addresses: bool
    """A slice's endpoints are looked at in the order of their joined addresses; else as they are listed."""
    endpoints_as_written: bool
    """Chain hashes and comments have an endpoint's address as its slice spells it; else as the kernel prints it."""
    labels_on_both: bool
    """Both labels keep Services and slices away; else service-proxy-name only Services, headless only slices."""
    zero_range_is_none: bool
    """A load balancer source range of length 0 lets everybody in, as if there were no ranges at all."""
    counts_packets: bool
    """Where the kernel can, nfacct objects count INVALID drops and node ports of loopback."""
    ipvs_is_deprecated: bool
    """IPVS mode is said to be deprecated, in the log and by an Event on the Node."""
    node_ports_need_primary: bool
    """nftables: without ranges of a family its primary address takes node ports, loopback or (there is none) nobody's; else
    only `primary`, or no range at all, stands for it, and where it is not known or loopback every local address does."""
    nft_endpoint_chains: bool
    """nftables: every endpoint has a chain; otherwise only those of a Service with session affinity have."""
    nft_marks_inline: bool
    """nftables: each rule sets the mark itself, and one rule asks for it; otherwise they jump to `mark-for-masquerade`."""
    nft_guards_together: bool
    """nftables: one rule in `services` rewrites the source on the way to any ClusterIP; otherwise one for each Service."""
    nft_hairpin_set: bool
    """nftables: endpoints that call themselves are in a set, those of this node only; otherwise (and in layout flat) all."""
    nft_names_firewalls: bool
    """nftables: elements of `firewall-ips` say whose they are."""


V1_30 = KubeProxyVersion(
    "1.30",
    hint_gates=True,
    running_duplicate_wins=False,
    endpoints_by_addresses=True,
    endpoints_as_written=True,
    labels_on_both=True,
    zero_range_is_none=False,
    counts_packets=False,
    ipvs_is_deprecated=False,
    node_ports_need_primary=True,
    nft_endpoint_chains=True,
    nft_marks_inline=False,
    nft_guards_together=False,
    nft_hairpin_set=False,
    nft_names_firewalls=True,
)
"""As 1.30.5 writes."""
V1_36 = KubeProxyVersion(
    "1.36",
    hint_gates=False,
    running_duplicate_wins=True,
    endpoints_by_addresses=False,
    endpoints_as_written=False,
    labels_on_both=False,
    zero_range_is_none=True,
    counts_packets=True,
    ipvs_is_deprecated=True,
    node_ports_need_primary=False,
    nft_endpoint_chains=False,
    nft_marks_inline=True,
    nft_guards_together=True,
    nft_hairpin_set=True,
    nft_names_firewalls=False,
)
"""As 1.36.2 writes."""

VERSIONS = {version.name: version for version in (V1_36, V1_30)}
DEFAULT = V1_36
"""The newest: what is copied where nobody says which."""
