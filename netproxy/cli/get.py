"""`netproxy get`, `apply`, `delete`: objects, as kubectl shows and changes them."""

from __future__ import annotations

from typing import Any

import click

from netproxy.agent.paths import Paths
from netproxy.cli import complete
from netproxy.cli.client import Agent
from netproxy.cli.files import read_manifests
from netproxy.cli.options import cluster_option, namespace_option
from netproxy.cli.show import output_option, print_server_table, print_value
from netproxy.cli.wait import wait_and_tell
from netproxy.client.port import Selector
from netproxy.client.wire import delete_options, objects_of, path_of, target_of
from netproxy.core.errors import ManifestError, NotFoundError, Problem
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import RESOURCES, Resource, resource_of_word
from netproxy.objects.manifest import placed
from netproxy.objects.messages import ApplyAnswer, ApplyItem, ApplyRequest
from netproxy.objects.meta import metadata

READY_S = 30.0
"""How long `--wait` waits when no number is given, as `up` does."""
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


def kind_named(word: str) -> Resource:
    """The kind that people mean. Raises ManifestError with all there are."""
    kind = resource_of_word(word)
    if kind is None:
        import difflib

        words = dict.fromkeys(w for k in RESOURCES for w in (k.plural, k.singular, *k.short))
        close = difflib.get_close_matches(word.lower(), words, 1, 0.6)
        known = ", ".join(dict.fromkeys(k.short[0] if k.short else k.plural for k in RESOURCES))
        meant = f'did you mean "{close[0]}"? ' if close else ""
        raise ManifestError(
            [Problem("kind", f'the server doesn\'t have a resource type "{word}" ({meant}there are {known})')]
        )
    return kind


_ALL = ("pods", "services", "deployments", "replicasets")


@click.command()
@click.argument("kinds", shell_complete=complete.kinds)
@click.argument("names", nargs=-1, shell_complete=complete.objects)
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option("-l", "--selector", default="", help="Label selector.")
@click.option("--field-selector", default="", help="Field selector.")
@click.option("-w", "--watch", is_flag=True, help="Go on with what changes.")
@output_option
@cluster_option
def get(
    kinds: str, names: tuple[str, ...], namespace: str, all_namespaces: bool, selector: str, field_selector: str,
    watch: bool, output: str | None, where: Paths,
) -> None:  # fmt: skip
    """List objects: pods, svc, endpointslices, nodes, deploy, rs, ns, events, … several kinds with commas."""
    words = [w for word in kinds.split(",") for w in (_ALL if word == "all" else (word,))]
    if "/" in words[0] and not names:
        words[0], _, one = words[0].partition("/")
        names = (one,)
    chosen = [kind_named(word) for word in words]
    agent = Agent(where)
    at = "" if all_namespaces else namespace
    wanted = Selector(at, selector, field_selector)
    if output in ("json", "yaml", "name"):
        _print_objects(agent, chosen, names, wanted, output)
        return
    shown = 0
    for kind in chosen:
        shown += _print_tables(agent, kind, names, wanted, wide=output == "wide", title=len(chosen) > 1 and shown > 0)
    if not shown:
        click.echo(f"No resources found in {namespace} namespace." if at else "No resources found.", err=True)
    if watch:
        _watch(agent, chosen[0], wanted, wide=output == "wide")


def _print_objects(agent: Agent, kinds: list[Resource], names: tuple[str, ...], wanted: Selector, form: str) -> None:
    items: list[Any] = []
    for kind in kinds:
        if names:
            items += [agent.ask("GET", path_of(kind, NamespacedName(wanted.namespace, name))) for name in names]
        else:
            items += objects_of(kind, agent.ask("GET", target_of(kind, wanted))["items"])
    if form == "name":
        for item in items:
            kind_word = item["kind"].lower()
            click.echo(f"{kind_word}/{item['metadata']['name']}")
    elif names and len(items) == 1:
        print_value(items[0], form)
    else:
        print_value({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}, form)


def _print_tables(
    agent: Agent, kind: Resource, names: tuple[str, ...], wanted: Selector, *, wide: bool, title: bool
) -> int:
    if names:
        paths = [path_of(kind, NamespacedName(wanted.namespace, name)) for name in names]
        tables = [agent.ask("GET", path, accept=_TABLE) for path in paths]
        table = {**tables[0], "rows": [row for t in tables for row in t["rows"]]}
    else:
        table = agent.ask("GET", target_of(kind, wanted), accept=_TABLE)
    if table["rows"]:
        if title:
            click.echo()
        print_server_table(table, wide=wide, namespaces=kind.namespaced and not wanted.namespace)
    return len(table["rows"])


