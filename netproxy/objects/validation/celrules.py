"""What is refused of the rules in CEL of a custom kind's schema: that they cannot be asked.

What they would cost is not reckoned.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netproxy.objects.custom.rules import uses_old
from netproxy.objects.validation.structural import Schema
from netproxy.objects.validation.words import Problems, invalid

_META = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {}}


def cel_problems(schema: Schema, path: str, *, is_root: bool = True, apart: str = "") -> Problems:
    """What is wrong with all rules of a schema. APART is the list around it whose items are not told apart."""
    for name, each in (schema.get("properties") or {}).items():
        yield from cel_problems(each, f"{path}.properties[{name}]", is_root=False, apart=apart)
    others, items = schema.get("additionalProperties"), schema.get("items")
    if isinstance(others, dict):
        yield from cel_problems(others, f"{path}.additionalProperties", is_root=False, apart=apart)
    if isinstance(items, dict):
        loose = apart or ("" if schema.get("x-kubernetes-list-type") == "map" else path)
        yield from cel_problems(items, f"{path}.items", is_root=False, apart=loose)
    rules = schema.get("x-kubernetes-validations")
    if rules:
        seen = {**schema, "properties": {**_META, **(schema.get("properties") or {})}} if is_root else schema
        for at, rule in enumerate(rules):
            yield from _rule_problems(rule, seen, f"{path}.x-kubernetes-validations[{at}]", apart)


def _rule_problems(rule: Mapping[str, Any], schema: Schema, path: str, apart: str) -> Problems:
    from netproxy.objects.cel.check import DYN, fault, type_in  # few kinds have rules

    itself = type_in(schema)
    names = {"self": itself, "oldSelf": DYN if rule.get("optionalOldSelf") else itself}
    wrong = fault(rule["rule"], names, "bool")
    if wrong:
        why = "cel expression must evaluate to a bool" if wrong == "bool" else f"compilation failed: {wrong}"
        yield invalid(f"{path}.rule", _internal(rule), why)
    if rule.get("messageExpression"):
        wrong = fault(rule["messageExpression"], names, "string")
        if wrong:
            why = (
                "messageExpression must evaluate to a string"
                if wrong == "string"
                else f"messageExpression compilation failed: {wrong}"
            )
            yield invalid(f"{path}.messageExpression", _internal(rule), why)
    if uses_old(rule["rule"]):
        if apart:
            why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {apart}"
            yield invalid(f"{path}.rule", rule["rule"], why)
    elif rule.get("optionalOldSelf") is not None:
        yield invalid(
            f"{path}.optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule"
        )


def _internal(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as the API server shows its own form of it."""
    return {
        "Rule": rule["rule"], "Message": rule.get("message") or "", "MessageExpression": rule.get("messageExpression") or "",
        "Reason": rule.get("reason"), "FieldPath": rule.get("fieldPath") or "", "OptionalOldSelf": rule.get("optionalOldSelf"),
    }  # fmt: skip


def leads_somewhere(text: str, schema: Schema) -> bool:
    """Whether a path of fields, and of keys in brackets, is one of a schema."""
    here = schema
    if not re.fullmatch(r"(\.[^.\[\]]+|\['(\\.|[^'\\])*'\])+", text):
        return False
    for field, quoted in re.findall(r"\.([^.\[\]]+)|\['((?:\\.|[^'\\])*)'\]", text):
        name = field or re.sub(r"\\(.)", r"\1", quoted)
        properties = here.get("properties")
        found = properties.get(name) if properties is not None else here.get("additionalProperties")
        if not isinstance(found, dict):
            return False
        here = found
    return True
