"""What is wrong with an expression before anybody asks it: names, fields, and types where they are known.

Source: github.com/google/cel-go checker/checker.go, common/error.go; kubernetes 1.36
staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/compilation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netproxy.objects.cel.evaluate import MACROS, TOO_DEEP, TYPES, compiled
from netproxy.objects.cel.functions import FUNCTIONS, METHODS
from netproxy.objects.cel.syntax import Call, Constant, Field, Item, Many, Name, Pairs, SyntaxFaultError, parsed
from netproxy.objects.cel.values import kind_of

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Type:
    """What is known of a value: the name of its type, and its schema; `dyn` when nothing is."""

    name: str
    schema: Schema | None = None


DYN, BOOL, INT, STRING, DOUBLE = Type("dyn"), Type("bool"), Type("int"), Type("string"), Type("double")
_SCALARS = ("bool", "int", "uint", "double", "string", "bytes")
_KINDS = {"string": STRING, "integer": INT, "number": DOUBLE, "boolean": BOOL}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_RESULTS = {
    "size": INT, "startsWith": BOOL, "endsWith": BOOL, "contains": BOOL, "matches": BOOL, "has": BOOL, "all": BOOL, "exists": BOOL,
    "exists_one": BOOL, "existsOne": BOOL, "isSorted": BOOL, "in": BOOL, "!": BOOL, "&&": BOOL, "||": BOOL, "hasValue": BOOL,
    "isURL": BOOL, "isIP": BOOL, "isCIDR": BOOL, "isQuantity": BOOL, "isGreaterThan": BOOL, "isLessThan": BOOL, "containsIP": BOOL,
    "containsCIDR": BOOL, "int": INT, "double": DOUBLE, "string": STRING, "bool": BOOL, "lowerAscii": STRING, "upperAscii": STRING,
    "trim": STRING, "replace": STRING, "substring": STRING, "charAt": STRING, "format": STRING, "join": STRING, "find": STRING,
    **dict.fromkeys(_COMPARISONS, BOOL),
}  # fmt: skip
"""Of what type the results of functions are, where that is always so."""


class WrongError(ValueError):
    """Something is wrong at a place."""

    def __init__(self, why: str, place: int) -> None:
        super().__init__(why)
        self.place = place


def fault(text: str, names: Mapping[str, Type], wanted: str) -> str:
    """What is wrong with an expression over variables of these types, which should be of the type WANTED; empty when nothing is."""
    try:
        found = _Checker(names).type_of(parsed(text))
        compiled(text)
    except SyntaxFaultError as error:
        return located(text, f"Syntax error: {error}", error.place)
    except WrongError as error:
        return located(text, str(error), error.place)
    except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        why = TOO_DEEP if isinstance(error, RecursionError) else str(error)
        return located(text, f"Syntax error: {why}", 0)
    return "" if found.name in ("dyn", wanted) else wanted


def located(text: str, why: str, place: int) -> str:
    """A fault with the line in which it is."""
    line = text.count("\n", 0, place)
    column = place - (text.rfind("\n", 0, place) + 1)
    return f"ERROR: <input>:{line + 1}:{column + 1}: {why}\n | {text.splitlines()[line] if text else ''}\n | {'.' * column}^"


def type_in(schema: Schema | None) -> Type:
    """The type of the values of a schema."""
    if schema is None or schema.get("x-kubernetes-int-or-string"):
        return DYN
    match schema.get("type"):
        case "object" if schema.get("properties") or isinstance(schema.get("additionalProperties"), dict):
            return Type("object" if schema.get("properties") else "map", schema)
        case "array":
            return Type("list", schema)
        case "string" if schema.get("format") in ("date", "date-time", "datetime", "duration", "byte"):
            return DYN
        case kind:
            return _KINDS.get(str(kind), DYN)


class _Checker:
    def __init__(self, names: Mapping[str, Type]) -> None:
        self._names = names

    def type_of(self, tree: Any) -> Type:
        """The type of a part of an expression. Raises WrongError."""
        match tree:
            case Constant(value):
                name = kind_of(value)
                return Type(name) if name in _SCALARS else DYN
            case Name(name, place):
                return self._name(name, place)
            case Field(of, name, place, maybe):
                return self._field(self.type_of(of), name, place, maybe=maybe)
            case Item(of, at, _):
                self.type_of(at)
                return self._item(self.type_of(of))
            case Many(items):
                self._each([item for item, _ in items])
            case Pairs(items):
                self._each([part for key, item, _ in items for part in (key, item)])
            case _:
                return self._call(tree)
        return DYN

    def _each(self, trees: list[Any]) -> list[Type]:
        return [self.type_of(tree) for tree in trees]

    def _name(self, name: str, place: int) -> Type:
        if name in self._names:
            return self._names[name]
        if name in TYPES:
            return DYN
        raise WrongError(f"undeclared reference to '{name}' (in container '')", place)

    def _field(self, of: Type, name: str, place: int, *, maybe: bool) -> Type:
        from netproxy.objects.custom.rules import escaped

        if of.name in _SCALARS:
            raise WrongError(f"type '{of.name}' does not support field selection", place)
        if of.name != "object" or of.schema is None:
            return DYN if maybe or of.name != "map" else self._item(of)
        properties = of.schema["properties"]
        found = next((properties[field] for field in properties if escaped(field) == name), None)
        if found is None and name not in ("apiVersion", "kind", "metadata"):
            raise WrongError(f"undefined field '{name}'", place)
        return DYN if maybe or found is None else type_in(found)

    def _item(self, of: Type) -> Type:
        if of.schema is None or of.name not in ("list", "map"):
            return DYN
        return type_in(of.schema.get("items" if of.name == "list" else "additionalProperties"))

    def _call(self, call: Call) -> Type:
        is_macro = call.of is not None and call.name in MACROS and len(call.arguments) > 1
        if is_macro and isinstance(call.arguments[0], Name):
            return self._macro(call)
        is_has = call.name == "has" and call.of is None and len(call.arguments) == 1
        if is_has or (isinstance(call.of, Name) and call.of.name not in self._names):
            return self._named(call)
        if call.of is not None:
            self.type_of(call.of)
            if call.name not in METHODS:
                raise WrongError(f"undeclared reference to '{call.name}' (in container '')", call.place)
        given = self._each(list(call.arguments))
        if call.of is None and call.name.isidentifier() and call.name not in ("in", *FUNCTIONS):
            raise WrongError(f"undeclared reference to '{call.name}' (in container '')", call.place)
        return self._result(call, given)

    def _named(self, call: Call) -> Type:
        """Whether a field is there, or a function of a library: `sets.contains`."""
        if not isinstance(call.of, Name):
            (field,) = call.arguments
            if not isinstance(field, Field):
                raise WrongError("invalid argument to has() macro", getattr(field, "place", call.place))
            self._field(self.type_of(field.of), field.name, call.place, maybe=field.maybe)
            return BOOL
        if f"{call.of.name}.{call.name}" not in FUNCTIONS:
            self._name(call.of.name, call.of.place)
            raise WrongError(f"undeclared reference to '{call.name}' (in container '')", call.place)
        return DYN

    def _macro(self, call: Call) -> Type:
        of = self.type_of(call.of)
        names = [each.name for each in call.arguments[:2] if isinstance(each, Name)]
        item = STRING if of.name == "map" else self._item(of)
        several = len(names) > 1 or of.name not in ("list", "map")
        inner = _Checker({**self._names, **dict.fromkeys(names, DYN if several else item)})
        for each in call.arguments[1:]:
            if not isinstance(each, Name) or each.name not in names:
                inner.type_of(each)
        return _RESULTS.get(call.name, DYN)

    def _result(self, call: Call, given: list[Type]) -> Type:
        names = [each.name for each in given]
        if call.name in ("&&", "||"):
            for name, side in zip(names, call.arguments, strict=True):
                if name in _SCALARS and name != "bool":
                    raise WrongError(f"expected type 'bool' but found '{name}'", getattr(side, "place", call.place))
        is_plain = len(given) == 2 and all(name in _SCALARS for name in names)
        if is_plain and call.of is None and not _fits(call.name, *names):
            shown = f"'_{call.name}_' applied to '({', '.join(names)})'"
            raise WrongError(f"found no matching overload for {shown}", call.place)
        if call.name in ("+", "-", "*", "/", "%") and call.of is None:
            return given[0]
        if call.name == "?:":
            return given[1] if given[1] == given[2] else DYN
        return _RESULTS.get(call.name, DYN)


_NUMBERS = ("int", "uint", "double")


def _fits(sign: str, left: str, right: str) -> bool:
    """Whether an operator is for values of two plain types."""
    if sign in ("==", "!="):
        return left == right
    if sign in _COMPARISONS:
        return left == right or (left in _NUMBERS and right in _NUMBERS)
    if sign in ("-", "*", "/"):
        return left == right and left in _NUMBERS
    if sign == "%":
        return left == right and left in ("int", "uint")
    return sign != "+" or (left == right and left != "bool")
