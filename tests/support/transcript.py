"""Transcripts in documents: every `$ command` of a ```console block is run, and what follows it has to be printed.

`…` in an expected line stands for any text; a line that is only `…` stands for any number of lines. What a command exports, the
commands after it have. `kubectl` is the newest that there is.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.cluster import LIMIT_S, REPO
from support.kubectls import kubectls

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    command: str
    expected: tuple[str, ...]


def steps(document: Path) -> list[Step]:
    found: list[Step] = []
    for block in _BLOCK.findall(document.read_text()):
        command, lines = "", []
        for line in [*block.splitlines(), "$ "]:
            if line.startswith("$ "):
                if command:
                    found.append(Step(command, tuple(lines)))
                command, lines = line[2:].partition("   #")[0].strip(), []
            else:
                lines.append(line)
    return found


def run(step: Step, env: dict[str, str]) -> str:
    path = f"{REPO}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if kubectls():
        path = f"{Path(kubectls()[max(kubectls())]).parent}:{path}"
    as_root = 'sudo() { [ "$1" = -E ] && shift; "$@"; }; export -f sudo; set -o pipefail; '
    sudo = as_root if os.geteuid() == 0 else ""
    told = exported(step.command)
    say = f'; printf %s "${told}"' if told else ""
    done = subprocess.run(["bash", "-c", sudo + step.command + say], env={**env, "PATH": path}, cwd=REPO, text=True, timeout=2 * LIMIT_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0 or "exit status" in " ".join(step.expected) or step.command.startswith("!"), (
        f"$ {step.command}\n{done.stdout}"
    )
    if told:
        env[told] = done.stdout
        return ""
    return done.stdout


def exported(command: str) -> str:
    """The name of the variable that a command is there to export; empty for other commands."""
    found = re.match(r"export (\w+)=", command)
    return found[1] if found else ""


def difference(step: Step, output: str) -> str:
    """Empty when OUTPUT is what the document shows."""
    wanted = [" ".join(line.split()) for line in step.expected if not line.startswith("exit status")]
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in wanted)
    text = "".join(" ".join(line.split()) + "\n" for line in output.splitlines())
    if not step.expected or re.fullmatch(pattern, text):
        return ""
    return f"$ {step.command}\nexpected:\n" + "\n".join(step.expected) + f"\ngot:\n{output}"
