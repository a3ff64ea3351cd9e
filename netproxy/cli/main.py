"""`netproxy`: the commands, each imported when it is needed, and how errors are shown."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from netproxy import __version__
from netproxy.core.errors import KernelError, ManifestError, NetproxyError

_COMMANDS = {
    "up": ("netproxy.cli.up", "up", "Start a cluster from Kubernetes manifests."),
    "down": ("netproxy.cli.down", "down", "Take a cluster down; nothing is left."),
    "kubeconfig": ("netproxy.cli.kubeconfig", "kubeconfig", "Print the path of the file that leads kubectl here."),
    "status": ("netproxy.cli.inspect", "status", "Say how the cluster is."),
    "get": ("netproxy.cli.get", "get", "List objects: pods, svc, endpointslices, nodes, …"),
    "describe": ("netproxy.cli.describe", "describe", "Tell everything of objects, with their events."),
    "scale": ("netproxy.cli.describe", "scale", "Say how many Pods a workload is to have."),
    "apply": ("netproxy.cli.get", "apply", "Create or update objects; all of them or none."),
    "delete": ("netproxy.cli.get", "delete", "Delete objects."),
    "exec": ("netproxy.cli.exec", "exec_", "Run a command in a Pod, on a node, or on the client."),
    "shell": ("netproxy.cli.exec", "shell", "Open a shell in a Pod, on a node, or on the client."),
    "logs": ("netproxy.cli.inspect", "logs", "Print what a container, or the agent, wrote."),
    "rules": ("netproxy.cli.inspect", "rules", "Show a Service's rules in packet order, with reasons and counters."),
    "plan": ("netproxy.cli.inspect", "plan", "Show what the next sync would change."),
    "verify": ("netproxy.cli.inspect", "verify", "Compare the kernel with what should be there."),
    "mode": ("netproxy.cli.mode", "mode", "Show or switch the proxy mode; say where two modes differ."),
    "proxy": ("netproxy.cli.proxy", "proxy", "Be a real node's service proxy, in kube-proxy's place."),
    "capture": ("netproxy.cli.capture", "capture", "Capture packets at several points into one file."),
    "lab": ("netproxy.cli.lab", "lab", "Run a lab: up, check, down."),
    "bench": ("netproxy.cli.bench", "bench", "Measure the proxy modes on this machine."),
    "doctor": ("netproxy.cli.doctor", "doctor", "List what this host lacks."),
    "render": ("netproxy.cli.render", "render", "Print the rules that kube-proxy would write. No root, no kernel."),
    "images": ("netproxy.cli.images", "images", "List the images that are known here."),
    "image": ("netproxy.cli.images", "image", "Make an image name known."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-liners, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module of one command."""
        if name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a wrong word names the one that is like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from netproxy.cli.options import meant

            if args[0] in _COMMANDS:
                raise
            raise click.UsageError(error.message + meant(args[0], _COMMANDS), ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netproxy")
def root() -> None:
    """Kubernetes Service networking that you can take apart.

    Pods are network namespaces, Services are the rules that kube-proxy writes, DNS is a real name server.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line; the exit status is 2 for bad input and 1 for everything else that failed."""
    try:
        sys.exit(root.main(args=args, prog_name="netproxy", standalone_mode=False) or 0)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except ManifestError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(2)
    except NetproxyError as error:
        _show(error)
        sys.exit(1)


def _show(error: Any) -> None:
    click.echo(f"error: {error}", err=True)
    if isinstance(error, KernelError) and error.request and os.environ.get("NETPROXY_DEBUG"):
        click.echo(error.request, err=True)
