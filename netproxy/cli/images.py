"""`netproxy images` and `netproxy image load`: what image names run here."""

from __future__ import annotations

import shlex

import click

from netproxy.agent.paths import Paths
from netproxy.cli.client import Agent, cluster_option
from netproxy.cli.get import kind_named, resource_path
from netproxy.cli.show import output_option, print_table, print_value
from netproxy.core.errors import ConflictError, NotFoundError
from netproxy.kubelet.image import TABLE


@click.command()
@output_option
@cluster_option
def images(output: str | None, where: Paths) -> None:
    """List the images that are known here, those made known by hand included."""
    rows = [[row.name, (row.builtin and "built in") or row.program or "command needed", row.what] for row in TABLE]
    try:
        loaded = Agent(where).ask("GET", resource_path(kind_named("images"), ""))["items"]
    except NotFoundError:
        loaded = []
    rows += [[item["spec"]["image"], shlex.join(item["spec"]["command"]), "made known by hand"] for item in loaded]
    if output in ("json", "yaml"):
        print_value({"items": [{"image": a, "runs": b, "what": c} for a, b, c in rows]}, output)
        return
    print_table(["IMAGE", "RUNS", "WHAT"], rows)


@click.group()
def image() -> None:
    """Make an image name known."""


@image.command()
@click.argument("name")
@click.option("--command", required=True, help="The command line that the image runs here.")
@cluster_option
def load(name: str, command: str, where: Paths) -> None:
    """Let the image NAME run a command of this machine; Pods that waited for it start."""
    agent = Agent(where)
    from hashlib import sha256

    kind = kind_named("images")
    obj = {"apiVersion": kind.api_version, "kind": kind.kind,
           "metadata": {"name": "image-" + sha256(name.encode()).hexdigest()[:12]},
           "spec": {"image": name, "command": shlex.split(command)}}  # fmt: skip
    try:
        agent.ask("POST", resource_path(kind, ""), body=obj)
    except ConflictError:
        agent.ask("PUT", resource_path(kind, "", obj["metadata"]["name"]), body=obj)  # type: ignore[index]  # a literal above
    click.echo(f"image {name} runs {command}")
