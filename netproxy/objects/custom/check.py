"""What a schema refuses of a value, in the words and the order of the API server's validator.

An update is held only to what it changes: what was wrong before and is still the same is no problem.

Source: k8s.io/kube-openapi pkg/validation/validate (schema.go, type.go, values.go, object_validator.go, slice_validator.go,
schema_props.go) and errors/schema.go; staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/validation/{validation,ratcheting}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import quoted
from netproxy.objects.custom.formats import check_of, has_format
from netproxy.objects.custom.goregex import matches
from netproxy.objects.custom.numbers import go_number, is_number, whole
from netproxy.objects.validation.words import as_json, too_many

Schema = Mapping[str, Any]

NONE: Any = object()
"""There was no value before."""
MOST = 10_000
"""So many errors of one value are enough."""
NOWHERE = "<nil>"
"""The path of what is wrong with no field of its own."""
_WORDS = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}
_GO_FORMATS = {int: "int64", float: "float64"}


def schema_problems(value: Any, schema: Schema, old: Any = NONE, path: str = "") -> list[Problem]:
    """Everything that is wrong with a value that was OLD before. PATH is where the value is, if it is no object of its own."""
    found = _field_of(value, schema, "", old)
    return [_placed(problem, path) for problem in found.errors.values()]


def _placed(problem: Problem, path: str) -> Problem:
    if not path:
        return problem
    where = path if problem.path == NOWHERE else f"{path}.{problem.path}"
    return Problem(where, problem.message, reason=problem.reason)


class _Result:
    """What was found: errors by what they say, and how much was right."""

    __slots__ = ("errors", "right")

    def __init__(self) -> None:
        self.errors: dict[str, Problem] = {}
        self.right = 0

    def add(self, text: str, problem: Problem) -> None:
        """One error, unless it is known or there are enough."""
        if not self.is_full:
            self.errors.setdefault(text, problem)

    @property
    def is_full(self) -> bool:
        """Whether nobody asks for more errors."""
        return len(self.errors) >= MOST

    def join(self, other: _Result) -> None:
        """What somebody else found."""
        for text, problem in other.errors.items():
            self.add(text, problem)
        self.right += other.right

    def invalid(self, name: str, value: Any, why: str) -> None:
        """One error of the usual kind."""
        shown = go_number(value) if is_number(value) else quoted(value) if isinstance(value, str) else as_json(value)
        self.add(why, Problem(_path(name), f"Invalid value: {shown}: {why}"))

    def plain(self, why: str) -> None:
        """One error that names no field."""
        self.add(why, Problem(NOWHERE, f'Invalid value: "": {why}'))


def _path(name: str) -> str:
    return name.removeprefix(".") or NOWHERE


def _field_of(value: Any, schema: Schema, path: str, old: Any) -> _Result:
    """What is wrong with a value that has a place of its own: nothing, when it is what it was."""
    result = _checked(value, schema, path, old)
    if result.errors and old is not NONE and value == old:
        return _Result()
    return result


def _checked(value: Any, schema: Schema, path: str, old: Any) -> _Result:
    result = _Result()
    if value is None:
        result.join(_type(value, schema, path))
        result.join(_enum(value, schema, path))
        return result
    if _types(schema) or _format(schema):
        _take(result, _type(value, schema, path))
    _take(result, _alternatives(value, schema, path, old))
    if isinstance(value, str):
        _take(result, _string(value, schema, path))
        if _is_text_format(schema):
            _take(result, _formatted(value, schema, path))
    elif is_number(value):
        _take(result, _number(value, schema, path))
    elif isinstance(value, list):
        _take(result, _list(value, schema, path, old))
    _take(result, _enum(value, schema, path))
    if isinstance(value, dict):
        _take(result, _object(value, schema, path, old))
    result.right += 1
    return result


def _take(result: _Result, found: _Result) -> None:
    result.join(found)
    result.right += 1


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (schema["type"],) if schema.get("type") else ()


def _format(schema: Schema) -> str:
    types = _types(schema)
    return check_of(schema.get("format") or "", types[0] if len(types) == 1 else "")


def _is_text_format(schema: Schema) -> bool:
    return bool(_format(schema)) and _format(schema) not in ("int32", "int64", "float", "double")


# --- types


def _type(value: Any, schema: Schema, path: str) -> _Result:
    types, form = _types(schema), _format(schema)
    result = _Result()
    if value is None:
        if types and not schema.get("nullable"):
            _wrong_type(result, path, ",".join(types), "null")
        else:
            result.right += 1
        return result
    kind = _WORDS[type(value)]
    fits = kind in types or (kind == "number" and whole(value) and "integer" in types)
    fits = fits or (kind == "integer" and "number" in types)
    if form and not isinstance(value, str | list) and not fits and _GO_FORMATS.get(type(value)) != form:
        _wrong_type(result, path, form, _GO_FORMATS.get(type(value), ""))
    elif form and isinstance(value, str | list) and not {"number", "integer"} & set(types):
        result.right += 1
    elif not fits:
        _wrong_type(result, path, ",".join(types), kind)
    else:
        result.right += 1
    return result


def _wrong_type(result: _Result, path: str, wanted: str, given: str) -> None:
    why = f"{path} in body must be of type {wanted}: {quoted(given)}"
    result.add(why, Problem(_path(path), f"Invalid value: {quoted(given)}: {why}", reason="FieldValueTypeInvalid"))


# --- scalars


def _string(value: str, schema: Schema, path: str) -> _Result:
    result = _Result()
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        why = f"{path} in body should be at most {most} chars long"
        result.add(
            why, Problem(_path(path), f"Too long: may not be more than {most} bytes", reason="FieldValueTooLong")
        )
    elif least is not None and len(value) < least:
        result.invalid(path, value, f"{path} in body should be at least {least} chars long")
    elif pattern and not matches(pattern, value):
        result.invalid(path, value, f"{path} in body should match '{pattern}'")
    return result


def _formatted(value: str, schema: Schema, path: str) -> _Result:
    result = _Result()
    form = _format(schema)
    if not has_format(form, value):
        why = f"{path} in body must be of type {form}: {quoted(value)}"
        result.add(why, Problem(_path(path), f"Invalid value: {quoted(value)}: {why}", reason="FieldValueTypeInvalid"))
    return result


_LARGEST_FLOAT = 3.4028235677973366e38
_RANGES: Mapping[str, tuple[float, float]] = {
    "int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1), "float": (-_LARGEST_FLOAT, _LARGEST_FLOAT),
}  # fmt: skip


def _number(value: float, schema: Schema, path: str) -> _Result:
    result = _Result()
    result.right += 1
    types, form = _types(schema), _format(schema)
    form = form if len(types) == 1 and types[0] in ("integer", "number") else ""
    is_integer = len(types) == 1 and types[0] == "integer"
    low, high = _RANGES.get(form or ("int64" if is_integer else ""), (None, None))
    is_broken = is_integer and isinstance(value, float)
    if is_broken or (low is not None and high is not None and not low <= value <= high):
        said = f"with format {form}" if form else "(default format)"
        result.plain(f"Checked value must be of type {types[0]} {said} in {path}")
    factor, least, most = schema.get("multipleOf"), schema.get("minimum"), schema.get("maximum")
    if factor is not None and not _is_multiple(value, factor):
        shown = go_number(int(factor) if isinstance(value, int) else factor)
        result.invalid(path, value, f"{path} in body should be a multiple of {shown}")
    for bound, is_low in ((least, True), (most, False)):
        if bound is not None:
            _bounded(result, value, bound, schema, path, is_low=is_low)
    return result


def _is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int):
        return int(factor) == 0 or value % int(factor) == 0
    return whole(1 / factor * value if factor < 1 else value / factor)


def _bounded(result: _Result, value: float, bound: float, schema: Schema, path: str, *, is_low: bool) -> None:
    limit = int(bound) if isinstance(value, int) else float(bound)
    exclusive = schema.get("exclusiveMinimum" if is_low else "exclusiveMaximum")
    beyond = value < limit if is_low else value > limit
    if beyond or (exclusive and value == limit):
        than = ("greater than" if is_low else "less than") + ("" if exclusive else " or equal to")
        result.invalid(path, value, f"{path} in body should be {than} {go_number(limit)}")


def _enum(value: Any, schema: Schema, path: str) -> _Result:
    result = _Result()
    choices = schema.get("enum") or ()
    if choices and not any(_same(value, choice) for choice in choices):
        listed = ", ".join(quoted(choice if isinstance(choice, str) else as_json(choice)) for choice in choices)
        shown = quoted(value) if isinstance(value, str) else go_number(value) if is_number(value) else as_json(value)
        why = f"{path} in body should be one of {choices}"
        message = f"Unsupported value: {shown}: supported values: {listed}"
        result.add(why, Problem(_path(path), message, reason="FieldValueNotSupported"))
    return result


def _same(value: Any, choice: Any) -> bool:
    return (
        value is not None
        and choice is not None
        and isinstance(value, bool) is isinstance(choice, bool)
        and value == choice
    )


# --- lists and objects


def _list(value: list[Any], schema: Schema, path: str, old: Any) -> _Result:
    result = _Result()
    items = schema.get("items")
    if isinstance(items, dict):
        before = _by_key(old, schema)
        for at, item in enumerate(value):
            if result.is_full:
                break
            result.join(_field_of(item, items, f"{path}[{at}]", before.get(_key_of(item, schema), NONE)))
    _counted(result, value, schema, path, "items")
    if schema.get("uniqueItems") and any(item in value[:at] for at, item in enumerate(value)):
        result.invalid(path, "", f"{path} in body shouldn't contain duplicates")
    result.right += 1
    return result


def _counted(result: _Result, value: Sized, schema: Schema, path: str, what: str) -> None:
    """There are not too few and not too many: WHAT is `items` or `properties`."""
    least, most = (schema.get(f"{bound}{what.capitalize()}") for bound in ("min", "max"))
    if least is not None and len(value) < least:
        result.invalid(path, len(value), f"{path} in body should have at least {least} {what}")
    if most is not None and len(value) > most:
        result.add(f"{path} in body should have at most {most} {what}", too_many(_path(path), len(value), most))


def _by_key(old: Any, schema: Schema) -> dict[Any, Any]:
    """The items of a list that are told apart by keys; those that are there twice are not told apart."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return {}
    found: dict[Any, Any] = {}
    for item in old:
        found.setdefault(_key_of(item, schema), item)
    return found


