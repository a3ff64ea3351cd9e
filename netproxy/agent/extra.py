"""What the agent answers beside the Kubernetes API: status, apply, wait, entry, plan, verify, rules, down."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from netproxy.agent.machines import CLIENT
from netproxy.apiserver.request import Request, Response, json_response
from netproxy.core.errors import KernelError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.core.net import Family
from netproxy.kubelet import resolv
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.messages import Report
from netproxy.objects.kinds import DEPLOYMENTS, ENDPOINT_SLICES, PODS, SERVICES
from netproxy.objects.manifest import Loaded
from netproxy.objects.meta import Object, is_ready, key, labels, name, spec
from netproxy.objects.selector import label_selector, matches, selects

if TYPE_CHECKING:
    from netproxy.agent.agent import Agent

Handler = Callable[["Agent", Request], Awaitable[Response]]


async def answer(agent: Agent, request: Request) -> Response:
    """Answer one request below /netproxy/. Raises NetproxyError."""
    handler = _HANDLERS.get(request.path.removeprefix("/netproxy/"))
    if handler is None:
        raise NotFoundError(f"the agent has no {request.path}")
    return await handler(agent, request)


async def _status(agent: Agent, _: Request) -> Response:
    store = agent.store
    nodes = [
        {
            "name": n.name, "namespace": agent.paths.namespace_of(n.name), "addresses": list(n.addresses), "podCIDRs": list(n.pod_cidrs),
            "pods": sum(1 for p in store.all(PODS) if spec(p).get("nodeName") == n.name),
        }
        for n in agent.cluster.nodes
    ]  # fmt: skip
    pods = list(store.all(PODS))
    return json_response({
        "apiVersion": "netproxy.dev/v1alpha1", "kind": "Status", "cluster": agent.paths.cluster,
        "agent": {"pid": os.getpid(), "since": agent.started, "state": str(agent.paths.state), "resourceVersion": store.version},
        "mode": ", ".join(sorted({report.choice.mode for report in _reports(agent)})), "iptables": agent.cluster.iptables,
        "proxy": {"passes": sum(report.passes for report in _reports(agent)), "errors": agent.rule_errors()},
        "nodes": nodes,
        "client": {"namespace": agent.paths.namespace_of(CLIENT), "addresses": list(agent.cluster.client_addresses)},
        "pods": {"total": len(pods), "ready": sum(map(is_ready, pods))},
        "services": store.count(SERVICES), "endpointSlices": store.count(ENDPOINT_SLICES),
        "dns": {"domain": agent.cluster.dns_domain, "addresses": list(agent.cluster.dns_addresses)},
    })  # fmt: skip


def _reports(agent: Agent) -> list[Report]:
    """What each node's proxies last published."""
    return [report for proxy in agent.proxies.values() for report in proxy.reports.values()]


def _last_error(agent: Agent) -> str:
    """The first thing that keeps rules from being written; empty when they are."""
    return next((f"{r.node} {r.family}: {r.error}" for r in _reports(agent) if r.error), "")


async def _apply(agent: Agent, request: Request) -> Response:
    items = [Loaded(item["obj"], item["source"]) for item in orjson.loads(request.body)]
    return json_response({"applied": agent.apply(items)})


async def _wait(agent: Agent, request: Request) -> Response:
    settled, pods = await agent.settle(float(request.query.get("timeout", "30")))
    return json_response({"settled": settled, "notReady": pods, "errors": agent.rule_errors()})


async def _down(agent: Agent, _: Request) -> Response:
    agent.remove_cluster()
    return json_response({"ending": os.getpid()})


async def _entry(agent: Agent, request: Request) -> Response:
    return json_response(
        entry(agent, request.query["target"], request.query.get("namespace", "default"), request.query.get("container"))
    )


def entry(agent: Agent, target: str, in_namespace: str, container: str | None) -> dict[str, Any]:
    """How to enter a Pod, a node or the client, named as people name them. Raises NotFoundError with what there is."""
    kind, _, rest = target.rpartition("/")
    at = NamespacedName(in_namespace, rest)
    nodes = {node.name for node in agent.cluster.nodes}
    if kind in ("", "node", "nodes", "no") and (rest in nodes or rest == CLIENT):
        return _machine_entry(agent, rest)
    if kind in ("", "pod", "pods", "po"):
        if agent.store.find(PODS, at):
            return agent.kubelet.entry(at, container)
        pods = [] if kind else [p for p in _replicas(agent, at) if is_ready(p)]
        if pods:
            return agent.kubelet.entry(key(pods[0]), container)
    if kind in ("deploy", "deployment", "deployments", "svc", "service", "services"):
        pods = _ready_pods_of(agent, kind, at)
        if pods:
            return agent.kubelet.entry(key(pods[0]), container)
    there = ", ".join([*sorted(nodes), CLIENT, *(name(p) for p in agent.store.list(PODS, in_namespace))])
    raise NotFoundError(f'pods "{target}" not found in namespace {in_namespace}; there are {there}')


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


