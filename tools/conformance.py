"""Run Kubernetes' own Conformance tests against a cluster, and say where their results are not those of docs/conformance.yaml.

    export KUBECONFIG=$(netproxy kubeconfig)
    python tools/conformance.py ./e2e.test                   all that are recorded as passed or failed
    python tools/conformance.py ./e2e.test Watchers Secrets  those that have one of the words in their title
    python tools/conformance.py --count                      the table of docs/conformance.md

E2E_TEST is Kubernetes' program of the version that docs/conformance.yaml names. `kubectl` must be in PATH. Each test is run by a
process of its own; one that takes longer than `--seconds` has failed. The folder `--logs` has what they print.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

RECORD = Path(__file__).parents[1] / "docs" / "conformance.yaml"
PASSED, FAILED, NOT_RUN = RESULTS = ("passed", "failed", "not run")
TO_CLEAN_UP_S = 60


def titles(found: Any) -> Iterator[str]:
    """The tests of one result of one group: a list, or lists by reason."""
    for item in found.values() if isinstance(found, dict) else [found or []]:
        yield from item


def recorded(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every test that is run, as e2e.test names it, and its result."""
    for group, results in record["tests"].items():
        for result in (PASSED, FAILED):
            for title in titles(results.get(result)):
                yield f"[{group}] {title} [Conformance]", result


def counts(record: Mapping[str, Any]) -> str:
    """How many tests have which result, as a table."""
    rows = [
        (group, *(len(list(titles(results.get(result)))) for result in RESULTS))
        for group, results in record["tests"].items()
    ]
    rows.append(("all", *(sum(row[at] for row in rows) for at in (1, 2, 3))))  # type: ignore[misc]  # numbers
    lines = [f"| {group} | {' | '.join(map(str, numbers))} |" for group, *numbers in rows]
    return "\n".join([f"| group | {' | '.join(RESULTS)} |", "|---|---|---|---|", *lines])


async def run(program: str, title: str, seconds: float, logs: Path) -> str:
    """Run one test; its result. What it prints is in the folder LOGS."""
    command = [
        program, f"--ginkgo.focus={re.escape(title)}$", f"--ginkgo.timeout={seconds:.0f}s", "--ginkgo.v", "--ginkgo.no-color",
        f"--kubeconfig={os.environ['KUBECONFIG']}", "--kubectl-path=kubectl", "--provider=skeleton",
        "--dump-logs-on-failure=false",
    ]  # fmt: skip
    log = logs / f"{re.sub('[^A-Za-z0-9]+', '-', title).strip('-')[:150]}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(*command, stdout=file, stderr=file)
        try:
            await asyncio.wait_for(process.wait(), seconds + TO_CLEAN_UP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
    return PASSED if re.search(r"^Ran 1 of .*\n.* 1 Passed", log.read_text(errors="replace"), re.M) else FAILED


async def run_all(record: Mapping[str, Any], arguments: argparse.Namespace) -> int:
    """Run what is asked for, what is [Serial] alone; how many results are not the recorded ones."""
    words = [word.lower() for word in arguments.words]
    wanted = [item for item in recorded(record) if not words or any(word in item[0].lower() for word in words)]
    places, found = asyncio.Semaphore(arguments.jobs), []

    async def one(title: str, expected: str) -> None:
        async with places:
            result = await run(arguments.program, title, arguments.seconds, arguments.logs)
        found.append((result, result == expected))
        print(f"{result}{'' if result == expected else f' (recorded: {expected})'}: {title}", flush=True)

    await asyncio.gather(*(one(*item) for item in wanted if "[Serial]" not in item[0]))
    for item in wanted:
        if "[Serial]" in item[0]:
            await one(*item)
    others = sum(not as_recorded for _, as_recorded in found)
    passed = sum(result == PASSED for result, _ in found)
    print(f"{passed} of {len(found)} passed; {others} results are not the recorded ones")
    return others


def main() -> int:
    """Whether any result is not the recorded one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", metavar="E2E_TEST", nargs="?")
    parser.add_argument("words", nargs="*", metavar="WORDS")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--logs", type=Path, default=Path("conformance-logs"))
    parser.add_argument("--count", action="store_true")
    arguments = parser.parse_intermixed_args()
    record = yaml.safe_load(RECORD.read_text())
    if arguments.count or not arguments.program:
        print(counts(record))
        return 0
    arguments.logs.mkdir(parents=True, exist_ok=True)
    return 1 if asyncio.run(run_all(record, arguments)) else 0


if __name__ == "__main__":
    sys.exit(main())
