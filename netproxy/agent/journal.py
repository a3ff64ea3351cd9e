"""The names of the namespaces of a cluster, written down before each is made. Quick to import: whoever cleans up reads them."""

from __future__ import annotations

from netproxy.agent.paths import Paths


def note(paths: Paths, namespace: str) -> None:
    """Write down a namespace's name before it is made, so that it is found whatever happens."""
    with paths.journal.open("a") as journal:
        journal.write(namespace + "\n")


def journalled(paths: Paths) -> list[str]:
    """All namespaces that were ever made for this cluster, each once."""
    return list(dict.fromkeys(paths.journal.read_text().split())) if paths.journal.exists() else []
