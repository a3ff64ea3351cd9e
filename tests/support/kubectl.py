"""What kubectl prints, as transcripts: each file of tests/cases/kubectl is a list of commands and what a real cluster made of them.

A transcript has sections; each has a namespace of its own, and they run side by side:

    ## name
    $ kubectl get configmaps
    > …a further line of the command
    what it prints, standard error too; then "[exit N]" when that is not 0
    @ 1.29 1.32
    what these minors of kubectl print, where that is something else

The names of namespaces, times, uids, ages and addresses that are handed out are masked (`masked`). To record them again:

    python -m support.kubectl SERVER-URL [NAME...]    # plain HTTP, a real API server of Kubernetes 1.36
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1] / "cases" / "kubectl"
KUBECTLS = Path(sys.prefix) / "kubectl"
"""Where scripts/kubectls puts them: a folder for each minor."""
NEWEST = "newest"


@dataclass
class Command:
    """One command and what it prints, by minor."""

    text: str
    outputs: dict[str, str] = field(default_factory=dict)

    def expected(self, minor: str) -> str:
        return self.outputs.get(minor, self.outputs.get(NEWEST, ""))


@dataclass
class Section:
    """Commands that follow one another in one namespace."""

    name: str
    commands: list[Command] = field(default_factory=list)


def kubectls() -> dict[str, Path]:
    """Every kubectl that is installed, by its minor."""
    found = {folder.name: folder / "kubectl" for folder in KUBECTLS.glob("1.*")}
    return dict(sorted(found.items(), key=lambda item: int(item[0].partition(".")[2])))


def read(text: str) -> list[Section]:
    """The sections of a transcript."""
    sections: list[Section] = []
    minors, command = [NEWEST], Command("")
    for line in text.splitlines():
        if line.startswith("## "):
            sections.append(Section(line[3:]))
        elif line.startswith("$ "):
            command, minors = Command(line[2:]), [NEWEST]
            sections[-1].commands.append(command)
        elif line.startswith("> ") and not command.outputs:
            command.text += "\n" + line[2:]
        elif line.startswith("@ "):
            minors = line[2:].split()
            command.outputs |= dict.fromkeys(minors, "")
        elif sections and sections[-1].commands:
            for minor in minors:
                command.outputs[minor] = command.outputs.get(minor, "") + line + "\n"
    for section in sections:
        for item in section.commands:
            item.outputs = {minor: output.strip("\n") for minor, output in item.outputs.items()}
    return sections


def written(sections: list[Section], heading: str) -> str:
    """The transcript of sections."""
    lines = [heading]
    for section in sections:
        lines += ["", f"## {section.name}"]
        for command in section.commands:
            lines.append("$ " + command.text.replace("\n", "\n> "))
            lines += filter(None, [command.outputs.get(NEWEST)])
            others = sorted((out, minor) for minor, out in command.outputs.items() if minor != NEWEST)
            for out, group in itertools.groupby(others, key=lambda pair: pair[0]):
                lines.append("@ " + " ".join(sorted((minor for _, minor in group), key=lambda m: int(m[2:]))))
                lines += filter(None, [out])
    return "\n".join(lines) + "\n"


_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MASKS = [
    (re.compile(r"^[EW]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+:\d+\] ", re.M), ""),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"), "<time>"),
    (re.compile(r"\w{3}, \d\d \w{3} 20[2-9]\d \d\d:\d\d:\d\d [+-]\d{4}"), "<time>"),
    (re.compile(r"20[2-9]\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} UTC"), "<time>"),
    (re.compile(r"(resourceVersion(?:\\?\"|'|): ?(?:\\?\"|'))\d+"), r"\1<version>"),
    (re.compile(r"(?<![=\w.:%/-])(?:\d+(?:ms|s|m|h|d)){1,2}(?=[\s)]|$)", re.M), "<age>"),
    (re.compile(r"\b10\.96\.(?!0\.)\d+\.\d+\b"), "<ip>"),
    (re.compile(r"\bfd00:10:96::[0-9a-f]{3,4}\b"), "<ip6>"),
    (re.compile(r"(?<=[:\s/])3[0-2]\d{3}(?=[/\s]|$)", re.M), "<port>"),
    (re.compile(rf"(?<=-)[{_LETTERS}]{{5}}(?=[\s\"]|$)", re.M), "<rand>"),
    (re.compile(r"/tmp/\S*?(LIVE|MERGED)-\d+"), r"<\1>"),
]


def masked(text: str, namespace: str, server: str, folder: Path) -> str:
    """What a command printed, without what differs from one run to the next; columns have two spaces between them."""
    text = text.replace(str(folder), "<folder>").replace(server, "<server>").replace(namespace, "<ns>")
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    lines = []
    for line in text.splitlines():
        indent = re.match(r" *", line)[0]
        lines.append((indent + re.sub(r"[ \t]{2,}|\t", "  ", line[len(indent) :])).rstrip())
    return "\n".join(lines).strip("\n")


@contextmanager
def started(state: Path, scope: str) -> Iterator[Path]:
    """The kubeconfig of a control plane that `netproxy up SCOPE` starts, its state in a folder of its own."""
    state.mkdir(mode=0o700)
    env = {**os.environ, "NETPROXY_STATE": str(state)}

    def netproxy(*args: str) -> str:
        command = [sys.executable, "-m", "netproxy", *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True).stdout

    netproxy("up", scope)
    try:
        yield Path(netproxy("kubeconfig").strip())
    finally:
        netproxy("down", "--all")


@dataclass(frozen=True)
class Cluster:
    """Where kubectl is to go: a kubeconfig of the cluster's admin."""

    kubeconfig: Path
    kubectl: Path

    @property
    def config(self) -> dict:
        return yaml.safe_load(self.kubeconfig.read_text())

    @property
    def server(self) -> str:
        return self.config["clusters"][0]["cluster"]["server"]

    def run(self, section: Section, home: Path) -> Iterator[tuple[Command, str]]:
        """Each command of a section and what it prints."""
        with self.namespace(home) as (namespace, env):
            folder = home / namespace
            for command in section.commands:
                yield command, masked(self._shell(command.text, folder, env), namespace, self.server, folder)

    @contextmanager
    def namespace(self, home: Path) -> Iterator[tuple[str, dict[str, str]]]:
        """A new namespace, and the environment of commands in it; home has a folder of its name."""
        namespace = f"k-{secrets.token_hex(4)}"
        folder = home / namespace
        folder.mkdir()
        config = self.config
        config["contexts"][0]["context"]["namespace"] = namespace
        own = folder / ".kubeconfig"
        own.write_text(json.dumps(config))
        own.chmod(0o600)
        env = {
            "PATH": f"{self.kubectl.parent}:/usr/bin:/bin", "HOME": str(home), "KUBECONFIG": str(own), "NS": namespace, "LC_ALL": "C",
            "EDITOR": "sed -i s/old/new/",
        }  # fmt: skip
        self._shell(f"kubectl create namespace {namespace}", folder, env)
        try:
            yield namespace, env
        finally:
            self._shell(f"kubectl delete namespace {namespace} --wait=false", folder, env)

    def warm_up(self, home: Path) -> None:
        """Let kubectl learn what the cluster serves, once for all."""
        env = {"PATH": "/usr/bin:/bin", "HOME": str(home), "KUBECONFIG": str(self.kubeconfig)}
        self._shell(f"{self.kubectl} api-resources", home, env)

    @staticmethod
    def _shell(command: str, folder: Path, env: Mapping[str, str]) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=30,
        )  # fmt: skip
        return done.stdout.rstrip("\n") + (f"\n[exit {done.returncode}]" if done.returncode else "")


