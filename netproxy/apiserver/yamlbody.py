"""A body that is YAML: its first value, and the keys that are there twice, of which the last counts.

Source: sigs.k8s.io/yaml (YAMLToJSON, YAMLToJSONStrict); go.yaml.in/yaml/v2 yaml.go (fail), decode.go (the message).
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from netproxy.core.errors import ManifestError
from netproxy.objects.document import documents
from netproxy.objects.limits import LimitError
from netproxy.objects.yamltext import Reader


def yaml_value(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value, its keys sorted, and what a strict reader would have refused.

    >>> yaml_value(b"b: 1\\na: 1\\na: 2")
    ({'a': 2, 'b': 1}, ('line 3: key "a" already set in map',))

    Raises ValueError for what is no YAML, in Go's words.
    """
    try:
        return _sorted(next(iter(documents(body, "")), None)), ()
    except ManifestError as error:
        return _other(body, error)


def _other(body: bytes, error: ManifestError) -> tuple[Any, tuple[str, ...]]:
    """What cannot be read in the usual way: a key may be there twice."""
    repeated: list[str] = []
    try:
        value = next(Reader(body, repeated).documents(), None)
        return _sorted(value), tuple(repeated)
    except yaml.MarkedYAMLError as fault:
        raise ValueError(_words(fault)) from fault
    except yaml.reader.ReaderError as fault:
        raise ValueError(f"yaml: {fault.reason}") from fault
    except LimitError:  # told below
        pass
    why = error.problems[0].message
    found = _SAME_WORDS.search(why)
    raise ValueError(f"yaml: {found[0] if found else why}") from error


_SAME_WORDS = re.compile("cannot decode .*|unknown anchor '.*' referenced")
"""What our reader says as Go's does, only with more around it."""


def _words(fault: yaml.MarkedYAMLError) -> str:
    """A fault as Go's reader tells it: the first line has no number, and others are counted from the one before."""
    line = fault.problem_mark.line if fault.problem_mark else 0
    if line and isinstance(fault, yaml.scanner.ScannerError):
        line += 1
    if not line and fault.context_mark:
        line = fault.context_mark.line
    return f"yaml: line {line}: {fault.problem}" if line else f"yaml: {fault.problem}"


def _sorted(value: Any) -> Any:
    """As it comes out of the JSON that Go makes of it."""
    if isinstance(value, dict):
        return {str(key): _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