def _key_of(item: Any, schema: Schema) -> Any:
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(item, dict):
        return None
    return tuple(repr(item.get(field)) for field in schema.get("x-kubernetes-list-map-keys") or ())


def _object(value: dict[str, Any], schema: Schema, path: str, old: Any) -> _Result:
    result = _Result()
    _counted(result, value, schema, path, "properties")
    fields = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    before = old if isinstance(old, dict) and schema.get("x-kubernetes-map-type") != "atomic" else {}
    _others(result, {field: item for field, item in value.items() if field not in fields}, others, path, before)
    for field, of in fields.items():
        if field in value:
            here = f"{path}.{field}" if path else field
            was = NONE if not path and field in ("kind", "apiVersion") else before.get(field, NONE)
            result.join(_field_of(value[field], of, here, was))
    for field in schema.get("required") or ():
        if field not in value:
            place = f"{path}.{field}"
            problem = Problem(_path(place), "Required value", reason="FieldValueRequired")
            result.add(f"{place} in body is required", problem)
    return result


def _others(result: _Result, value: Mapping[str, Any], of: Any, path: str, before: Mapping[str, Any]) -> None:
    """What is wrong with fields that the schema does not name."""
    for field, item in value.items():
        if result.is_full:
            break
        if isinstance(of, dict):
            result.join(_field_of(item, of, f"{path}.{field}", before.get(field, NONE)))
        elif of is False:
            result.invalid(path, field, f"{path}.{field} in body is a forbidden property")


