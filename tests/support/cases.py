"""The recorded cases: specs, and what a real kube-proxy 1.30.5 had programmed for them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from netproxy.objects.manifest import parse_manifests

ROOT = Path(__file__).parents[1] / "cases"
UNORDERED = {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"}
LAST = "this must be the last rule"


@dataclass(frozen=True)
class Case:
    folder: Path

    @property
    def id(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"

    def objects(self) -> list[dict[str, Any]]:
        return [item.obj for item in parse_manifests((self.folder / "spec.yaml").read_bytes(), "spec.yaml")]

    def config(self) -> dict[str, Any]:
        return parse_manifests((self.folder / "config.yaml").read_bytes(), "config.yaml")[0].obj

    def addresses(self) -> list[str]:
        return yaml.safe_load((self.folder / "host.yaml").read_text())["interfaceAddresses"]

    def steps(self) -> list[dict[str, Any]]:
        file = self.folder / "change.yaml"
        return yaml.safe_load(file.read_text()) if file.exists() else []

    def flows(self) -> dict[str, Any]:
        return _flows(self.folder)

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

    def recorded(self, name: str, step: int = 0) -> str | None:
        prefix = "" if step == 0 else "after." if step == 1 else f"after{step}."
        file = self.folder / "kube-proxy-1.30.5" / f"{prefix}{name}"
        return file.read_text() if file.exists() else None


@cache
def _flows(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "flows.yaml").read_text())


AGAINST_THE_RECORDING = {"headless-and-externalname-ignored/externalname-ip"}
"""In IPVS mode the table has this one refused; kube-proxy 1.30.5 puts no address on kube-ipvs0 for it (recorded/externalname)."""


def expected(case: Case, flow: dict[str, Any], mode: str) -> dict[str, Any]:
    """How a flow ends in a mode.

    A mode of its own line says all; what it leaves out (masquerading) is not known for it. IPVS does not rewrite the source
    when the node itself calls an address with policy Local: recorded rules return before they mark (KUBE-NODE-PORT,
    KUBE-LOAD-BALANCER), whatever the table says; and it knows only endpoints of this node that call themselves
    (KUBE-LOOP-BACK).
    """
    usual = flow["expect"]
    own = (flow.get("by_mode") or {}).get(mode)
    if mode == "ipvs" and f"{case.folder.name}/{flow['id']}" in AGAINST_THE_RECORDING:
        return usual
    if own is not None:
        return own
    if mode == "ipvs" and flow["from_kind"] == "node" and case.is_local(flow):
        return {key: value for key, value in usual.items() if key != "masq"}
    if mode == "ipvs" and not case.is_here(flow["from"]):
        return {key: value for key, value in usual.items() if key != "masq_when_endpoint"}
    return usual


def all_cases() -> list[Case]:
    return [Case(folder) for folder in sorted(ROOT.glob("*/*")) if folder.is_dir()]


def recorded_cases() -> list[Case]:
    return [case for case in all_cases() if case.recorded("iptables.txt")]


def flow_cases(mode: str) -> list[Case]:
    cases = [Case(folder) for folder in sorted((ROOT / "flows").iterdir())]
    return [case for case in cases if mode in case.flows()["modes"] and case.flows()["flows"]]


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
