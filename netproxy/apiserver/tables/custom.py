"""Columns of custom kinds: what their definitions say, found in each object by a path.

Source: kubernetes 1.36 staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from netproxy.apiserver.tables.words import NAME, Cells, Column, Printer, human_duration, seconds
from netproxy.objects.custom.definition import Version
from netproxy.objects.custom.jsonpath import found_at, steps
from netproxy.objects.custom.numbers import go_number, is_number
from netproxy.objects.meta import Object, name
from netproxy.objects.validation.words import as_json


def custom_printer(version: Version) -> Printer:
    """How objects of a version are shown."""
    return version.made("printer", _printer)


def _printer(version: Version) -> Printer:
    said = list(takewhile(_is_readable, version.columns))
    columns = (NAME, *(_column(each) for each in said))

    def cells(obj: Object, now: float) -> Cells:
        seen = version.seen(obj)
        return [name(obj), *(_cell(seen, each, now) for each in said)]

    return Printer(columns, cells)


def _is_readable(said: Mapping[str, Any]) -> bool:
    try:
        steps(said["jsonPath"])
    except ValueError:
        return False
    return True


def _column(said: Mapping[str, Any]) -> Column:
    return Column(said["name"], said["type"], said.get("format") or "", said.get("priority") or 0)


def _cell(obj: Object, said: Mapping[str, Any], now: float) -> Any:
    found = found_at(said["jsonPath"], obj)
    if not found:
        return None
    value = found[0]
    match said["type"]:
        case "string":
            return _text(value)
        case "integer":
            return int(value) if is_number(value) else None
        case "number":
            return value if is_number(value) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value, now) if isinstance(value, str) else None
    return None


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return as_json(_sorted(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<no value>"
    return go_number(value) if is_number(value) else str(value)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _age(text: str, now: float) -> str:
    """How long ago a time was; of one that was nobody's, what Kubernetes says of that."""
    moment = seconds(text) if "T" in text else None
    return "<invalid>" if moment is None else human_duration(now - moment)
