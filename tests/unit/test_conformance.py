"""docs/conformance.md and docs/conformance.yaml say the same."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import conformance  # noqa: E402  # a tool, in no package

PAGE = (ROOT / "docs" / "conformance.md").read_text()


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(conformance.RECORD.read_text())
    return loaded


def test_the_page_has_the_counts_of_the_file(record: dict[str, Any]) -> None:
    assert conformance.counts(record) in PAGE


def test_every_test_is_there_once(record: dict[str, Any]) -> None:
    found = Counter(
        (group, title) for group, results in record["tests"].items() for result in results.values() for title in conformance.titles(result)
    )  # fmt: skip
    assert set(found.values()) == {1}
    assert len(found) == 446
    assert f"{len(found)} tests" in PAGE


def test_every_reason_is_explained_and_is_one(record: dict[str, Any]) -> None:
    reasons = {
        reason for results in record["tests"].values() for result in ("failed", "not run") for reason in results.get(result) or ()
    }  # fmt: skip
    explained = PAGE.partition("## Why")[2].partition("\n## ")[0]
    assert reasons == set(re.findall(r"^\| ([a-z ]+) \| [A-Z]", explained, re.M))


def test_only_what_has_a_result_is_run(record: dict[str, Any]) -> None:
    run = dict(conformance.recorded(record))
    assert run["[sig-api-machinery] server version should find the server version [Conformance]"] == "passed"
    assert not any("AdmissionWebhook" in title for title in run)
    assert set(run.values()) <= {"passed", "failed"}