def record(server: str, names: list[str]) -> None:
    """Write transcripts again (default: all), as a real API server answers."""
    with tempfile.TemporaryDirectory() as folder:
        for file in [ROOT / f"{name}.txt" for name in names] or sorted(ROOT.glob("*.txt")):
            sections = read(file.read_text())
            heard = {
                minor: _heard(sections, server, kubectl, Path(folder) / minor) for minor, kubectl in kubectls().items()
            }
            newest = list(heard)[-1]
            for number, section in enumerate(sections):
                for place, command in enumerate(section.commands):
                    said = {minor: found[number][place] for minor, found in heard.items()}
                    command.outputs = {NEWEST: said[newest]} | {
                        m: out for m, out in said.items() if out != said[newest]
                    }
            file.write_text(written(sections, f"Recorded from kube-apiserver 1.36.2 with kubectl {', '.join(heard)}."))


def _heard(sections: list[Section], server: str, kubectl: Path, home: Path) -> list[list[str]]:
    home.mkdir(exist_ok=True)
    config = home / "config"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}], "contexts": [context], "current-context": "c",
    }))  # fmt: skip
    cluster = Cluster(config, kubectl)
    cluster.warm_up(home)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda section: [out for _, out in cluster.run(section, home)], sections))


if __name__ == "__main__":
    os.umask(0o077)
    record(sys.argv[1], sys.argv[2:])
