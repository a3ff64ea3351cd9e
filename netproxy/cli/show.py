"""Listings: tables as kubectl prints them, and `-o json|yaml|wide|name`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from netproxy.cli.options import OneOf

output_option = click.option(
    "-o", "--output", type=OneOf(["json", "yaml", "wide", "name"]), help="Another form than the table."
)


def print_value(value: Any, form: str) -> None:
    """A value as JSON or YAML."""
    if form == "yaml":
        import yaml

        click.echo(yaml.safe_dump(value, sort_keys=False, default_flow_style=False), nl=False)
    else:
        click.echo(json.dumps(value, indent=2))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns, three spaces apart."""
    for line in table_lines(headers, rows):
        click.echo(line)


def table_lines(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The lines of a table."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(h), *(len(row[at]) for row in texts)) if texts else len(h) for at, h in enumerate(headers)]
    for row in [list(headers), *texts]:
        yield "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def print_server_table(table: dict[str, Any], *, wide: bool, namespaces: bool) -> None:
    """A server-side Table."""
    columns = [(at, c["name"]) for at, c in enumerate(table["columnDefinitions"]) if wide or not c["priority"]]
    headers = [name.upper() for _, name in columns]
    rows = [[row["cells"][at] for at, _ in columns] for row in table["rows"]]
    if namespaces:
        headers.insert(0, "NAMESPACE")
        rows = [
            [row["object"]["metadata"].get("namespace", ""), *cells]
            for row, cells in zip(table["rows"], rows, strict=True)
        ]
    print_table(headers, rows)
