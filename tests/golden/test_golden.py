"""What `render` prints for a manifest, as text under review: a folder a case, `--update` rewrites."""

from pathlib import Path

import pytest

from netproxy.cli.render import rendered
from netproxy.core.net import Family
from netproxy.objects.manifest import parse_manifests
from netproxy.objects.validate import problems

CASES = sorted(p.parent for p in Path(__file__).parent.glob("*/manifest.yaml"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rendered_text(case: Path, request: pytest.FixtureRequest):
    objects = [item.obj for item in parse_manifests((case / "manifest.yaml").read_bytes(), "manifest.yaml")]
    assert not [problem for obj in objects for problem in problems(obj)]
    text = rendered(objects, Family.IPV4)
    golden = case / "iptables.rules"
    if request.config.getoption("--update"):
        golden.write_text(text)
    assert text == golden.read_text()
