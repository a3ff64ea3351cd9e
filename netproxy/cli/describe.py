"""`netproxy describe` and `scale`: everything that is known of an object, in words; how many Pods a workload is to have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from netproxy.agent.paths import Paths
from netproxy.cli import complete
from netproxy.cli.client import Agent
from netproxy.cli.get import kind_named
from netproxy.cli.options import cluster_option, namespace_option
from netproxy.cli.show import table_lines
from netproxy.client.port import Selector
from netproxy.client.wire import path_of, target_of
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import ENDPOINT_SLICES, EVENTS, SERVICES, Resource
from netproxy.objects.meta import Object, annotations_of, labels, metadata, name, namespace

_NONE = "<none>"
_LEFT_OUT = ("kubectl.kubernetes.io/last-applied-configuration",)
_OF_METADATA = ("name", "namespace", "labels", "annotations", "managedFields", "resourceVersion", "uid")


@click.command()
@click.argument("kind", shell_complete=complete.kinds)
@click.argument("names", nargs=-1, shell_complete=complete.objects)
@namespace_option
@click.option("-l", "--selector", default="", help="Label selector.")
@cluster_option
def describe(kind: str, names: tuple[str, ...], namespace: str, selector: str, where: Paths) -> None:
    """Tell everything of objects, with their events; without NAMES, of all of the kind in the namespace."""
    word, _, one = kind.partition("/")
    resource, agent = kind_named(word), Agent(where)
    if one or names:
        asked = [path_of(resource, NamespacedName(namespace, each)) for each in (*filter(None, [one]), *names)]
        found = [agent.ask("GET", path) for path in asked]
    else:
        items = agent.ask("GET", target_of(resource, Selector(namespace, selector)))["items"]
        found = [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in items]
    if not found:
        click.echo(f"No resources found in {namespace} namespace.", err=True)
    now = datetime.now(UTC)
    click.echo("\n\n".join("\n".join(_described(agent, resource, obj, now)) for obj in found))


@click.command()
@click.argument("kind", shell_complete=complete.kinds)
@click.argument("names", nargs=-1, shell_complete=complete.objects)
@click.option("--replicas", type=click.IntRange(0), required=True, help="How many Pods there are to be.")
@namespace_option
@cluster_option
def scale(kind: str, names: tuple[str, ...], replicas: int, namespace: str, where: Paths) -> None:
    """Say how many Pods a Deployment, ReplicaSet or StatefulSet is to have."""
    word, _, one = kind.partition("/")
    resource, agent = kind_named(word), Agent(where)
    wanted = (*filter(None, [one]), *names)
    if not wanted:
        raise click.UsageError("say what to scale: KIND NAME or KIND/NAME")
    for each in wanted:
        path = path_of(resource, NamespacedName(namespace, each), "scale")
        current = agent.ask("GET", path)
        agent.ask("PUT", path, body={**current, "spec": {**current.get("spec", {}), "replicas": replicas}})
        click.echo(f"{resource.singular}{f'.{resource.group}' if resource.group else ''}/{each} scaled")


def _described(agent: Agent, resource: Resource, obj: Object, now: datetime) -> Iterator[str]:
    meta = metadata(obj)
    yield f"Name:         {name(obj)}"
    if namespace(obj):
        yield f"Namespace:    {namespace(obj)}"
    yield from _pairs("Labels:      ", "=", labels(obj))
    shown = {key: value for key, value in annotations_of(obj).items() if key not in _LEFT_OUT}
    yield from _pairs("Annotations: ", ": ", shown)
    yield f"API Version:  {obj['apiVersion']}"
    yield f"Kind:         {obj['kind']}"
    yield from _fields("Metadata", {field: value for field, value in meta.items() if field not in _OF_METADATA}, 0)
    for field, value in obj.items():
        if field not in ("apiVersion", "kind", "metadata"):
            yield from _fields(_title(field), value, 0)
    if resource == SERVICES:
        yield f"Endpoints:    {', '.join(_endpoints(agent, obj)) or _NONE}"
    yield from _events(agent, obj, now)


def _pairs(title: str, joint: str, values: Mapping[str, str]) -> Iterator[str]:
    """A line for each; the first beside the title."""
    lines = [f"{key}{joint}{value}" for key, value in sorted(values.items())] or [_NONE]
    yield f"{title} {lines[0]}"
    yield from (f"{' ' * len(title)} {line}" for line in lines[1:])


def _title(field: str) -> str:
    """A field's name in words.

    >>> _title("clusterIPs"), _title("hostIP"), _title("podCIDRs")
    ('Cluster IPs', 'Host IP', 'Pod CIDRs')
    """
    words = re.findall(r"[A-Z]{2,}(?:s(?![a-z]))?(?![a-z])|[A-Z]?[^A-Z]+|[A-Z]", field)
    return " ".join(word[:1].upper() + word[1:] for word in words)


def _fields(title: str, value: Any, depth: int) -> Iterator[str]:
    """A field with everything in it, indented; nothing of what is empty."""
    indent = "  " * depth
    if value in (None, {}, []):
        return
    if isinstance(value, dict):
        yield f"{indent}{title}:"
        for field, item in value.items():
            yield from _fields(_title(field), item, depth + 1)
    elif isinstance(value, list) and isinstance(value[0], dict):
        yield f"{indent}{title}:"
        for item in value:
            lines = [line for field, part in item.items() for line in _fields(_title(field), part, depth + 2)]
            yield from (f"{indent}  - {line.strip()}" if not at else line for at, line in enumerate(lines))
    elif isinstance(value, list):
        yield f"{indent}{title}:  {', '.join(map(str, value))}"
    else:
        yield f"{indent}{title}:  {value}"


def _endpoints(agent: Agent, service: Object) -> list[str]:
    """Where a Service leads: addresses with the ports of its slices."""
    wanted = Selector(namespace(service), f"kubernetes.io/service-name={name(service)}")
    found: dict[str, None] = {}
    for piece in agent.ask("GET", target_of(ENDPOINT_SLICES, wanted))["items"]:
        for endpoint in piece.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True):
                for port in piece.get("ports") or ():
                    address = endpoint["addresses"][0]
                    found[f"[{address}]:{port['port']}" if ":" in address else f"{address}:{port['port']}"] = None
    return list(found)


def _events(agent: Agent, obj: Object, now: datetime) -> Iterator[str]:
    picked = (
        f"involvedObject.kind={obj['kind']},involvedObject.name={name(obj)},involvedObject.uid={metadata(obj)['uid']}"
    )
    events = agent.ask("GET", target_of(EVENTS, Selector(namespace(obj), "", picked)))["items"]
    rows = [
        [event.get("type", ""), event.get("reason", ""), _age(event, now), _source(event), event.get("message", "")]
        for event in sorted(events, key=_last)
    ]
    if not rows:
        yield f"Events:       {_NONE}"
        return
    yield "Events:"
    yield from (f"  {line}" for line in table_lines(["Type", "Reason", "Age", "From", "Message"], rows))


def _source(event: Object) -> str:
    return (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""


def _last(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or metadata(event)["creationTimestamp"])


def _age(event: Object, now: datetime) -> str:
    seconds = max(0, int((now - datetime.fromisoformat(_last(event))).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
