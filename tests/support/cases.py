"""The recorded cases: specs, and what a real kube-proxy 1.30.5 had programmed for them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
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
        return yaml.safe_load((self.folder / "flows.yaml").read_text())

    def recorded(self, name: str, step: int = 0) -> str | None:
        prefix = "" if step == 0 else "after." if step == 1 else f"after{step}."
        file = self.folder / "kube-proxy-1.30.5" / f"{prefix}{name}"
        return file.read_text() if file.exists() else None


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
