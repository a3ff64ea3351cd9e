"""A body that is YAML: its value, and the keys that are there twice, of which the last counts.

Source: sigs.k8s.io/yaml (YAMLToJSON, YAMLToJSONStrict); go.yaml.in/yaml/v2 decode.go (the message).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from netproxy.core.errors import ManifestError
from netproxy.objects.document import document

_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_value(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value, and what a strict reader would have refused.

    >>> yaml_value(b"a: 1\\na: 2")
    ({'a': 2}, ('yaml: unmarshal errors:\\n  line 2: key "a" already set in map',))

    Raises ValueError for what is no YAML.
    """
    try:
        return document(body, ""), ()
    except ManifestError as error:
        repeated = _repeated(body)
        if not repeated:
            problem = error.problems[0]
            raise ValueError(f"yaml: {problem.path}: {problem.message}") from error
    return yaml.load(body, _Loader), ("\n".join(("yaml: unmarshal errors:", *repeated)),)


def _repeated(body: bytes) -> list[str]:
    try:
        node = yaml.compose(body, _Loader)
        return list(_of(node)) if node else []
    except (yaml.YAMLError, RecursionError):
        return []


def _of(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _of(item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if key.value in seen:
            yield f'  line {key.start_mark.line + 1}: key "{key.value}" already set in map'
        if isinstance(key.value, str):
            seen.add(key.value)
        yield from _of(value)
