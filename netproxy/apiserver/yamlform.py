"""Answers as YAML, as the API server writes it."""

from __future__ import annotations

from typing import Any

_TEXT = "tag:yaml.org,2002:str"
_WORDS = frozenset(("y", "Y", "n", "N"))
"""Texts that YAML 1.1 takes for switches and the writer does not."""


def yaml_text(value: Any) -> bytes:
    """VALUE as YAML: keys sorted, texts that look like something else between double quotes.

    >>> yaml_text({"b": ["1", "x", 1], "a": "two\\nlines\\n"}).decode().splitlines()
    ['a: |', '  two', '  lines', 'b:', '- "1"', '- x', '- 1']
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes texts so."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        if "\n" in data:
            return dumper.represent_scalar(_TEXT, data, style="|")
        tag: str = dumper.resolve(yaml.ScalarNode, data, (True, False))  # type: ignore[no-untyped-call]
        return dumper.represent_scalar(_TEXT, data, style=None if tag == _TEXT and data not in _WORDS else '"')

    Dumper.add_representer(str, text)
    return yaml.dump(value, Dumper=Dumper, default_flow_style=False, allow_unicode=True).encode()
