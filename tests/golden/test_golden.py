"""What `render` prints for a manifest, as text under review: a folder a case, `--update` rewrites."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from netproxy.cli.render import render
from netproxy.objects.manifest import parse_manifests
from netproxy.objects.validate import problems

CASES = sorted(p.parent for p in Path(__file__).parent.glob("*/manifest.yaml"))


WAYS = {
    "iptables.rules": ("iptables", "kube-proxy"),
    "nftables.nft": ("nftables", "kube-proxy"),
    "flat.nft": ("nftables", "flat"),
    "ipvs.txt": ("ipvs", "kube-proxy"),
}


@pytest.mark.parametrize("file", WAYS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rendered_text(case: Path, file: str, request: pytest.FixtureRequest):
    manifest = case / "manifest.yaml"
    assert not [problem for item in parse_manifests(manifest.read_bytes(), "") for problem in problems(item.obj)]
    mode, layout = WAYS[file]
    answer = CliRunner().invoke(
        render, ["--mode", mode, *(["--layout", layout] if mode == "nftables" else []), str(manifest)]
    )
    assert answer.exit_code == 0, answer.output
    golden = case / file
    if request.config.getoption("--update"):
        golden.write_text(answer.output)
    assert answer.output == golden.read_text()
