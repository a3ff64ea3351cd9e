"""`netproxy status`, `rules`, `plan`, `verify`, `logs`: what is there, and whether it is right."""

from __future__ import annotations

import io
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import click

from netproxy.agent.paths import Paths
from netproxy.cli import complete
from netproxy.cli.client import Agent
from netproxy.cli.options import OneOf, cluster_option, namespace_option, node_option
from netproxy.cli.show import output_option, print_table, print_value
from netproxy.client.port import EVERYTHING
from netproxy.core.errors import NotFoundError
from netproxy.kubelet.logs import Reader, parts
from netproxy.objects.kinds import PODS
from netproxy.objects.messages import (
    LogsAnswer,
    LogsRequest,
    ModeAnswer,
    Nothing,
    PendingAnswer,
    PendingRequest,
    RulesAnswer,
    RulesLine,
    RulesRequest,
    StatusAnswer,
)


@click.command()
@output_option
@cluster_option
def status(output: str | None, where: Paths) -> None:
    """Say how the cluster is."""
    found = Agent(where).look("status", Nothing(), StatusAnswer)
    if output in ("json", "yaml"):
        print_value(found.to_json(), output)
        return
    if not found.mode:
        alone = f"a Kubernetes API{' and its controllers' * (found.scope == 'control-plane')}, no machines"
        click.echo(f"cluster {found.cluster}: agent process {found.agent.pid}, {alone}")
        click.echo(
            f"{found.pods.total} Pod{'s' * (found.pods.total != 1)}, {found.services} Service{'s' * (found.services != 1)}"
        )
        return
    click.echo(f"cluster {found.cluster}: agent process {found.agent.pid}, {found.mode} mode ({found.iptables})")
    click.echo(f"{found.pods.ready}/{found.pods.total} Pods ready, {found.services} Service{'s' * (found.services != 1)}; "
               f"DNS {', '.join(found.dns.addresses)} for {found.dns.domain}")  # fmt: skip
    for error in found.proxy.errors:
        click.echo(str(error))
    rows = [
        [n.name, n.namespace, ",".join(n.addresses), ",".join(n.pod_cidrs), n.pods, n.kube_proxy_version]
        for n in found.nodes
    ]
    rows.append(["client", found.client.namespace, ",".join(found.client.addresses), "", "", ""])
    print_table(["NODE", "NAMESPACE", "ADDRESSES", "POD RANGES", "PODS", "KUBE-PROXY"], rows)


@click.command()
@click.argument("service", shell_complete=complete.services)
@namespace_option
@node_option("On which node (default: the first).")
@click.option("--family", type=OneOf(["ipv4", "ipv6"]), default="ipv4", show_default=True)
@output_option
@cluster_option
def rules(service: str, namespace: str, node: str | None, family: str, output: str | None, where: Paths) -> None:
    """Show the rules of one Service on one node, in packet order, each with its reason and live counters."""
    asked = RulesRequest(service.rpartition("/")[2], namespace, node or "", family)
    found = Agent(where).look("rules", asked, RulesAnswer)
    if output in ("json", "yaml"):
        print_value(found.to_json(), output)
        return
    click.echo(f"Service {found.service} on {found.node} ({found.family}, {found.mode} mode)")
    for port in found.ports:
        name = f" ({port.name})" if port.name else ""
        targets = ", ".join(port.endpoints) or "no endpoints"
        click.echo(f"  {port.cluster_ip}:{port.port}/{port.protocol}{name} -> {targets}")
    if not found.rules:
        click.echo("  no rules: the proxy makes none for a Service without a ClusterIP in this family")
    chain = ""
    for line in found.rules:
        here = f"{line.table} {line.chain}"
        if here != chain:
            click.echo(f"\n{here}")
            chain = here
        seen = _seen(line)
        click.echo(f"  {seen}  {line.text}")
        click.echo(f"  {'':>22}  # {line.why}")


def _seen(line: RulesLine) -> str:
    if not line.present:
        return "   MISSING FROM THE KERNEL"
    if line.packets is None:  # nothing counts there
        return " " * 24
    return f"{line.packets:>6} pkts {line.bytes:>8} B"


@click.command()
@node_option("Only this node.")
@output_option
@cluster_option
def plan(node: str | None, output: str | None, where: Paths) -> None:
    """Show what the next sync would change, in the words of the mode's own tools (iptables-restore, nft, ipvsadm)."""
    items = Agent(where).look("pending", PendingRequest(node or ""), PendingAnswer).to_json()["items"]
    if output in ("json", "yaml"):
        print_value({"items": items}, output)
        return
    pending = [item for item in items if item["changes"]]
    for item in pending:
        click.echo(f"# {item['node']} {item['family']}: {item['changes']} changes")
        click.echo(item["plan"], nl=False)
    if not pending:
        click.echo("nothing to do")


