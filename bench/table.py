"""Rows of the table, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure: what it is, the value, its floor (0 for none), the unit, and what is to be reached."""

    what: str
    value: float
    floor: float
    unit: str
    reach: str


def header() -> str:
    return "| what | netproxy | floor | ratio | to reach |\n|---|---|---|---|---|"


def line(row: Row) -> str:
    floor = f"{row.floor:.3g} {row.unit}" if row.floor else "–"
    ratio = f"{row.value / row.floor:.2f}" if row.floor else "–"
    return f"| {row.what} | {row.value:.3g} {row.unit} | {floor} | {ratio} | {row.reach} |"
