"""The README's transcripts are true, on the cluster names that they use."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from support.cluster import REPO, Cluster
from support.transcript import difference, run, steps


def test_the_readmes_transcripts():
    if Path("/run/netns/node1").exists():
        pytest.skip("a namespace node1 exists on this machine: the README's own cluster cannot be started beside it")
    state = tempfile.mkdtemp(prefix="npt-")
    env = {**os.environ, "NETPROXY_STATE": state}
    try:
        wrong = [difference(step, run(step, env)) for step in steps(REPO / "README.md")]
        assert not [text for text in wrong if text], "\n\n".join(filter(None, wrong))
    finally:
        Cluster.remove(env, "default")
        shutil.rmtree(state, ignore_errors=True)


def test_every_document_that_is_named_is_there():
    text = (REPO / "README.md").read_text()
    for link in (
        "docs/architecture.md",
        "docs/performance.md",
        "docs/dns.md",
        "docs/modes.md",
        "docs/adr",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "labs",
    ):
        assert f"]({link})" in text
        assert (REPO / link).exists()
