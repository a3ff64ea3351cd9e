"""What the agent answers beside the Kubernetes API, below /netproxy/: typed requests in, typed answers out.

docs/api.md describes every path. Wrong input is a Status of 400 that names the field, what is wrong and what there is.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict

from netproxy.agent.agent import Agent
from netproxy.agent.doors import Door, Doors, answered, down, listen, well_formed
from netproxy.agent.machines import CLIENT
from netproxy.apiserver.request import Request, Response
from netproxy.core.errors import ApiError, ManifestError, NotFoundError, Problem
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.kubelet.loop import Kubelet
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.messages import Report
from netproxy.nodeproxy.modes.make import missing_for
from netproxy.objects import messages
from netproxy.objects.kinds import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES
from netproxy.objects.messages import Nothing, RuleError
from netproxy.objects.meta import Object, is_ready, key, labels, name, spec
from netproxy.objects.selector import label_selector, matches, selects
from netproxy.objects.typed import Message, shown

PREFIX = "/netproxy/"


async def answer(agent: Agent, request: Request) -> Response:
    """Answer one request below /netproxy/. Raises NetproxyError."""
    return await answered(agent, DOORS, request)


# --- status


async def _status(agent: Agent, _: Nothing) -> Message:
    cluster, pods = agent.cluster, list(agent.store.all(PODS))
    on_node = [spec(pod).get("nodeName") for pod in pods]
    namespace_of, modes = agent.paths.namespace_of, {item.name: item for item in _modes(agent)}
    return messages.StatusAnswer(
        "netproxy.dev/v1alpha1", "Status", agent.paths.cluster, agent.scope.value,
        messages.AgentStatus(os.getpid(), agent.started, str(agent.paths.state), agent.store.version),
        ", ".join(sorted({item.mode for item in modes.values()})), cluster.iptables,
        messages.ProxyStatus(_passes(agent), _errors(agent)),
        tuple(
            messages.NodeStatus(
                node.name, namespace_of(node.name), tuple(node.addresses), tuple(node.pod_cidrs), on_node.count(node.name),
                modes[node.name].kube_proxy_version,
            )
            for node in cluster.nodes
        ),
        messages.ClientStatus(namespace_of(CLIENT), tuple(cluster.client_addresses)),
        messages.PodCounts(len(pods), sum(map(is_ready, pods))),
        agent.store.count(SERVICES), agent.store.count(ENDPOINT_SLICES),
        messages.DnsStatus(cluster.dns_domain, tuple(cluster.dns_addresses)),
    )  # fmt: skip


# --- objects


async def _apply(agent: Agent, asked: messages.ApplyRequest) -> Message:
    return messages.ApplyAnswer(tuple(agent.apply(well_formed(asked))))


async def _wait(agent: Agent, asked: messages.WaitRequest) -> Message:
    settled, pods = await agent.settle(asked.timeout)
    return messages.WaitAnswer(settled, tuple(pods), _errors(agent))


# --- places


async def _entry(agent: Agent, asked: messages.EntryRequest) -> Message:
    """How to enter a Pod, a node or the client, named as people name them."""
    kind, _, rest = asked.target.rpartition("/")
    at = NamespacedName(asked.namespace, rest)
    nodes = {node.name for node in agent.cluster.nodes}
    if kind in ("", "node", "nodes", "no") and (rest in nodes or rest == CLIENT):
        return _machine_entry(agent, rest)
    pod = _pod_meant(agent, kind, at)
    if pod is None:
        there = ", ".join([*sorted(nodes), CLIENT, *(name(p) for p in agent.store.list(PODS, at.namespace))])
        raise NotFoundError(f'pods "{asked.target}" not found in namespace {at.namespace}; there are {there}')
    return messages.EntryAnswer(**_kubelet(agent).entry(pod, asked.container or None))


def _pod_meant(agent: Agent, kind: str, at: NamespacedName) -> NamespacedName | None:
    """The Pod of this name, or a ready one of the workload or Service that has it."""
    pods: list[Object] = []
    if kind in ("", "pod", "pods", "po"):
        if agent.store.find(PODS, at):
            return at
        pods = [] if kind else [p for p in _replicas(agent, at) if is_ready(p)]
    elif kind in ("deploy", "deployment", "deployments", "svc", "service", "services"):
        pods = _ready_pods_of(agent, kind, at)
    return key(pods[0]) if pods else None


def _replicas(agent: Agent, at: NamespacedName) -> list[Object]:
    """The Pods whose names begin with this one and a dash: what a workload of that name made."""
    return [p for p in agent.store.list(PODS, at.namespace) if name(p).startswith(at.name + "-")]


def _ready_pods_of(agent: Agent, kind: str, at: NamespacedName) -> list[Object]:
    """The ready Pods that a Deployment or a Service selects."""
    pods = [p for p in agent.store.list(PODS, at.namespace) if is_ready(p)]
    if kind.startswith("deploy"):
        terms = label_selector(spec(agent.store.get(DEPLOYMENTS, at)).get("selector"))
        return [p for p in pods if matches(terms, labels(p))]
    wanted = spec(agent.store.get(SERVICES, at)).get("selector")
    return [p for p in pods if selects(wanted, labels(p))]


def _machine_entry(agent: Agent, machine: str) -> messages.EntryAnswer:
    etc = str(agent.paths.client_etc) if machine == CLIENT else ""
    return messages.EntryAnswer(agent.paths.namespace_of(machine), machine, etc, {}, "", 0, {}, "")


async def _logs(agent: Agent, asked: messages.LogsRequest) -> Message:
    at = NamespacedName(asked.namespace, asked.pod.rpartition("/")[2])
    found = agent.store.find(PODS, at)
    pod = found or next(iter(_replicas(agent, at)), None)
    if pod is None:
        there = ", ".join(name(item) for item in agent.store.list(PODS, at.namespace)) or "none"
        raise NotFoundError(f'pods "{at.name}" not found in namespace {at.namespace}; there are {there}')
    names = [c["name"] for c in (*(spec(pod).get("initContainers") or ()), *spec(pod)["containers"])]
    wanted = asked.container or spec(pod)["containers"][0]["name"]
    if wanted not in names:
        raise NotFoundError(f"container {wanted} is not valid for pod {name(pod)}; it has {', '.join(names)}")
    return messages.LogsAnswer(str(_kubelet(agent).log_folder(pod, wanted)), wanted, name(pod))


# --- rules


async def _pending(agent: Agent, asked: messages.PendingRequest) -> Message:
    """What each proxy's next sync would change."""
    _check_node(agent, asked.node)
    items = []
    for report in _reports(agent, asked.node):
        change = await agent.proxies[report.node].ask(report.family, FamilyProxy.pending)
        items.append(
            messages.PendingItem(report.node, report.family.value, report.choice.mode, change.changes, change.text)
        )
    errors = tuple(error for error in _errors(agent) if asked.node in ("", error.node))
    return messages.PendingAnswer(tuple(items), errors)


