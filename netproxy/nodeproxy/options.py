"""What `netproxy proxy` is told: kube-proxy's flags and its configuration file, with kube-proxy's defaults.

Source: kubernetes 1.36 cmd/kube-proxy/app/options.go, pkg/proxy/apis/config/v1alpha1/defaults.go.
"""

from __future__ import annotations

import copy
import logging
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netproxy.core.errors import ManifestError, Problem
from netproxy.core.names import host_name
from netproxy.linux.files import limited_bytes
from netproxy.nodeproxy.gates import unrecognized
from netproxy.objects.choices import KUBE_PROXY_VERSIONS, NFTABLES_LAYOUTS, PROXY_MODES
from netproxy.objects.kinds import KUBE_PROXY_CONFIGURATIONS, resource_of
from netproxy.objects.limits import MOST_BYTES
from netproxy.objects.manifest import load
from netproxy.objects.schema import field_problems
from netproxy.objects.validate import problems as problems_of
from netproxy.proxy.config import duration_s

log = logging.getLogger(__name__)

NEWEST = KUBE_PROXY_VERSIONS[0]
"""The version whose feature gates are known."""
HEALTHZ_PORT, METRICS_PORT = 10256, 10249
BACK_ENDS = ("auto", "nft", "legacy")

DEFAULTS: Mapping[str, Any] = {
    "apiVersion": KUBE_PROXY_CONFIGURATIONS.api_version, "kind": KUBE_PROXY_CONFIGURATIONS.kind,
    "bindAddress": "0.0.0.0", "bindAddressHardFail": False,
    "clientConnection": {"acceptContentTypes": "", "burst": 10, "contentType": "application/json", "kubeconfig": "", "qps": 5},
    "clusterCIDR": "", "configSyncPeriod": "15m0s",
    "conntrack": {"maxPerCore": 32768, "min": 131072, "tcpBeLiberal": False, "tcpCloseWaitTimeout": "1h0m0s",
                  "tcpEstablishedTimeout": "24h0m0s", "udpStreamTimeout": "0s", "udpTimeout": "0s"},
    "detectLocal": {"bridgeInterface": "", "interfaceNamePrefix": ""}, "detectLocalMode": "ClusterCIDR",
    "enableProfiling": False, "featureGates": {}, "healthzBindAddress": f"0.0.0.0:{HEALTHZ_PORT}", "hostnameOverride": "",
    "iptables": {"localhostNodePorts": True, "masqueradeAll": False, "masqueradeBit": 14, "minSyncPeriod": "1s",
                 "syncPeriod": "30s"},
    "ipvs": {"excludeCIDRs": None, "minSyncPeriod": "1s", "scheduler": "", "strictARP": False, "syncPeriod": "30s",
             "tcpFinTimeout": "0s", "tcpTimeout": "0s", "udpTimeout": "0s"},
    "metricsBindAddress": f"127.0.0.1:{METRICS_PORT}", "mode": "",
    "nftables": {"masqueradeAll": False, "masqueradeBit": 14, "minSyncPeriod": "1s", "syncPeriod": "30s"},
    "nodePortAddresses": None, "oomScoreAdj": -999, "portRange": "", "showHiddenMetricsForVersion": "",
}  # fmt: skip
"""A KubeProxyConfiguration in which nobody has said anything."""

Parse = Callable[[str], Any]


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise ValueError("must be true or false")
    return text.lower() in ("true", "1", "t")


def _duration(text: str) -> str:
    if text != "0" and not duration_s(text, 0) and not any(c.isdigit() for c in text):
        raise ValueError("must be a duration, such as 5s, 1m, 2h22m")
    return "0s" if text == "0" else text


def _gates(text: str) -> dict[str, bool]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return {name.strip(): _flag(value) for name, _, value in pairs}


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@dataclass(frozen=True, slots=True)
class Flag:
    """One of kube-proxy's flags: which fields it sets, and how its text is read."""

    fields: tuple[str, ...]
    parse: Parse
    help: str
    over_file: bool = False
    """Whether it holds beside a configuration file; most do not, as with kube-proxy."""


