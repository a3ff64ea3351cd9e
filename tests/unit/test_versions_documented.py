"""docs/versions.md names every difference, each with a case that is there."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from support.cases import ROOT

from netproxy.proxy.versions import V1_30, V1_36, KubeProxyVersion

DOCUMENT = (Path(__file__).parents[2] / "docs" / "versions.md").read_text()
FIELDS = [field.name for field in fields(KubeProxyVersion) if field.name != "name"]
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", DOCUMENT, re.MULTILINE))


def test_each_field_has_a_line() -> None:
    assert list(ROWS) == FIELDS


@pytest.mark.parametrize("field", FIELDS)
def test_the_versions_differ_and_a_case_shows_it(field: str) -> None:
    assert getattr(V1_30, field) is not getattr(V1_36, field)
    for case in ROWS[field].split(", "):
        assert (ROOT / case / "spec.yaml").exists(), case


def test_every_difference_that_was_recorded_is_named() -> None:
    unnamed = [f.name for f in (ROOT / "differences").iterdir() if f"differences/{f.name}" not in DOCUMENT]
    both = {"health-check-without-address", "node-address-per-family", "serving-unset"}
    assert set(unnamed) == both, "in these the versions do the same"