def _watch(agent: Agent, kind: Resource, wanted: Selector, *, wide: bool) -> None:
    version = agent.ask("GET", target_of(kind, wanted))["metadata"]["resourceVersion"]
    columns: list[dict[str, Any]] = []
    for event in agent.events(target_of(kind, wanted, watch="true", resourceVersion=version), accept=_TABLE):
        columns = event.obj["columnDefinitions"] or columns  # told once
        for row in event.obj["rows"]:
            cells = [c for c, d in zip(row["cells"], columns, strict=True) if wide or not d["priority"]]
            click.echo("   ".join(map(str, cells)))


@click.command()
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="PATH", help="File, folder or -.",
              shell_complete=complete.files)  # fmt: skip
@click.option("--wait", "wait_s", type=click.FloatRange(0, 1e6), metavar="[SECONDS]",
              is_flag=False, flag_value=READY_S,
              help=f"Wait so long ({READY_S:g} when no number is given) for Pods to be ready and rules to be written; exit status 1 "
                   "when they are not.")  # fmt: skip
@cluster_option
def apply(files: tuple[str, ...], wait_s: float | None, where: Paths) -> int:
    """Create or update objects in a running cluster; all of them or none."""
    from netproxy.cli.pods import tell_of_pods

    loaded = read_manifests(files)
    if not loaded:
        raise ManifestError([Problem("-f", "no objects passed to apply; the files are empty")])
    agent = Agent(where)
    items = tuple(ApplyItem(item.obj, item.source) for item in loaded)
    for line in agent.order("apply", ApplyRequest(items), ApplyAnswer).applied:
        click.echo(f"{line} applied")
    tell_of_pods(loaded, first=False, rootless=where.is_rootless)
    return 0 if wait_s is None else wait_and_tell(agent, wait_s)


@click.command()
@click.argument("kind", required=False, shell_complete=complete.kinds)
@click.argument("names", nargs=-1, shell_complete=complete.objects)
@click.option("-f", "--filename", "files", multiple=True, metavar="PATH", help="Delete what is in these files.",
              shell_complete=complete.files)  # fmt: skip
@namespace_option
@click.option("-l", "--selector", default="", help="Label selector.")
@click.option("--grace-period", type=int, help="Seconds that a Pod gets to end.")
@click.option("--all", "everything", is_flag=True, help="All of this kind in the namespace.")
@cluster_option
def delete(
    kind: str | None, names: tuple[str, ...], files: tuple[str, ...], namespace: str, selector: str,
    grace_period: int | None, everything: bool, where: Paths,
) -> None:  # fmt: skip
    """Delete objects by kind and name, by label, or by file."""
    written = _written(files)
    agent = Agent(where)
    doomed: list[tuple[Resource, str, str]] = []
    if kind and "/" in kind:
        kind, _, one = kind.partition("/")
        names = (one, *names)
    if kind:
        found = kind_named(kind)
        if selector or everything:
            listed = agent.ask("GET", target_of(found, Selector(namespace, selector)))["items"]
            names = (*names, *(item["metadata"]["name"] for item in listed))
        doomed += [(found, namespace, name) for name in names]
    doomed += written
    if not doomed and not (selector or everything):
        raise click.UsageError("say what to delete: KIND NAME, KIND -l SELECTOR, or -f FILE")
    missing = []
    options = delete_options(grace_s=grace_period)
    for entry, at, name in doomed:
        try:
            agent.ask("DELETE", path_of(entry, NamespacedName(at, name)), body=options)
            click.echo(f'{entry.singular} "{name}" deleted')
        except NotFoundError as error:
            missing.append(str(error))
    if missing:
        raise NotFoundError("\n".join(missing))


def _written(files: tuple[str, ...]) -> list[tuple[Resource, str, str]]:
    """The objects that files name: kind, namespace, name. Raises ManifestError."""
    named = []
    for item in read_manifests(files, quiet=True) if files else ():
        meta = metadata(item.obj)
        if not meta.get("name"):
            raise ManifestError(placed([Problem("metadata.name", "Required value: say which one to delete")], item))
        named.append((kind_named(item.obj["kind"]), meta.get("namespace") or "default", meta["name"]))
    return named
