"""Manifests from files, folders and standard input; warnings go to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from netproxy.core.errors import ManifestError, Problem
from netproxy.linux.files import limited_bytes
from netproxy.objects.limits import MOST_BYTES
from netproxy.objects.manifest import Loaded, idle_kind, load, placed, unknown_kind
from netproxy.objects.meta import Object
from netproxy.objects.schema import field_problems
from netproxy.objects.validate import problems

_SUFFIXES = (".yaml", ".yml", ".json")
_NOT_MANIFESTS = ("lab.yaml", "checks.yaml")


def read_manifests(paths: Iterable[str], *, quiet: bool = False) -> list[Loaded]:
    """Read every manifest below PATHS (`-` is standard input) and check all of them.

    Warns about fields that Kubernetes does not have. Raises ManifestError with everything that is wrong.
    """
    warnings: list[tuple[Object, list[Problem]]] = []

    strangers: set[int] = set()

    def check(obj: Object) -> list[Problem]:
        wrong_kind, left_out = unknown_kind(obj)
        if wrong_kind:
            return [wrong_kind]
        if left_out:
            strangers.add(id(obj))
            warnings.append((obj, [left_out]))
            return []
        wrong, unknown = field_problems(obj)
        unknown += filter(None, (idle_kind(obj),))
        if unknown:
            warnings.append((obj, unknown))
        return wrong or problems(obj)

    loaded = load(_texts(paths), check)
    if not quiet:
        sources = {id(item.obj): item for item in loaded}
        for obj, unknown in warnings:
            for problem in placed(unknown, sources[id(obj)]):
                click.echo(f"warning: {problem}", err=True)
    return [item for item in loaded if id(item.obj) not in strangers]


def _texts(paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        if path == "-":
            yield "standard input", sys.stdin.buffer.read(MOST_BYTES + 1)
            continue
        for file in _files(Path(path)):
            try:
                yield str(file), limited_bytes(file, MOST_BYTES)
            except OSError as error:
                raise ManifestError([Problem("file", str(error.strerror), source=str(file))]) from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(f for f in path.iterdir() if f.suffix in _SUFFIXES and f.name not in _NOT_MANIFESTS and f.is_file())
    below = path / "manifests"
    if below.is_dir():
        found += sorted(f for f in below.iterdir() if f.suffix in _SUFFIXES)
    if not found:
        raise ManifestError([Problem("folder", "holds no .yaml, .yml or .json file", source=str(path))])
    return found