_SYNC = "How often the kernel is looked at."
_LEAST = "How long to wait at least from one change of rules to the next."
FLAGS: Mapping[str, Flag] = {
    "proxy-mode": Flag(("mode",), str, f"One of {', '.join(PROXY_MODES)}."),
    "cluster-cidr": Flag(("clusterCIDR",), str, "Where Pods' addresses come from (one range for each family)."),
    "detect-local-mode": Flag(("detectLocalMode",), str, "How traffic of Pods is told from other traffic."),
    "pod-bridge-interface": Flag(("detectLocal.bridgeInterface",), str, "For --detect-local-mode BridgeInterface."),
    "pod-interface-name-prefix": Flag(("detectLocal.interfaceNamePrefix",), str, "For --detect-local-mode InterfaceNamePrefix."),
    "hostname-override": Flag(("hostnameOverride",), str, "The same as --node-name.", over_file=True),
    "bind-address": Flag(("bindAddress",), str, "The node's primary address, when the Node does not say it right."),
    "bind-address-hard-fail": Flag(("bindAddressHardFail",), _flag, "End when a port is taken, instead of trying again."),
    "healthz-bind-address": Flag(("healthzBindAddress",), str, "Where /healthz and /livez are (empty: nowhere)."),
    "metrics-bind-address": Flag(("metricsBindAddress",), str, "Where /metrics, /proxyMode and /configz are (empty: nowhere)."),
    "nodeport-addresses": Flag(("nodePortAddresses",), _list, "Ranges of the addresses that take node ports, or `primary`."),
    "masquerade-all": Flag(("iptables.masqueradeAll", "nftables.masqueradeAll"), _flag, "Rewrite the source of all Service traffic."),
    "iptables-masquerade-bit": Flag(("iptables.masqueradeBit", "nftables.masqueradeBit"), int, "The bit of the mark."),
    "iptables-localhost-nodeports": Flag(("iptables.localhostNodePorts",), _flag, "Whether node ports answer on 127.0.0.1."),
    "iptables-sync-period": Flag(("iptables.syncPeriod", "nftables.syncPeriod"), _duration, _SYNC),
    "iptables-min-sync-period": Flag(("iptables.minSyncPeriod", "nftables.minSyncPeriod"), _duration, _LEAST),
    "ipvs-sync-period": Flag(("ipvs.syncPeriod",), _duration, _SYNC),
    "ipvs-min-sync-period": Flag(("ipvs.minSyncPeriod",), _duration, _LEAST),
    "ipvs-scheduler": Flag(("ipvs.scheduler",), str, "How IPVS spreads connections."),
    "ipvs-strict-arp": Flag(("ipvs.strictARP",), _flag, "Set arp_ignore to 1 and arp_announce to 2."),
    "conntrack-tcp-timeout-established": Flag(("conntrack.tcpEstablishedTimeout",), _duration, "0 leaves it as it is."),
    "conntrack-tcp-timeout-close-wait": Flag(("conntrack.tcpCloseWaitTimeout",), _duration, "0 leaves it as it is."),
    "conntrack-tcp-be-liberal": Flag(("conntrack.tcpBeLiberal",), _flag, "Take packets out of the window for valid."),
    "conntrack-udp-timeout": Flag(("conntrack.udpTimeout",), _duration, "0 leaves it as it is."),
    "conntrack-udp-timeout-stream": Flag(("conntrack.udpStreamTimeout",), _duration, "0 leaves it as it is."),
    "conntrack-max-per-core": Flag(("conntrack.maxPerCore",), int, "Taken, without effect: nf_conntrack_max stays."),
    "conntrack-min": Flag(("conntrack.min",), int, "Taken, without effect."),
    "ipvs-exclude-cidrs": Flag(("ipvs.excludeCIDRs",), _list, "Taken, without effect: all virtual servers are ours."),
    "ipvs-tcp-timeout": Flag(("ipvs.tcpTimeout",), _duration, "Taken, without effect."),
    "ipvs-tcpfin-timeout": Flag(("ipvs.tcpFinTimeout",), _duration, "Taken, without effect."),
    "ipvs-udp-timeout": Flag(("ipvs.udpTimeout",), _duration, "Taken, without effect."),
    "show-hidden-metrics-for-version": Flag(("showHiddenMetricsForVersion",), str, "Taken, without effect."),
    "feature-gates": Flag(("featureGates",), _gates, "NAME=true,OTHER=false; those that change rules are followed."),
    "kube-api-qps": Flag(("clientConnection.qps",), float, "Taken, without effect: list and watch ask seldom."),
    "kube-api-burst": Flag(("clientConnection.burst",), int, "Taken, without effect."),
    "kube-api-content-type": Flag(("clientConnection.contentType",), str, "Taken, without effect: JSON is asked for."),
    "config-sync-period": Flag(("configSyncPeriod",), _duration, "Taken, without effect: the watch tells everything."),
    "profiling": Flag(("enableProfiling",), _flag, "Taken, without effect."),
    "oom-score-adj": Flag(("oomScoreAdj",), int, "How readily the kernel ends this process for its memory."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `netproxy proxy` needs to know."""

    config: Mapping[str, Any]
    """A whole KubeProxyConfiguration."""
    node: str
    kubeconfig: Path | None
    """None: the environment's, or a Pod's own."""
    master: str = ""
    """Another address of the API server than the kubeconfig's."""
    layout: str = NFTABLES_LAYOUTS[0]
    back_end: str = "auto"
    version: str = ""
    """Whose rules; empty for the newest."""


def settings(
    flags: Mapping[str, str], *, config_file: Path | None = None, kubeconfig: Path | None = None, master: str = "",
    node: str = "", layout: str = "", back_end: str = "auto", version: str = "",
    hostname: Callable[[], str] = socket.gethostname,
) -> Settings:  # fmt: skip
    """What FLAGS (by name, as text) and the file say together. Raises ManifestError that lists all mistakes."""
    config = copy.deepcopy(dict(DEFAULTS))
    problems: list[Problem] = []
    said_by: dict[str, str] = {}
    if config_file:
        _merge(config, _read(config_file))
    for name, text in flags.items():
        flag = FLAGS[name]
        if config_file and not flag.over_file:
            continue
        try:
            value = flag.parse(text)
        except ValueError as error:
            problems.append(Problem(f"--{name}", f'Invalid value: "{text}": {error}'))
            continue
        for field in flag.fields:
            _put(config, field, value)
            said_by[field] = f"--{name}"
    found = problems_of(dict(config))
    if version in ("", NEWEST):
        found += unrecognized(config["featureGates"])
    problems += [Problem(_flag_of(p.path, said_by), p.message) for p in found]
    if problems:
        raise ManifestError(problems)
    given = Path(config["clientConnection"]["kubeconfig"]) if config["clientConnection"].get("kubeconfig") else None
    name = node or config["hostnameOverride"] or hostname()
    config["clientConnection"]["kubeconfig"] = str(kubeconfig or given or "")
    return Settings(
        config, host_name(name), kubeconfig or given, master, layout or NFTABLES_LAYOUTS[0], back_end, version
    )


def _flag_of(path: str, said_by: Mapping[str, str]) -> str:
    """Who said what is wrong: the flag that set the field, or a part of it; without one the field."""
    return next((flag for field, flag in said_by.items() if re.match(rf"{re.escape(field)}(?![\w-])", path)), path)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        text = limited_bytes(file, MOST_BYTES)
    except OSError as error:
        raise ManifestError([Problem("--config", f'Invalid value: "{file}": {error.strerror}')]) from error
    loaded = [item.obj for item in load([(str(file), text)], lambda _: [])]
    if len(loaded) != 1 or loaded[0].get("kind") != KUBE_PROXY_CONFIGURATIONS.kind:
        kinds = ", ".join(str(obj.get("kind")) for obj in loaded) or "nothing"
        raise ManifestError(
            [Problem("kind", f"there must be one {KUBE_PROXY_CONFIGURATIONS.kind}, not {kinds}", source=str(file))]
        )
    if resource_of(loaded[0]) is not KUBE_PROXY_CONFIGURATIONS:
        why = f'Unsupported value: "{loaded[0]["apiVersion"]}": supported values: "{KUBE_PROXY_CONFIGURATIONS.api_version}"'
        raise ManifestError([Problem("apiVersion", why, source=str(file))])
    wrong, unknown = field_problems(loaded[0])
    for problem in unknown:
        log.warning("%s: %s", file, problem)
    if found := wrong or list(problems_of(loaded[0])):
        raise ManifestError(Problem(p.path, p.message, source=str(file)) for p in found)
    return loaded[0]


def _merge(config: dict[str, Any], given: Mapping[str, Any]) -> None:
    """What is given wins; an empty value of a field that has a default is none, as with kube-proxy."""
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        elif value is not None and (value != "" or key in ("metricsBindAddress", "healthzBindAddress")):
            config[key] = value


def _put(config: dict[str, Any], field: str, value: Any) -> None:
    *path, last = field.split(".")
    for part in path:
        config = config[part]
    config[last] = value