# --- schemas in schemas


def _alternatives(value: Any, schema: Schema, path: str, old: Any) -> _Result:
    result = _Result()
    if schema.get("anyOf"):
        _any_of(result, [_checked(value, of, path, old) for of in schema["anyOf"]], path)
    if schema.get("oneOf"):
        _one_of(result, [_checked(value, of, path, old) for of in schema["oneOf"]], path)
    if schema.get("allOf"):
        found = [_checked(value, of, path, old) for of in schema["allOf"]]
        for each in found:
            result.join(each)
        wrong = [each for each in found if each.errors]
        if wrong:
            none = ". None validated" if len(wrong) == len(found) else ""
            result.plain(f"{quoted(path)} must validate all the schemas (allOf){none}")
    if schema.get("not") is not None and not _checked(value, schema["not"], path, old).errors:
        result.plain(f"{quoted(path)} must not validate the schema (not)")
    result.right += 1
    return result


def _any_of(result: _Result, found: list[_Result], path: str) -> None:
    good = next((each for each in found if not each.errors), None)
    if good is not None:
        result.join(good)
        return
    result.plain(f"{quoted(path)} must validate at least one schema (anyOf)")
    result.join(max(found, key=lambda each: each.right))


def _one_of(result: _Result, found: list[_Result], path: str) -> None:
    good = [each for each in found if not each.errors]
    if len(good) == 1:
        result.join(good[0])
        return
    said = f"Found {len(good)} valid alternatives" if good else "Found none valid"
    result.plain(f"{quoted(path)} must validate one and only one schema (oneOf). {said}")
    if not good:
        result.join(max(found, key=lambda each: each.right))
