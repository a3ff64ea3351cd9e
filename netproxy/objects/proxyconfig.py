"""What kube-proxy refuses in a KubeProxyConfiguration, field by field.

Source: kubernetes pkg/proxy/apis/config/validation/validation.go, v1alpha1/defaults.go (what is empty gets a default).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netproxy.core.names import host_name
from netproxy.core.net import family_of, is_address, sloppy_address, sloppy_network, split_host_port
from netproxy.objects.choices import IPVS_SCHEDULERS, PROXY_MODES
from netproxy.objects.durations import duration_problems
from netproxy.objects.validation.words import Problems
from netproxy.objects.validation.words import invalid as _invalid
from netproxy.objects.validation.words import one_of as _one_of
from netproxy.objects.validation.words import required as _required

PRIMARY = "primary"
"""Instead of ranges in nodePortAddresses: the node's own addresses."""
_DETECTORS = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
_LINK = re.compile(r"[a-zA-Z0-9_.@-]+")
_LINKS = (("BridgeInterface", "bridgeInterface", 15), ("InterfaceNamePrefix", "interfaceNamePrefix", 14))
_LARGEST = 2**31 - 1


def configuration_problems(obj: Mapping[str, Any]) -> Problems:
    """Everything that is wrong with the values of one, whose types are right."""
    yield from _one_of("mode", obj.get("mode") or None, PROXY_MODES)
    yield from _addresses(obj)
    yield from _cluster_cidr(obj.get("clusterCIDR") or "")
    yield from _node_ports(obj.get("nodePortAddresses") or ())
    yield from _numbers(obj)
    ipvs = obj.get("ipvs") or {}
    yield from _one_of("ipvs.scheduler", ipvs.get("scheduler") or None, IPVS_SCHEDULERS)
    for index, cidr in enumerate(ipvs.get("excludeCIDRs") or ()):
        if not sloppy_network(cidr):
            yield _invalid(f"ipvs.excludeCIDRs[{index}]", cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24)")
    yield from duration_problems(obj)
    if (given := obj.get("hostnameOverride")) and not host_name(given):
        yield _invalid("hostnameOverride", given, "empty hostname is invalid; leave it out for the machine's own name")
    yield from _detection(obj)


def bind_address(text: str, port: int) -> tuple[str, int] | None:
    """Address and port of `0.0.0.0:10256`, `[::]:10256`, `10.0.0.1` (then PORT); None for empty text.

    >>> bind_address("127.0.0.1:80", 1), bind_address("[::1]:80", 1), bind_address("::", 7), bind_address("", 7)
    (('127.0.0.1', 80), ('::1', 80), ('::', 7), None)

    Raises ValueError.
    """
    if not text:
        return None
    if is_address(text):
        return text, port
    found = split_host_port(f"0.0.0.0{text}" if text.startswith(":") else text)
    if found is None:
        raise ValueError("must be an address with a port from 0 to 65535")
    return found


def _addresses(obj: Mapping[str, Any]) -> Problems:
    if (given := obj.get("bindAddress")) and not sloppy_address(given):
        yield _invalid("bindAddress", given, "not a valid textual representation of an IP address")
    for field in ("healthzBindAddress", "metricsBindAddress"):
        try:
            bind_address(obj.get(field) or "", 1)
        except ValueError as error:
            yield _invalid(field, obj[field], str(error))


def _cluster_cidr(given: str) -> Problems:
    cidrs = given.split(",") if given else []
    wrong = [(index, cidr) for index, cidr in enumerate(cidrs) if not sloppy_network(cidr)]
    for index, cidr in wrong:
        yield _invalid("clusterCIDR" + (f"[{index}]" if index else ""), cidr, "must be a valid CIDR value")
    if not wrong and len({family_of(cidr) for cidr in cidrs}) < len(cidrs):
        why = "there may be one for each IP family (e.g. 10.100.0.0/16,fde4:8dba:82e1::/48)"
        yield _invalid("clusterCIDR", given, why)


def _node_ports(given: list[str] | tuple[str, ...]) -> Problems:
    for index, cidr in enumerate(given):
        if cidr == PRIMARY:
            if len(given) > 1:
                yield _invalid(f"nodePortAddresses[{index}]", cidr, "can't use both 'primary' and CIDRs")
        elif not sloppy_network(cidr):
            yield _invalid(f"nodePortAddresses[{index}]", cidr, 'must be a valid CIDR value or "primary"')


def _numbers(obj: Mapping[str, Any]) -> Problems:
    for section in ("iptables", "nftables"):
        yield from _within(f"{section}.masqueradeBit", (obj.get(section) or {}).get("masqueradeBit"), 0, 31)
    yield from _within("oomScoreAdj", obj.get("oomScoreAdj"), -1000, 1000)
    for path in ("conntrack.maxPerCore", "conntrack.min", "clientConnection.burst"):
        section, _, field = path.partition(".")
        yield from _within(path, (obj.get(section) or {}).get(field), 0, _LARGEST)


def _within(path: str, given: int | None, least: int, most: int) -> Problems:
    if given is not None and not least <= given <= most:
        yield _invalid(path, given, f"must be within the range [{least}, {most}]")


def _detection(obj: Mapping[str, Any]) -> Problems:
    """How traffic of this node's own Pods is told."""
    mode = obj.get("detectLocalMode") or None
    yield from _one_of("detectLocalMode", mode, _DETECTORS)
    for of_mode, field, longest in _LINKS:
        given = (obj.get("detectLocal") or {}).get(field)
        if mode == of_mode and not given:
            yield _required(f"detectLocal.{field}", f"must be given with detectLocalMode {of_mode}")
        if given and not (len(given) <= longest and _LINK.fullmatch(given)):
            yield _invalid(f"detectLocal.{field}", given, f"must be at most {longest} characters of a link's name")
