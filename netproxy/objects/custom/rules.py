"""Rules in CEL that a schema has for its values (`x-kubernetes-validations`).

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/{validation,compilation,values}.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import quoted
from netproxy.objects.custom.check import NONE, NOWHERE
from netproxy.objects.custom.numbers import go_number, is_number
from netproxy.objects.custom.structure import items_of, of_field
from netproxy.objects.validation.words import as_json

Schema = Mapping[str, Any]
Warn = Callable[[str], None]

UNCHECKED = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"
BLOCKING = frozenset((
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid",
))  # fmt: skip
"""Reasons for which nobody asks what the rules say."""
_WORDS = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
    "package", "namespace", "return", "var", "void", "while",
))  # fmt: skip
"""Names that the language has taken."""
_SIGNS = {"__": "underscores", ".": "dot", "-": "dash", "/": "slash"}
_LONGEST = 5 * 1024
_OBJECT_STEPS, _RULE_STEPS = 2_000_000, 20
"""How many steps the rules of one object may take together, and what asking one takes."""
_SPENT = "validation failed due to running out of cost budget, no further validation rules will be run"


def has_rules(schema: Schema | None) -> bool:
    """Whether there are rules anywhere in a schema."""
    if schema is None:
        return False
    if schema.get("x-kubernetes-validations"):
        return True
    others = schema.get("additionalProperties")
    inner = [*(schema.get("properties") or {}).values(), items_of(schema), others if isinstance(others, dict) else None]
    return any(has_rules(each) for each in inner)


class _Purse:
    """How many steps the rules of one object may still take."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _OBJECT_STEPS


@dataclass(frozen=True, slots=True)
class _At:
    """A value, what it was before, and whether what is around it is still what it was."""

    path: str
    value: Any
    old: Any
    unchanged: bool
    purse: _Purse


def rule_problems(value: Any, schema: Schema, old: Any, warn: Warn, path: str = "") -> list[Problem]:
    """What the rules refuse of a value that was OLD before; WARN hears of what was already wrong before."""
    return list(_problems(_At(path, value, old, old is not NONE and value == old, _Purse()), schema, warn))


def _problems(at: _At, schema: Schema, warn: Warn) -> Iterator[Problem]:
    if at.value is None or at.purse.left < 0:
        return
    rules = schema.get("x-kubernetes-validations")
    if rules:
        yield from _broken(at, schema, rules, warn)
    if isinstance(at.value, list):
        yield from _of_items(at, schema, warn)
    elif isinstance(at.value, dict):
        yield from _of_fields(at, schema, warn)


def _of_items(at: _At, schema: Schema, warn: Warn) -> Iterator[Problem]:
    items = items_of(schema)
    if items is None:
        return
    before = _by_key(at.old, schema)
    for place, item in enumerate(at.value):
        old = before.get(_key(item, schema), NONE) if before else NONE
        yield from _problems(_below(at, f"{at.path}[{place}]", item, old), items, warn)


def _below(at: _At, path: str, value: Any, old: Any) -> _At:
    return _At(path, value, old, value == old if old is not NONE else at.unchanged, at.purse)


def _by_key(old: Any, schema: Schema) -> dict[Any, Any]:
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return {}
    return {_key(item, schema): item for item in old}


def _key(item: Any, schema: Schema) -> Any:
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    return tuple(repr(item.get(key)) for key in keys) if isinstance(item, dict) else None


def _of_fields(at: _At, schema: Schema, warn: Warn) -> Iterator[Problem]:
    before = at.old if isinstance(at.old, dict) else {}
    for field, item in at.value.items():
        _, of = of_field(schema, field)
        if of is None:
            continue
        named = field in (schema.get("properties") or ())
        path = f"{at.path}[{field}]" if not named else f"{at.path}.{field}" if at.path else field
        yield from _problems(_below(at, path, item, before.get(field, NONE)), of, warn)


# --- one value


def _broken(at: _At, schema: Schema, rules: list[Mapping[str, Any]], warn: Warn) -> Iterator[Problem]:
    from netproxy.objects.cel.evaluate import BUDGET, STEPS  # few kinds have rules
    from netproxy.objects.cel.values import NONE as NOTHING
    from netproxy.objects.cel.values import Budget, Optional

    seen = typed(at.value, schema)
    before = NOTHING if at.old is NONE or at.old is None else Optional((typed(at.old, schema),))
    for rule in rules:
        is_optional, asks_before = bool(rule.get("optionalOldSelf")), uses_old(rule.get("rule") or "")
        if asks_before and not before.values and not is_optional:
            continue
        scope = {"self": seen, "oldSelf": before if is_optional else before.values[0] if before.values else None}
        budget = scope[BUDGET] = Budget(min(STEPS, at.purse.left))
        found = _judged(at, schema, rule, scope)
        at.purse.left -= _RULE_STEPS + min(STEPS, at.purse.left) - max(budget.left, 0)
        if at.purse.left < 0 and (found is None or budget.left >= 0):
            found = Problem(at.path or NOWHERE, f"Invalid value: {_type_of(schema)}: {_SPENT}"), True
        elif budget.left < 0:
            at.purse.left = -1
        if found is None:
            continue
        problem, failed = found
        if at.unchanged and not asks_before and not failed:
            warn(f"{problem.path}: {problem.message}")
        else:
            yield problem
        if at.purse.left < 0:
            return


