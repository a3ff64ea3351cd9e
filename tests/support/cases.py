"""The recorded cases: specs, and what real kube-proxies 1.30.5 and 1.36.2 had programmed for them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from netproxy.core.net import Family
from netproxy.objects.document import document
from netproxy.objects.manifest import parse_manifests
from netproxy.proxy.build import build
from netproxy.proxy.config import node_view
from netproxy.proxy.model import NodeView, Snapshot
from netproxy.proxy.tracker import Tracker
from netproxy.proxy.versions import V1_30, V1_36, KubeProxyVersion
from netproxy.ruleset import nftables
from netproxy.ruleset.nft import Table

ROOT = Path(__file__).parents[1] / "cases"
UNORDERED = {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"}
LAST = "this must be the last rule"


RECORDINGS = {V1_30: "kube-proxy-1.30.5", V1_36: "kube-proxy-1.36.2"}
"""Where in a case's folder the states of a version are."""
FILES = {Family.IPV4: "iptables.txt", Family.IPV6: "ip6tables.txt"}
DIGESTS = {Family.IPV4: "nft4.txt", Family.IPV6: "nft6.txt"}
"""Tables of nftables of which only a digest was kept: support/digests.py."""
DEFECTS_OF_KUBE_PROXY = {"slice-moves"}
"""Recorded, and not copied: docs/versions.md says why."""


