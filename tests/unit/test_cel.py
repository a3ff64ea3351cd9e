"""Expressions in CEL, of which custom kinds have rules: what a real kube-apiserver 1.36.2 finds in them, and of one object."""

import json
from pathlib import Path

import pytest

from netproxy.objects.cel.check import fault, type_in
from netproxy.objects.cel.evaluate import compiled
from netproxy.objects.cel.functions import timestamp
from netproxy.objects.cel.values import CelError

CASES = json.loads((Path(__file__).parents[1] / "cases" / "cel.json").read_text())
"""A schema, an object of it, and the expressions that are true of it, that are not, that fail, and that are wrong."""

SELF = {**CASES["self"], "when": timestamp(CASES["self"]["when"])}
NAMES = {"self": type_in({"type": "object", "properties": CASES["properties"]})}


def said(expression):
    """The value of an expression that nothing is wrong with."""
    assert fault(expression, NAMES, "bool") == ""
    return compiled(expression)({"self": SELF})


@pytest.mark.parametrize("expression", CASES["true"])
def test_what_is_so(expression):
    assert said(expression) is True


@pytest.mark.parametrize("expression", CASES["false"])
def test_what_is_not_so(expression):
    assert said(expression) is False


@pytest.mark.parametrize(("expression", "why"), CASES["error"])
def test_what_has_no_value(expression, why):
    with pytest.raises(CelError) as failed:
        said(expression)
    assert str(failed.value) == why


@pytest.mark.parametrize(("expression", "why"), CASES["wrong"])
def test_what_is_wrong_before_anybody_asks(expression, why):
    found = fault(expression, NAMES, "bool")
    assert found.splitlines()[0].removeprefix("ERROR: <input>:") == why


def test_a_pattern_that_is_none_fails():
    with pytest.raises(CelError):
        said("self.s.matches(self.s + '(')")