@click.command()
@node_option("Only this node.")
@click.option("--flows", "flows", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Send the packets of this file instead, and compare how they end, in the mode that is on (below).")  # fmt: skip
@output_option
@cluster_option
def verify(node: str | None, flows: Path | None, output: str | None, where: Paths) -> None:
    """Compare the kernel with what should be there; exit status 1 on a difference, and on anything that is in the way.

    \b
    FILE of --flows (docs/flows.md has every word):
      flows:
        - id: a name for the report
          from: caller           # a Pod, a node or client, by name or address
          to: svc/web            # a Service, or an address
          port: 80
          proto: TCP             # or UDP
          expect: {result: accept, endpoints: ["10.244.0.2:8080"], masq: false}
    """
    if flows:
        _verify_flows(flows, output, where)
        return
    found = Agent(where).look("pending", PendingRequest(node or ""), PendingAnswer)
    items = found.to_json()["items"]
    wrong = any(item["changes"] for item in items) or bool(found.errors)
    if output in ("json", "yaml"):
        print_value(found.to_json(), output)
        sys.exit(1 if wrong else 0)
    for item in items:
        verdict = f"{item['changes']} differences" if item["changes"] else "as it should be"
        click.echo(f"{item['node']} {item['family']}: {verdict}")
        if item["changes"]:
            click.echo("".join(f"  {line}\n" for line in item["plan"].splitlines() if line != "COMMIT"), nl=False)
    for error in found.errors:
        click.echo(str(error))
    sys.exit(1 if wrong else 0)


def _verify_flows(file: Path, output: str | None, where: Paths) -> None:
    """Real packets; each in the mode of the node that it meets first."""
    from netproxy.labkit.flows import Sender, load_flows
    from netproxy.labkit.world import World

    checks = load_flows(file)
    agent = Agent(where)
    modes = {item.name: item.mode for item in agent.look("mode", Nothing(), ModeAnswer).nodes}
    world = World(agent)
    pods = world.objects(PODS, EVERYTHING)
    agent.join()
    sender = Sender(world, pods)
    nodes_there = world.status.nodes
    nodes = {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in pods}
    addresses = {ip["ip"]: pod["metadata"]["name"] for pod in pods for ip in pod["status"].get("podIPs") or ()}
    addresses |= {address: node.name for node in nodes_there for address in node.addresses}
    results = []
    for check in checks:
        source = addresses.get(check.source, check.source.rpartition("/")[2])
        mode = modes[nodes.get(source) or (source if source in modes else nodes_there[0].name)]
        results.append({"id": check.name, "mode": mode, "wrong": sender.check(check, mode)})
    if output in ("json", "yaml"):
        print_value({"items": results}, output)
    else:
        for item in results:
            verdict = f"FAIL  {item['id']}: {item['wrong']}" if item["wrong"] else f"pass  {item['id']}"
            click.echo(f"{verdict} ({item['mode']} mode)")
    sys.exit(1 if any(item["wrong"] for item in results) else 0)


@click.command()
@click.argument("pod", required=False, shell_complete=complete.pods)
@click.option("-c", "--container", help="Which container (default: the first).")
@namespace_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-p", "--previous", is_flag=True, help="Of the run before the last restart.")
@click.option("--tail", type=int, default=-1, help="Only the last lines.")
@click.option("--agent", "of_agent", is_flag=True, help="The agent's own log.")
@cluster_option
def logs(
    pod: str | None, container: str | None, namespace: str, follow: bool, previous: bool, tail: int, of_agent: bool,
    where: Paths,
) -> None:  # fmt: skip
    """Print what a container wrote; with --agent, what the agent wrote."""
    if of_agent:
        reader: Source = _File(where.log)
    elif pod:
        found = Agent(where).look("logs", LogsRequest(pod, namespace, container or ""), LogsAnswer)
        folder = Path(found.folder)
        reader = Reader(folder, _previous(folder, found) if previous else None)
    else:
        raise click.UsageError("logs of what? Give a POD, or --agent")
    pieces = iter(reader.read, b"")
    for piece in [_last_lines(pieces, tail)] if tail >= 0 else pieces:
        click.echo(piece, nl=False)
    if follow and not previous:
        _follow(reader)


class Source(Protocol):
    """What comes next, in pieces; empty when there is nothing more now. GONE when nothing will come."""

    def read(self) -> bytes: ...

    @property
    def gone(self) -> bool: ...


class _File:
    """One file that only grows."""

    gone = False

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.exists() else io.BytesIO()

    def read(self) -> bytes:
        return self._file.read(1 << 16)


def _follow(source: Source) -> None:
    pause = time.sleep  # noqa: TID251  # following a file has no event to wait for; a poll is what tail does too
    while not source.gone:
        for piece in iter(source.read, b""):
            click.echo(piece, nl=False)
        pause(0.2)


def _previous(folder: Path, found: LogsAnswer) -> int:
    runs = sorted({part.run for part in parts(folder)})
    if len(runs) < 2:
        raise NotFoundError(f'previous terminated container "{found.container}" in pod "{found.pod}" not found')
    return runs[-2]


def _last_lines(pieces: Iterable[bytes], tail: int) -> bytes:
    """The last lines, without keeping more than those."""
    kept: deque[bytes] = deque(maxlen=tail)
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        kept.extend(line + b"\n" for line in lines)
    if rest:
        kept.append(rest)
    return b"".join(kept)
