"""An unmodified kubectl, of several minors, prints what it prints of a real cluster."""

from __future__ import annotations

import difflib
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.kubectl import ROOT, Cluster, Section, kubectls, read, started

TRANSCRIPTS = sorted(ROOT.glob("*.txt"))
SECTIONS = [section for file in TRANSCRIPTS for section in read(file.read_text())]


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory):
    """An API alone, for all of them."""
    with started(tmp_path_factory.mktemp("kubectl") / "state", "--api-only") as kubeconfig:
        yield kubeconfig


def differences(cluster: Cluster, section: Section, minor: str, home: Path) -> list[str]:
    """Each command that does not print what it should, with what differs."""
    found = []
    for command, heard in cluster.run(section, home):
        wanted = command.expected(minor)
        if heard != wanted:
            lines = difflib.unified_diff(
                wanted.splitlines(), heard.splitlines(), "a real cluster", "netproxy", lineterm="", n=1
            )
            found.append("\n".join([f"{section.name}: $ {command.text}", *lines]))
    return found


def test_kubectls_of_four_minors_are_there():
    found = list(kubectls())
    assert len(found) >= 4, "scripts/install test fetches them"
    assert found[0] == "1.29"


def test_the_transcripts_are_long_enough():
    assert sum(len(section.commands) for section in SECTIONS) >= 120


@pytest.mark.parametrize("minor", list(kubectls()))
def test_kubectl_prints_what_it_prints_of_a_real_cluster(kubeconfig, minor, tmp_path):
    cluster = Cluster(kubeconfig, kubectls()[minor])
    cluster.warm_up(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda section: differences(cluster, section, minor, tmp_path), SECTIONS)
        wrong = list(itertools.chain.from_iterable(found))
    assert not wrong, "\n\n".join(wrong)
