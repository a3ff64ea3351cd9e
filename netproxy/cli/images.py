"""`netproxy images` and `netproxy image load`: what image names run here."""

from __future__ import annotations

import shlex

import click

from netproxy.agent.paths import Paths
from netproxy.cli.client import Agent
from netproxy.cli.options import cluster_option
from netproxy.cli.show import output_option, print_table, print_value
from netproxy.client.wire import path_of
from netproxy.core.errors import ConflictError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.kubelet.image import TABLE
from netproxy.objects.kinds import IMAGES

EVERYWHERE = NamespacedName("", "")


@click.command()
@output_option
@cluster_option
def images(output: str | None, where: Paths) -> None:
    """List the images that are known here, those made known by hand included."""
    rows = [[row.name, (row.builtin and "built in") or row.program or "command needed", row.what] for row in TABLE]
    try:
        loaded = Agent(where).ask("GET", path_of(IMAGES, EVERYWHERE))["items"]
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

    known_as = "image-" + sha256(name.encode()).hexdigest()[:12]
    obj = {"apiVersion": IMAGES.api_version, "kind": IMAGES.kind, "metadata": {"name": known_as},
           "spec": {"image": name, "command": shlex.split(command)}}  # fmt: skip
    try:
        agent.ask("POST", path_of(IMAGES, EVERYWHERE), body=obj)
    except ConflictError:
        agent.ask("PUT", path_of(IMAGES, NamespacedName("", known_as)), body=obj)
    click.echo(f"image {name} runs {command}")