@dataclass(frozen=True)
class Case:
    """A spec, and what one version of kube-proxy made of it."""

    folder: Path
    version: KubeProxyVersion = V1_30

    @property
    def id(self) -> str:
        place = f"{self.folder.parent.name}/{self.folder.name}"
        return place if self.version is V1_30 else f"{place}@{self.version.name}"

    def objects(self) -> list[dict[str, Any]]:
        found = _objects(self.folder / "spec.yaml")
        return [*found, *_objects(ROOT / "sentinel.yaml")] if self.folder.parent.name == "differences" else found

    def view(
        self, family: Family, mode: str = "iptables", *, node: dict[str, Any] | None = None, **more: Any
    ) -> NodeView:
        """The case's node (or NODE, which it has become) as the proxy of its version sees it."""
        node = node or next(o for o in self.objects() if o["kind"] == "Node")
        return node_view(
            node, self.config(), family, addresses=self.addresses(), mode=mode, version=self.version, **more
        )

    def snapshot(self, view: NodeView) -> Snapshot:
        """The case's objects as they are before any step, joined at once."""
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for obj in self.objects():
            by_kind.setdefault(obj["kind"], []).append(obj)
        return build(
            by_kind.get("Service", ()), by_kind.get("EndpointSlice", ()), view, cidrs=by_kind.get("ServiceCIDR", ())
        )

    def config(self) -> dict[str, Any]:
        return _objects(self.folder / "config.yaml")[0]

    def addresses(self) -> list[str]:
        return _read(self.folder / "host.yaml")["interfaceAddresses"]

    def steps(self) -> list[dict[str, Any]]:
        return _read(self.folder / "change.yaml") if self.has_steps else []

    @property
    def has_steps(self) -> bool:
        return (self.folder / "change.yaml").exists()

    def flows(self) -> dict[str, Any]:
        return _read(self.folder / "flows.yaml")

    @property
    def counts(self) -> bool:
        """Whether the recorded kernel had nfacct, as far as its rules show."""
        return "nfacct" in (self.recorded("iptables.txt") or "") + (self.recorded("ip6tables.txt") or "")

    def is_local(self, flow: dict[str, Any]) -> bool:
        """Whether the flow is for an external address of a Service with externalTrafficPolicy Local."""
        for obj in self.objects():
            spec = obj.get("spec") or {}
            if obj["kind"] == "Service" and spec.get("externalTrafficPolicy") == "Local":
                ips = [i.get("ip") for i in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()]
                node_ports = [port.get("nodePort") for port in spec.get("ports") or ()]
                if flow["to"] in (*ips, *(spec.get("externalIPs") or ())) or flow["port"] in node_ports:
                    return True
        return False

    def is_here(self, address: str) -> bool:
        """Whether an endpoint of this address is on the node."""
        node = next(o["metadata"]["name"] for o in self.objects() if o["kind"] == "Node")
        slices = [o for o in self.objects() if o["kind"] == "EndpointSlice"]
        found = [e for s in slices for e in s.get("endpoints") or () if address in e["addresses"]]
        return any(e.get("nodeName") == node for e in found)

    def moments(self, mode: str = "iptables", **more: Any) -> Iterator[tuple[Family, int, NodeView, Snapshot]]:
        """What a node's trackers make of the objects, before (0) and behind each step of change.yaml."""
        for family in Family:
            tracker = Tracker(self.view(family, mode, **more))
            known: dict[tuple[str, str, str], dict[str, Any]] = {}
            for number, step in enumerate(({"apply": self.objects()}, *self.steps())):
                for obj in step.get("apply") or ():
                    if obj["kind"] == "Node":
                        tracker = tracker.again_for(self.view(family, mode, node=obj, **more))
                    at = (obj["kind"].lower() + "s", obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                    _tell(tracker, obj, known.get(at), deleted=False)
                    known[at] = obj
                for path in step.get("delete") or ():
                    plural, namespace, name = path.split("/")
                    _tell(tracker, known.pop((plural, namespace, name)), None, deleted=True)
                yield family, number, tracker.node, tracker.snapshot()

    def recorded(self, name: str, step: int = 0) -> str | None:
        """A file of the recording, behind a STEP of change.yaml; None where nothing is recorded."""
        prefix = "" if step == 0 else "after." if step == 1 else f"after{step}."
        file = self._file(f"{prefix}{name}")
        return file.read_text() if file.exists() else None

    def tables(self, step: int = 0) -> tuple[Table, ...]:
        """The recorded nftables tables, one for each family."""
        return _tables(self.recorded("nft.ruleset", step) or "")

    def _file(self, name: str) -> Path:
        return self.folder / RECORDINGS[self.version] / name


def _tell(tracker: Tracker, obj: dict[str, Any], old: dict[str, Any] | None, *, deleted: bool) -> None:
    match obj["kind"]:
        case "Service":
            tracker.set_service(obj, deleted=deleted)
        case "EndpointSlice":
            tracker.set_slice(obj, old=old, deleted=deleted)
        case "ServiceCIDR":
            tracker.set_service_cidr(obj, deleted=deleted)


@lru_cache(64)  # a test asks for its case's many times, and the next test is often of the same case
def _objects(file: Path) -> list[dict[str, Any]]:
    return [item.obj for item in parse_manifests(file.read_bytes(), file.name)]


@lru_cache(16)  # the steps of a case are gone through once for each family
def _tables(text: str) -> tuple[Table, ...]:
    return tuple(nftables.parse(text))


@cache
def _read(file: Path) -> Any:
    return document(file.read_bytes(), file.name)


AGAINST_THE_RECORDING = {"headless-and-externalname-ignored/externalname-ip"}
"""In IPVS mode the table has this one refused; kube-proxy 1.30.5 puts no address on kube-ipvs0 for it (recorded/externalname)."""


def expected(case: Case, flow: dict[str, Any], mode: str, layout: str = "kube-proxy") -> dict[str, Any]:
    """How a flow ends in a mode.

    A mode of its own line says all; what it leaves out (masquerading) is not known for it. IPVS does not rewrite the source
    when the node itself calls an address with policy Local: recorded rules return before they mark (KUBE-NODE-PORT,
    KUBE-LOAD-BALANCER), whatever the table says; and it knows only endpoints of this node that call themselves
    (KUBE-LOOP-BACK), as does nftables mode of 1.36 (hairpin-connections).
    """
    usual = flow["expect"]
    own = (flow.get("by_mode") or {}).get(mode)
    if mode == "ipvs" and f"{case.folder.name}/{flow['id']}" in AGAINST_THE_RECORDING:
        return usual
    if own is not None:
        return own
    if mode == "ipvs" and flow["from_kind"] == "node" and case.is_local(flow):
        return {key: value for key, value in usual.items() if key != "masq"}
    knows_all = layout == "flat" or not case.version.nft_hairpin_set
    if (mode == "ipvs" or (mode == "nftables" and not knows_all)) and not case.is_here(flow["from"]):
        return {key: value for key, value in usual.items() if key != "masq_when_endpoint"}
    return usual


def all_cases(version: KubeProxyVersion = V1_30) -> list[Case]:
    """Every spec, whether this version of kube-proxy was recorded for it or not."""
    kinds = (folder for folder in sorted(ROOT.iterdir()) if folder.is_dir())
    return [Case(spec.parent, version) for kind in kinds for spec in sorted(kind.glob("*/spec.yaml"))]


def recorded_cases(*versions: KubeProxyVersion, file: str = "iptables.txt", kinds: str = "") -> list[Case]:
    """The cases of VERSIONS (default: each) with this FILE; KINDS leaves those of other folders out."""
    found = [case for version in versions or RECORDINGS for case in all_cases(version)]
    return [c for c in found if c.recorded(file) and (not kinds or c.folder.parent.name in kinds.split())]


def flow_cases(mode: str, version: KubeProxyVersion = V1_30) -> list[Case]:
    cases = [Case(folder, version) for folder in sorted((ROOT / "flows").iterdir())]
    return [case for case in cases if mode in case.flows()["modes"] and case.flows()["flows"]]


def without_counters(save: str) -> str:
    """The same rules where the kernel has no nfacct."""
    lines = [line for line in save.splitlines(keepends=True) if "localhost_nps_accepted_pkts" not in line]
    return "".join(lines).replace(" -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts", "")


def service_addresses(shown: str) -> set[str]:
    """The addresses of kube-ipvs0 in what `ip -o address` printed."""
    return {line.split()[3] for line in shown.splitlines() if " scope global " in line}


def canonical(save: str) -> str:
    """The form in which two saves are compared: sorted, counters zeroed, dispatch chains sorted with their tail last."""
    return "\n".join(_canonical_lines(save)) + "\n"


def _canonical_lines(save: str) -> Iterator[str]:
    for table, body in sorted(re.findall(r"^\*(\w+)\n(.*?)^COMMIT", save, re.MULTILINE | re.DOTALL)):
        chains: list[str] = []
        rules: dict[str, list[str]] = {}
        for line in body.splitlines():
            if line.startswith(":"):
                chains.append(re.sub(r" \[\d+:\d+\]$", " [0:0]", line))
            elif line.startswith(("-A", "[")):
                plain = re.sub(r"^\[\d+:\d+\] ", "", line)
                rules.setdefault(plain.split()[1], []).append(plain)
        yield "*" + table
        yield from sorted(chains)
        for chain in sorted(rules):
            lines = rules[chain]
            if chain in UNORDERED:
                lines = sorted(line for line in lines if LAST not in line) + sorted(
                    line for line in lines if LAST in line
                )
            yield from lines
        yield "COMMIT"
