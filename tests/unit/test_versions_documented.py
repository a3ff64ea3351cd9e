"""docs/versions.md names every difference, each with a case that is there."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from support.cases import ROOT, Case

from netproxy.core.net import Family
from netproxy.proxy.iptables import compile_iptables
from netproxy.proxy.nftables import compile_nftables
from netproxy.proxy.versions import V1_30, V1_36, KubeProxyVersion

DOCUMENT = (Path(__file__).parents[2] / "docs" / "versions.md").read_text()
FIELDS = [field.name for field in fields(KubeProxyVersion) if field.name != "name"]
COMPILE = {"iptables": compile_iptables, "nftables": compile_nftables}
MODES = [mode for mode in COMPILE for _ in Family]
ROWS = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", DOCUMENT, re.MULTILINE))


def test_each_field_has_a_line() -> None:
    assert list(ROWS) == FIELDS


SHOWN = [(field, name) for field, names in ROWS.items() for name in names.split(", ")]
IN_WORDS = "ipvs_is_deprecated"
"""Said once in the log and in an Event; no rule depends on it."""


@pytest.mark.parametrize(("field", "name"), SHOWN, ids=[f"{field}-{name}" for field, name in SHOWN])
def test_the_versions_differ_and_the_case_shows_it(field: str, name: str) -> None:
    assert getattr(V1_30, field) is not getattr(V1_36, field)
    folder = ROOT / name
    with_one = [(V1_36, replace(V1_36, **{field: getattr(V1_30, field)})),
                (V1_30, replace(V1_30, **{field: getattr(V1_36, field)}))]  # fmt: skip
    shown = any(rules_of(Case(folder, version)) != rules_of(Case(folder, other)) for version, other in with_one)
    assert shown is (field != IN_WORDS)


def rules_of(case: Case) -> list[object]:
    """All rules for the objects of a case, in both languages and families."""
    views = [case.view(family, mode, nfacct=mode == "iptables") for mode in COMPILE for family in Family]
    return [COMPILE[mode](case.snapshot(view), view) for mode, view in zip(MODES, views, strict=True)]


def test_every_difference_that_was_recorded_is_named() -> None:
    unnamed = [f.name for f in (ROOT / "differences").iterdir() if f"differences/{f.name}" not in DOCUMENT]
    both = {"health-check-without-address", "node-address-per-family", "serving-unset"}
    assert set(unnamed) == both, "in these the versions do the same"