def _type_of(schema: Schema) -> str:
    return quoted(str(schema.get("type") or ""))


def _judged(
    at: _At, schema: Schema, rule: Mapping[str, Any], scope: Mapping[str, Any]
) -> tuple[Problem, bool] | None:  # fmt: skip
    """What a rule says against a value, and whether it could not even be asked."""
    from netproxy.objects.cel.evaluate import COST, compiled
    from netproxy.objects.cel.syntax import SyntaxFaultError
    from netproxy.objects.cel.values import CelError

    said = (rule.get("message") or rule.get("rule") or "").strip()
    try:
        if compiled(rule["rule"])(scope) is True:
            return None
    except SyntaxFaultError:
        return None  # only the real server can read it
    except CelError as error:
        why = str(error)
        if why.startswith("no such overload"):
            told = f"'{why}': call arguments did not match a supported operator, function or macro signature for rule: {said}"
        elif why == COST:
            told = f"'{why}': no further validation rules will be run due to call cost exceeds limit for rule: {said}"
        else:
            told = f"{why} evaluating rule: {said}"
        return Problem(at.path or NOWHERE, f"Invalid value: {_type_of(schema)}: {told}"), True
    path = at.path
    if rule.get("fieldPath"):
        path = f"{path}.{rule['fieldPath'].removeprefix('.')}".removeprefix(".")
    return _refused(path, at.value, _message(rule, scope) or _usual(rule), rule.get("reason")), False


def _usual(rule: Mapping[str, Any]) -> str:
    return rule["message"].strip() if rule.get("message") else f"failed rule: {rule['rule'].strip()}"


def _message(rule: Mapping[str, Any], scope: Mapping[str, Any]) -> str:
    """What the rule says of this value; empty when it has no words of its own for it."""
    from netproxy.objects.cel.evaluate import compiled

    if not rule.get("messageExpression"):
        return ""
    try:
        found = compiled(rule["messageExpression"])(scope)
    except ValueError:
        return ""
    text = found.strip() if isinstance(found, str) else ""
    return "" if "\n" in text or len(text.encode()) > _LONGEST else text


def _refused(path: str, value: Any, why: str, reason: str | None) -> Problem:
    where = path or NOWHERE
    match reason:
        case "FieldValueForbidden":
            return Problem(where, f"Forbidden: {why}", reason=reason)
        case "FieldValueRequired":
            return Problem(where, f"Required value: {why}", reason=reason)
        case "FieldValueDuplicate":
            return Problem(where, "Duplicate value" + _shown(value), reason=reason)
    return Problem(where, f"Invalid value{_shown(value)}: {why}")


def _shown(value: Any) -> str:
    """A value in a refusal, unless it is large."""
    if isinstance(value, dict | list):
        return ""
    return f": {quoted(value) if isinstance(value, str) else go_number(value) if is_number(value) else as_json(value)}"


@lru_cache(maxsize=4096)
def uses_old(rule: str) -> bool:
    """Whether a rule asks what a value was before.

    >>> uses_old("self == oldSelf"), uses_old("self == 'oldSelf'")
    (True, False)
    """
    from netproxy.objects.cel.syntax import Name, SyntaxFaultError, parsed

    def names(tree: Any) -> Iterator[str]:
        if isinstance(tree, Name):
            yield tree.name
        elif isinstance(tree, tuple):
            for each in tree:
                yield from names(each)
        elif hasattr(tree, "__dataclass_fields__"):
            for field in tree.__dataclass_fields__:
                yield from names(getattr(tree, field))

    try:
        return "oldSelf" in names(parsed(rule))
    except (SyntaxFaultError, RecursionError):
        return False


# --- values of JSON as expressions see them


def typed(value: Any, schema: Schema | None) -> Any:
    """A value as its schema says: times are times, numbers with a fraction are such, odd names of fields are spelt out.

    >>> typed({"a-b": 1, "in": 2}, {"properties": {"a-b": {"type": "number"}, "in": {"type": "integer"}}})
    {'a__dash__b': 1.0, '__in__': 2}
    """
    if schema is None or value is None:
        return value
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        return {
            escaped(field) if field in properties else field: typed(item, of_field(schema, field)[1])
            for field, item in value.items()
        }
    if isinstance(value, list):
        of = items_of(schema)
        return [typed(item, of) for item in value]
    if schema.get("type") == "number" and is_number(value):
        return float(value)
    return _timed(value, schema.get("format")) if isinstance(value, str) else value


def _timed(value: str, form: str | None) -> Any:
    from netproxy.objects.cel.functions import duration, timestamp

    if form not in ("date", "date-time", "datetime", "duration", "byte"):
        return value
    if form == "byte":
        return value.encode()
    try:
        found: timedelta | Any = duration(value) if form == "duration" else timestamp(value)
    except (ValueError, OverflowError):
        return value
    return found


def escaped(field: str) -> str:
    """A field's name as expressions spell it.

    Source: kubernetes apiserver pkg/cel/escaping.go.

    >>> escaped("x-y.z/w"), escaped("namespace"), escaped("a__b"), escaped("plain")
    ('x__dash__y__dot__z__slash__w', '__namespace__', 'a__underscores__b', 'plain')
    """
    if field in _WORDS:
        return f"__{field}__"
    return re.sub(r"__|[./-]", lambda found: f"__{_SIGNS[found[0]]}__", field)
