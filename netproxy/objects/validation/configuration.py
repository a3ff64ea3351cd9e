"""What is refused about a KubeProxyConfiguration.

Source: kubernetes pkg/proxy/apis/config/validation/validation.go (behaviour, not code).
"""

from __future__ import annotations

import re

from netproxy.core.names import host_name
from netproxy.core.net import is_cidr
from netproxy.objects.choices import IPVS_SCHEDULERS, PROXY_MODES
from netproxy.objects.durations import duration_problems
from netproxy.objects.meta import Object
from netproxy.objects.validation.words import Problems, invalid, one_of


def configuration_problems(obj: Object) -> Problems:
    yield from one_of("mode", obj.get("mode") or None, PROXY_MODES)
    yield from one_of("detectLocalMode", obj.get("detectLocalMode") or None,
                       ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"))  # fmt: skip
    for index, cidr in enumerate(filter(None, str(obj.get("clusterCIDR") or "").split(","))):
        if not is_cidr(cidr.strip()):
            yield invalid("clusterCIDR" + (f"[{index}]" if index else ""), cidr, "must be a valid CIDR value")
    for index, cidr in enumerate(obj.get("nodePortAddresses") or ()):
        if cidr != "primary" and not is_cidr(cidr):
            yield invalid(f"nodePortAddresses[{index}]", cidr, 'must be a valid CIDR value or "primary"')
    for section in ("iptables", "nftables"):
        bit = (obj.get(section) or {}).get("masqueradeBit")
        if bit is not None and not 0 <= bit <= 31:
            yield invalid(f"{section}.masqueradeBit", bit, "must be within the range [0, 31]")
    scheduler = (obj.get("ipvs") or {}).get("scheduler")
    yield from one_of("ipvs.scheduler", scheduler or None, IPVS_SCHEDULERS)
    yield from duration_problems(obj)
    if (given := obj.get("hostnameOverride")) and not host_name(given):
        yield invalid("hostnameOverride", given, "empty hostname is invalid; leave it out for the machine's own name")
    detect = obj.get("detectLocal") or {}
    for field, longest in (("bridgeInterface", 15), ("interfaceNamePrefix", 14)):
        given = detect.get(field)
        if given and not (len(given) <= longest and _LINK.fullmatch(given)):
            yield invalid(f"detectLocal.{field}", given, f"must be at most {longest} characters of a link's name")


_LINK = re.compile(r"[a-zA-Z0-9_.@-]+")