def _machine_entry(agent: Agent, machine: str) -> dict[str, Any]:
    etc = ""
    if machine == CLIENT:
        folder = agent.paths.state / "client" / "etc"
        folder.mkdir(parents=True, exist_ok=True)
        search = resolv.cluster_search("default", agent.cluster)
        (folder / "resolv.conf").write_text(resolv.render(list(agent.cluster.dns_addresses), search, ["ndots:5"]))
        etc = str(folder)
    return {"namespace": agent.paths.namespace_of(machine), "hostname": machine, "etc": etc, "env": {}, "cwd": ""}


async def _logs(agent: Agent, request: Request) -> Response:
    at = NamespacedName(request.query.get("namespace", "default"), request.query["pod"].rpartition("/")[2])
    pod = agent.store.find(PODS, at)
    if pod is None:
        near = _replicas(agent, at)
        if not near:
            raise NotFoundError(f'pods "{at.name}" not found')
        pod = near[0]
    names = [c["name"] for c in (*(spec(pod).get("initContainers") or ()), *spec(pod)["containers"])]
    wanted = request.query.get("container") or spec(pod)["containers"][0]["name"]
    if wanted not in names:
        raise NotFoundError(f"container {wanted} is not valid for pod {name(pod)}; it has {', '.join(names)}")
    return json_response({"folder": str(agent.kubelet.log_folder(pod, wanted)), "container": wanted, "pod": name(pod)})


async def _pending(agent: Agent, request: Request) -> Response:
    """What each proxy's next sync would change: the plan as text, and its size."""
    wanted = request.query.get("node", "")
    result = []
    for report in _reports(agent):
        if wanted and report.node != wanted:
            continue
        change = await agent.proxies[report.node].ask(report.family, FamilyProxy.pending)
        result.append({
            "node": report.node, "family": report.family.value, "mode": report.choice.mode, "changes": change.changes,
            "plan": change.text,
        })  # fmt: skip
    return json_response({"items": result})


async def _rules(agent: Agent, request: Request) -> Response:
    at = NamespacedName(request.query.get("namespace", "default"), request.query["service"])
    agent.store.get(SERVICES, at)
    node = request.query.get("node") or agent.cluster.nodes[0].name
    family = Family.IPV6 if request.query.get("family") == "ipv6" else Family.IPV4
    proxy = agent.proxies.get(node)
    if proxy is None or family not in proxy.reports:
        raise NotFoundError(f'nodes "{node}" not found; there are {", ".join(n.name for n in agent.cluster.nodes)}')
    found = await proxy.ask(family, lambda state: _lines(state, at))
    mode = found.pop("mode")
    return json_response({"node": node, "family": family.value, "mode": mode, "service": str(at), **found})


def _lines(proxy: FamilyProxy, at: NamespacedName) -> dict[str, Any]:
    found = proxy.lines(lambda service: (service.namespace, service.service) == at)
    return {
        "mode": proxy.choice.mode,
        "ports": [
            {"port": s.port, "name": s.port_name, "protocol": s.protocol.upper(), "clusterIP": s.cluster_ip,
             "endpoints": [e.target for e in s.endpoints]}
            for s in proxy.snapshot().services if (s.namespace, s.service) == at
        ],
        "rules": [{"port": service.name, **asdict(line)} for service, lines in found for line in lines],
    }  # fmt: skip


async def _mode(agent: Agent, request: Request) -> Response:
    """Put nodes into another mode and wait until their rules are those of the mode; without one, say which is on."""
    wanted = orjson.loads(request.body or b"{}")
    if wanted.get("mode"):
        agent.choose(wanted["mode"], wanted.get("layout") or "", wanted.get("node") or "")
        try:
            async with asyncio.timeout(wanted.get("timeout") or 60):
                await agent.rules_settled()
        except TimeoutError as error:
            raise KernelError(f"the rules are not there yet: {_last_error(agent) or 'still at it'}") from error
    nodes: dict[str, dict[str, str]] = {}
    for report in _reports(agent):
        nodes[report.node] = {"name": report.node, "mode": report.choice.mode, "layout": report.choice.layout}
    return json_response(
        {"nodes": list(nodes.values()), "errors": agent.rule_errors()}
    )


_HANDLERS: dict[str, Handler] = {
    "status": _status,
    "apply": _apply,
    "wait": _wait,
    "down": _down,
    "entry": _entry,
    "logs": _logs,
    "pending": _pending,
    "rules": _rules,
    "mode": _mode,
}