async def _rules(agent: Agent, asked: messages.RulesRequest) -> Message:
    at = NamespacedName(asked.namespace, asked.service)
    if agent.store.find(SERVICES, at) is None:
        there = ", ".join(name(item) for item in agent.store.list(SERVICES, at.namespace)) or "none"
        raise NotFoundError(f'services "{at.name}" not found in namespace {at.namespace}; there are {there}')
    _check_node(agent, asked.node)
    node = asked.node or agent.cluster.nodes[0].name
    family = Family.IPV6 if asked.family == "ipv6" else Family.IPV4
    return await agent.proxies[node].ask(family, lambda proxy: _rules_of(proxy, at))


def _rules_of(proxy: FamilyProxy, at: NamespacedName) -> messages.RulesAnswer:
    found = proxy.lines(lambda service: (service.namespace, service.service) == at)
    ports = tuple(
        messages.RulesPort(s.port, s.port_name, s.protocol.upper(), s.cluster_ip, tuple(e.target for e in s.endpoints))
        for s in proxy.snapshot().services
        if (s.namespace, s.service) == at
    )
    lines = tuple(messages.RulesLine(port=service.name, **asdict(line)) for service, lines in found for line in lines)
    return messages.RulesAnswer(proxy.node, proxy.view.family.value, proxy.choice.mode, str(at), ports, lines)


async def _which_mode(agent: Agent, _: Nothing) -> Message:
    return messages.ModeAnswer(_modes(agent), _errors(agent))


async def _mode(agent: Agent, asked: messages.ModeRequest) -> Message:
    """Put nodes into another mode and wait until their rules are those of the mode."""
    _check_node(agent, asked.node)
    lacking = missing_for(asked.mode)
    if lacking:
        raise ManifestError([Problem("mode", f'Unsupported value: "{asked.mode}": it is not possible here: {lacking}')])
    agent.choose(asked.mode, asked.layout, asked.kube_proxy_version, asked.node)
    try:
        async with asyncio.timeout(asked.timeout):
            await agent.rules_settled()
    except TimeoutError as error:
        why = "; ".join(map(str, _errors(agent))) or "still at it"
        raise ApiError(504, "Timeout", f"the rules are not there yet: {why}") from error
    return messages.ModeAnswer(_modes(agent), _errors(agent))


def _check_node(agent: Agent, node: str) -> None:
    """Raises ManifestError naming the nodes that there are."""
    there = [item.name for item in agent.cluster.nodes]
    if node and node not in there:
        why = f'Not found: "{shown(node)}": there are {", ".join(there)}'
        raise ManifestError([Problem("node", why, reason="FieldValueNotFound")])


# --- where the answers come from


def _kubelet(agent: Agent) -> Kubelet:
    assert agent.kubelet is not None  # it is there before anybody listens
    return agent.kubelet


def _reports(agent: Agent, node: str = "") -> list[Report]:
    """What the proxies of a node, or of all, last published."""
    return [report for name, proxy in agent.proxies.items() if node in ("", name) for report in proxy.reports.values()]


def _modes(agent: Agent) -> tuple[messages.NodeMode, ...]:
    by_node = {report.node: report.choice for report in _reports(agent)}
    return tuple(messages.NodeMode(node, one.mode, one.layout, one.version.name) for node, one in by_node.items())


def _passes(agent: Agent) -> int:
    return sum(report.passes for report in _reports(agent))


def _errors(agent: Agent) -> tuple[RuleError, ...]:
    """Why rules cannot be written now, for each node and family."""
    return tuple(RuleError(**error) for error in agent.rule_errors())


DOORS: Doors = {
    "status": {"GET": Door(Nothing, _status)},
    "apply": {"POST": Door(messages.ApplyRequest, _apply)},
    "wait": {"GET": Door(messages.WaitRequest, _wait)},
    "listen": {"POST": Door(Nothing, listen)},
    "down": {"POST": Door(Nothing, down)},
    "entry": {"GET": Door(messages.EntryRequest, _entry)},
    "logs": {"GET": Door(messages.LogsRequest, _logs)},
    "pending": {"GET": Door(messages.PendingRequest, _pending)},
    "rules": {"GET": Door(messages.RulesRequest, _rules)},
    "mode": {"GET": Door(Nothing, _which_mode), "POST": Door(messages.ModeRequest, _mode)},
}
"""Every path below /netproxy/ with its methods."""
