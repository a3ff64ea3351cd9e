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
    "render": ("netproxy.cli.render", "Print the rules that kube-proxy would write. No root, no kernel."),
}  # fmt: skip


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-liners, and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the module of one command."""
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[name][0])
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


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
