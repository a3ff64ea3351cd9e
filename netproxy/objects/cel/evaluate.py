"""The value of an expression.

A tree becomes a function of the variables once; the function is called for every object.

Source: github.com/google/cel-spec doc/langdef.md; github.com/google/cel-go interpreter, ext/comprehensions.go, cel/library.go (optionals).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from netproxy.objects.cel.costs import BRIEF, COSTS, parts
from netproxy.objects.cel.functions import FUNCTIONS, METHODS
from netproxy.objects.cel.syntax import Constant, Field, Item, Many, Name, Pairs, SyntaxFaultError, Unsigned, parsed
from netproxy.objects.cel.values import (
    NONE,
    Budget,
    CelError,
    Kind,
    Optional,
    SpentError,
    in_range,
    is_number,
    kind_of,
    no_overload,
    same,
)

Scope = Mapping[str, Any]
Value = Callable[[Scope], Any]

BUDGET = ""
"""The name of the budget among the variables, which no expression can write."""
STEPS = 1_000_000
"""So many steps an expression has; about a second."""
TOO_DEEP = "expression recursion limit exceeded"
COST = "operation cancelled: actual cost limit exceeded"

TYPES = {
    name: Kind(name)
    for name in ("bool", "bytes", "double", "int", "list", "map", "string", "uint", "null_type", "type")
}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
MACROS = (
    "all", "exists", "exists_one", "existsOne", "map", "filter", "optMap", "optFlatMap", "transformList", "transformMap", "sortBy",
)  # fmt: skip


@lru_cache(maxsize=4096)
def compiled(text: str) -> Value:
    """What an expression is, as a function of its variables, which raises CelError. Raises SyntaxFaultError.

    >>> compiled("self.size() > 1 && self.all(x, x < 5)")({"self": [1, 2]})
    True
    """
    tree = parsed(text)
    try:
        work, size = _value(tree), parts(tree)
    except RecursionError:
        raise SyntaxFaultError(TOO_DEEP, 0) from None

    def value(scope: Scope) -> Any:
        budget = scope.get(BUDGET) or Budget(STEPS)
        try:
            budget.spend(size)
            return work({**scope, BUDGET: budget})
        except SpentError:
            raise CelError(COST) from None
        except RecursionError:
            raise CelError(TOO_DEEP) from None
        except (TypeError, AttributeError, KeyError, IndexError):
            raise no_overload() from None
        except CelError:
            raise
        except (ArithmeticError, ValueError) as error:
            raise CelError(str(error)) from error

    return value


def _value(tree: Any) -> Value:
    match tree:
        case Constant(value):
            return lambda _: value
        case Name(name):
            return _variable(name)
        case Field(of, name, _, maybe):
            return _field(of, name, maybe=maybe)
        case Item(of, at, maybe):
            return _item(of, at, maybe=maybe)
        case Many(items):
            return _many(items)
        case Pairs(items):
            return _pairs(items)
    return _call(tree.name, tree.arguments, tree.of)


def _variable(name: str) -> Value:
    return lambda scope: scope[name] if name in scope else TYPES[name]


# --- parts


def _selected(of: Any, key: Any) -> Any:
    """An item of a map or of a list. Raises CelError."""
    if isinstance(of, dict):
        found = int(key) if isinstance(key, float) and key.is_integer() else key
        if found in of and not (isinstance(found, bool) and found not in of):
            return of[found]
        raise CelError(f"no such key: {key}")
    if isinstance(of, list):
        if not is_number(key):
            raise CelError(f"unsupported index type '{kind_of(key)}' in list")
        if isinstance(key, float):
            raise CelError(f"unsupported index value {key} in list" if key % 1 else f"unsupported index: {int(key)}")
        if not 0 <= key < len(of):
            raise CelError(f"index out of bounds: {key}")
        return of[key]
    raise CelError(f"no such key: {key}")


def _field(of: Any, name: str, *, maybe: bool) -> Value:
    inner = _value(of)

    def value(scope: Scope) -> Any:
        found = inner(scope)
        if maybe or isinstance(found, Optional):
            return _maybe(found, name)
        return _selected(found, name)

    return value


def _item(of: Any, at: Any, *, maybe: bool) -> Value:
    inner, key = _value(of), _value(at)

    def value(scope: Scope) -> Any:
        found = inner(scope)
        if maybe or isinstance(found, Optional):
            return _maybe(found, key(scope))
        return _selected(found, key(scope))

    return value


def _maybe(of: Any, key: Any) -> Optional:
    if isinstance(of, Optional):
        if not of.values:
            return NONE
        of = of.value
    try:
        return Optional((_selected(of, key),))
    except CelError:
        return NONE


def _many(items: tuple[tuple[Any, bool], ...]) -> Value:
    made = [(_value(item), maybe) for item, maybe in items]

    def value(scope: Scope) -> Any:
        found = ((item(scope), maybe) for item, maybe in made)
        return list(chain.from_iterable(each.values if maybe else (each,) for each, maybe in found))

    return value


def _pairs(items: tuple[tuple[Any, Any, bool], ...]) -> Value:
    made = [(_value(key), _value(item), maybe) for key, item, maybe in items]

    def value(scope: Scope) -> Any:
        result = {}
        for key, item, maybe in made:
            found = item(scope)
            for each in found.values if maybe else (found,):
                result[key(scope)] = each
        return result

    return value


# --- calls


def _call(name: str, arguments: tuple[Any, ...], of: Any) -> Value:
    if of is None and name in _OPERATORS:
        return _OPERATORS[name](*arguments)
    if name in MACROS and of is not None and len(arguments) > 1 and isinstance(arguments[0], Name):
        return _macro(name, of, arguments)
    path = _path(of)
    if path and f"{path}.{name}" in FUNCTIONS:
        return _function(f"{path}.{name}", FUNCTIONS, arguments)
    if of is None:
        return _function(name, FUNCTIONS, arguments)
    return _function(name, METHODS, (of, *arguments))


def _path(tree: Any) -> str:
    return tree.name if isinstance(tree, Name) else ""


def _function(name: str, known: Mapping[str, Callable[..., Any]], arguments: tuple[Any, ...]) -> Value:
    made = [_value(argument) for argument in arguments]
    function, cost = known[name], COSTS.get(name)

    def value(scope: Scope) -> Any:
        given = [argument(scope) for argument in made]
        budget = scope[BUDGET]
        try:
            if name not in BRIEF:
                budget.look_through(given)
            if cost is not None:
                budget.spend(cost(*given))
            return function(*given)
        except CelError:
            raise
        except (TypeError, AttributeError, KeyError, IndexError):
            raise no_overload() from None
        except (ValueError, OverflowError) as error:
            raise CelError(str(error)) from error

    return value


def _choice(test: Any, yes: Any, no: Any) -> Value:
    first, second, third = _value(test), _value(yes), _value(no)
    return lambda scope: second(scope) if _truth(first(scope)) else third(scope)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise no_overload()
    return value


def _junction(left: Any, right: Any, *, decides: bool) -> Value:
    """AND and OR: what one side decides counts, whatever is wrong with the other."""
    sides = _value(left), _value(right)

    return lambda scope: _any_decides(((side, scope) for side in sides), decides=decides)


def _any_decides(steps: Iterable[tuple[Value, Scope]], *, decides: bool) -> bool:
    """Whether one is what decides; one that fails matters only when none is."""
    failed: CelError | None = None
    for step, scope in steps:
        try:
            if _truth(step(scope)) is decides:
                return decides
        except CelError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not decides


_LONG = (str, bytes, list, dict)


def _binary(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Value]:
    def made(left: Any, right: Any) -> Value:
        first, second = _value(left), _value(right)

        def value(scope: Scope) -> Any:
            one, other = first(scope), second(scope)
            if isinstance(one, _LONG) or isinstance(other, _LONG):
                scope[BUDGET].look_through([one, other])
            return work(one, other)

        return value

    return made


def _compared(sign: str) -> Callable[[Any, Any], bool]:
    def work(left: Any, right: Any) -> bool:
        both = is_number(left) and is_number(right)
        if not both and (kind_of(left) != kind_of(right) or isinstance(left, list | dict | type(None))):
            raise no_overload()
        return _COMPARE[sign](left, right)

    return work


def _within(item: Any, where: Any) -> bool:
    if isinstance(where, dict):
        return any(same(item, key) for key in where)
    if isinstance(where, list):
        return any(same(item, each) for each in where)
    raise no_overload()


def _arithmetic(sign: str) -> Callable[[Any, Any], Any]:
    def work(left: Any, right: Any) -> Any:
        kinds = kind_of(left), kind_of(right)
        if kinds == ("int", "int"):
            return in_range(_whole(sign, left, right))
        if kinds == ("uint", "uint"):
            return _natural(_whole(sign, left, right))
        if kinds == ("double", "double") and sign != "%":
            return _fraction(sign, left, right)
        if sign in "+-" and (kinds in _SUMS or (sign == "+" and kinds in _JOINS)) and not _is_time_sum(sign, kinds):
            return left + right if sign == "+" else left - right
        raise no_overload()

    return work


def _natural(number: int) -> Unsigned:
    if not 0 <= number < 1 << 64:
        raise CelError("unsigned integer overflow")
    return Unsigned(number)


_TIME, _SPAN = "google.protobuf.Timestamp", "google.protobuf.Duration"
_SUMS = ((_TIME, _SPAN), (_SPAN, _TIME), (_SPAN, _SPAN), (_TIME, _TIME))
_JOINS = (("string", "string"), ("bytes", "bytes"), ("list", "list"))


def _is_time_sum(sign: str, kinds: tuple[str, str]) -> bool:
    """What cannot be added, or taken away, among times."""
    return kinds == (_TIME, _TIME) if sign == "+" else kinds == (_SPAN, _TIME)


def _whole(sign: str, left: int, right: int) -> int:
    match sign:
        case "+":
            return int(left) + int(right)
        case "-":
            return int(left) - int(right)
        case "*":
            return int(left) * int(right)
    if right == 0:
        raise CelError("division by zero" if sign == "/" else "modulus by zero")
    found = abs(int(left)) // abs(int(right)) * (1 if (left < 0) is (right < 0) else -1)
    return found if sign == "/" else int(left) - int(right) * found


def _fraction(sign: str, left: float, right: float) -> float:
    if sign == "/" and right == 0:
        return float("nan") if left == 0 or left != left else float("inf") * (1 if left > 0 else -1)
    work = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[sign]
    return float(work(left, right))


def _minus(*sides: Any) -> Value:
    if len(sides) == 2:
        return _binary(_arithmetic("-"))(*sides)
    inner = _value(sides[0])

    def value(scope: Scope) -> Any:
        found = inner(scope)
        if is_number(found) and not isinstance(found, Unsigned):
            return in_range(-found) if isinstance(found, int) else -found
        raise no_overload()

    return value


def _has(tree: Any) -> Value:
    """Whether a field is there; it is one, which is asked before."""
    inner, name = _value(tree.of), tree.name

    def value(scope: Scope) -> bool:
        found = inner(scope)
        if isinstance(found, Optional):
            return bool(_maybe(found, name).values)
        return isinstance(found, dict) and name in found

    return value


def _not(tree: Any) -> Value:
    inner = _value(tree)
    return lambda scope: not _truth(inner(scope))


_OPERATORS: Mapping[str, Callable[..., Value]] = {
    "?:": _choice, "!": _not, "-": _minus, "has": _has, "in": _binary(_within), "==": _binary(same),
    "!=": _binary(lambda left, right: not same(left, right)),
    "&&": lambda left, right: _junction(left, right, decides=False),
    "||": lambda left, right: _junction(left, right, decides=True),
    **{sign: _binary(_compared(sign)) for sign in _COMPARE},
    **{sign: _binary(_arithmetic(sign)) for sign in ("+", "*", "/", "%")},
}  # fmt: skip


# --- macros


def _macro(name: str, of: Any, arguments: tuple[Any, ...]) -> Value:
    inner = _value(of)
    if name in ("optMap", "optFlatMap"):
        return _optional_macro(inner, arguments, is_flat=name == "optFlatMap")
    names = [each.name for each in arguments if isinstance(each, Name)]
    two = (
        len(names) > 1
        and isinstance(arguments[1], Name)
        and (len(arguments) > 2 and (name != "map" or len(arguments) > 3))
    )
    names, bodies = (names[:2], arguments[2:]) if two else (names[:1], arguments[1:])
    steps = [_value(each) for each in bodies]
    work, size = _WORK[name], 1 + parts(bodies)

    def scopes(scope: Scope, found: Any) -> Iterator[tuple[Any, Scope]]:
        for key, each in _entries(found, two=two):
            scope[BUDGET].spend(size)
            yield key, {**scope, **dict(zip(names, each, strict=True))}

    def value(scope: Scope) -> Any:
        found = inner(scope)
        if not isinstance(found, list | dict):
            raise CelError(f"got 'types.{kind_of(found).capitalize()}', expected iterable type")
        return work(scopes(scope, found), steps, found)

    return value


def _entries(of: Any, *, two: bool) -> Iterable[tuple[Any, tuple[Any, ...]]]:
    """What the variables are, one after the other: keys, or with two of them keys and values."""
    pairs = of.items() if isinstance(of, dict) else enumerate(of)
    if two:
        return ((key, (key, item)) for key, item in pairs)
    return ((key, (key if isinstance(of, dict) else item,)) for key, item in pairs)


Scopes = Iterable[tuple[Any, Scope]]


def _all(scopes: Scopes, steps: list[Value], _: Any) -> bool:
    return _any_decides(((steps[0], scope) for _, scope in scopes), decides=False)


def _exists(scopes: Scopes, steps: list[Value], _: Any) -> bool:
    return _any_decides(((steps[0], scope) for _, scope in scopes), decides=True)


def _exists_one(scopes: Scopes, steps: list[Value], _: Any) -> bool:
    return sum(_truth(steps[0](scope)) for _, scope in scopes) == 1


def _map(scopes: Scopes, steps: list[Value], _: Any) -> list[Any]:
    picked = scopes if len(steps) == 1 else [(key, scope) for key, scope in scopes if _truth(steps[0](scope))]
    return [steps[-1](scope) for _, scope in picked]


def _filter(scopes: Scopes, steps: list[Value], of: Any) -> list[Any]:
    return [key if isinstance(of, dict) else of[key] for key, scope in scopes if _truth(steps[0](scope))]


def _transform_map(scopes: Scopes, steps: list[Value], _: Any) -> dict[Any, Any]:
    picked = scopes if len(steps) == 1 else [(key, scope) for key, scope in scopes if _truth(steps[0](scope))]
    return {key: steps[-1](scope) for key, scope in picked}


def _sort_by(scopes: Scopes, steps: list[Value], of: Any) -> list[Any]:
    return [of[key] for key, _ in sorted(scopes, key=lambda each: steps[0](each[1]))]


_WORK: Mapping[str, Callable[[Scopes, list[Value], Any], Any]] = {
    "all": _all, "exists": _exists, "exists_one": _exists_one, "existsOne": _exists_one, "map": _map, "filter": _filter,
    "transformList": _map, "transformMap": _transform_map, "sortBy": _sort_by,
}  # fmt: skip


def _optional_macro(inner: Value, arguments: tuple[Any, ...], *, is_flat: bool) -> Value:
    name, step = arguments[0].name, _value(arguments[1])

    def value(scope: Scope) -> Any:
        found = inner(scope)
        if not isinstance(found, Optional):
            raise no_overload()
        if not found.values:
            return NONE
        made = step({**scope, name: found.value})
        return made if is_flat else Optional((made,))

    return value
