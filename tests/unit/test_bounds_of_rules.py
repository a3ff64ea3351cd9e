"""What one object may ask of its schema: a bound on steps, on errors and on depth, and no fault of ours comes out."""

import pytest

from netproxy.objects.cel.check import fault
from netproxy.objects.cel.evaluate import COST, compiled
from netproxy.objects.cel.syntax import SyntaxFaultError
from netproxy.objects.cel.values import CelError
from netproxy.objects.custom.check import MOST, NONE, schema_problems
from netproxy.objects.custom.rules import rule_problems, typed, uses_old

THREE_THOUSAND = list(range(3000))
INTEGERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    "expression",
    [
        "lists.range(1000000000).size() > 0",
        "lists.range(100000).all(x, lists.range(100000).all(y, x + y >= 0))",
        "lists.range(999999).exists(x, x < 0) || true",
        "self.map(x, self.map(y, self)).size() > 0",
        "self.distinct().size() > 0",
        "sets.contains(self, self)",
        "self.all(x, self == self)",
        "self.map(x, string(x)).join(self.map(x, string(x)).join('0123456789')).size() > 0",
        "self.map(x, 'a').join().replace('a', self.map(x, 'abcdefghij').join()).size() > 0",
        "self.map(x, 'a').join().replace('a', self.map(x, 'abcdefghij').join(), 2000).size() > 0",
        "'%.999999999f'.format([1.0]) == ''",
    ],
)
def test_what_asks_for_too_much_is_ended(expression):
    with pytest.raises(CelError, match=COST):
        compiled(expression)({"self": THREE_THOUSAND})


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("{[1]: 2}.size() > 0", "no such overload"),
        ("{'a': 1}[[1]] == 1", "no such overload"),
        ("[1, 'a'].sortBy(x, x) == []", "no such overload"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('999999h') == 1", "date value out of range"),
        ("duration('99999999999999999h') == 1", "Python int too large"),
    ],
)
def test_what_has_no_value_is_no_fault_of_ours(expression, why):
    with pytest.raises(CelError, match=why):
        compiled(expression)({})


def test_bytes_and_maps_are_looked_through():
    assert compiled("{'a': b'x'} == {'a': b'x'}")({}) is True


def test_values_that_are_nested_too_deep():
    value = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(CelError, match="recursion"):
        compiled("self == self")({"self": value})


@pytest.mark.parametrize("expression", ["(" * 3000 + "1" + ")" * 3000, "+".join(["1"] * 3000)])
def test_expressions_that_are_nested_too_deep(expression):
    assert "recursion limit exceeded" in fault(expression, {}, "bool")
    assert not uses_old(expression)
    with pytest.raises(SyntaxFaultError, match="recursion"):
        compiled(expression)


def test_no_rule_is_asked_after_one_that_cost_too_much():
    dear = {"rule": "lists.range(1000000000).size() > 0"}
    schema = {"type": "object", "x-kubernetes-validations": [dear, {"rule": "false"}],
              "properties": {"a": {"type": "string", "x-kubernetes-validations": [{"rule": "false"}]}}}  # fmt: skip
    (problem,) = rule_problems({"a": "b"}, schema, NONE, print)
    assert problem.message == (
        f"Invalid value: \"object\": '{COST}': no further validation rules will be run due to call cost exceeds limit "
        "for rule: lists.range(1000000000).size() > 0"
    )


def test_the_rules_of_one_object_share_what_they_may_take():
    each = {"type": "integer", "x-kubernetes-validations": [{"rule": "lists.range(99999).size() > self"}]}
    (problem,) = rule_problems([0] * 1000, {"type": "array", "items": each}, NONE, print)
    assert "'operation cancelled" in problem.message or "out of cost budget" in problem.message
    many = {"type": "integer", "x-kubernetes-validations": [{"rule": "true"}]}
    (problem,) = rule_problems([0] * 100_000, {"type": "array", "items": many}, NONE, print)
    assert problem.message.endswith("running out of cost budget, no further validation rules will be run")


def test_a_length_of_time_that_is_too_long_stays_a_text():
    assert typed("99999999999999999h", {"type": "string", "format": "duration"}) == "99999999999999999h"


def test_errors_are_told_up_to_a_bound():
    assert len(schema_problems(["a"] * 100_000, INTEGERS)) == MOST
    wrong = {str(at): "a" for at in range(30_000)}
    assert len(schema_problems(wrong, {"type": "object", "additionalProperties": INTEGERS["items"]})) == MOST
    two = {"type": "object", "properties": {"a": INTEGERS, "b": INTEGERS}}
    assert len(schema_problems({"a": ["a"] * 9_000, "b": ["b"] * 9_000}, two)) == MOST
