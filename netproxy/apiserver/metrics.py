"""`metrics.k8s.io`: what Pods and Nodes use now, for `kubectl top`. Nothing of it is kept.

Source: metrics-server 0.8 pkg/api/{pod,node}.go, k8s.io/metrics pkg/apis/metrics/v1beta1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from netproxy.apiserver.listing import list_options
from netproxy.apiserver.negotiate import accepted
from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.status import not_allowed
from netproxy.core.clock import timestamp
from netproxy.core.errors import NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import NODE_METRICS, NODES, PODS
from netproxy.objects.meta import Object, key, labels, metadata, name, spec
from netproxy.store.store import Store


@dataclass(frozen=True, slots=True)
class Usage:
    """What something uses: billionths of a processor, and bytes."""

    cpu_n: int = 0
    memory: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(self.cpu_n + other.cpu_n, self.memory + other.memory)

    def told(self) -> dict[str, str]:
        """As quantities.

        >>> Usage(1_500_000, 4096).told()
        {'cpu': '1500000n', 'memory': '4Ki'}
        """
        return {"cpu": f"{self.cpu_n}n" if self.cpu_n else "0", "memory": f"{self.memory >> 10}Ki"}


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured: over how long, which nodes, and each container of each Pod that runs."""

    window_s: float
    nodes: tuple[str, ...]
    pods: Mapping[NamespacedName, Mapping[str, Usage]]


class Meter(Protocol):
    """Whoever measures."""

    def usage(self) -> Measured:
        """What there is now."""
        ...


def metrics(request: Request, target: Target, store: Store, meter: Meter, now: float) -> Response:
    """The answer of a GET of one or of many. Raises NetproxyError."""
    if request.method != "GET":
        raise not_allowed()
    form, measured = accepted(request, shapes=False), meter.usage()
    found = _nodes if target.resource is NODE_METRICS else _pods
    head = {"apiVersion": target.resource.api_version}
    kind = target.resource.kind
    if target.name:
        for item in found(store, measured, target, now):
            if name(item) == target.name:
                return form.response({"kind": kind, **head, **item})
        at = f"{target.namespace}/{target.name}" if target.namespace else target.name
        raise NotFoundError(f'{kind.lower()}.metrics.k8s.io "{at}" not found').with_details(
            name=at, group="metrics.k8s.io", kind=kind.lower()
        )
    picks = list_options(request, target).picks(target.resource)
    items = [item for item in found(store, measured, target, now) if picks is None or picks(item)]
    return form.response({"kind": f"{kind}List", **head, "metadata": {}, "items": items})


def _pods(store: Store, measured: Measured, target: Target, now: float) -> Iterator[Object]:
    pods = store.list(PODS, target.namespace) if target.namespace else store.all(PODS)
    for pod in sorted(pods, key=key):
        containers = measured.pods.get(key(pod))
        if containers:
            told = [{"name": each, "usage": usage.told()} for each, usage in sorted(containers.items())]
            yield {**_head(pod, measured, now), "containers": told}


def _nodes(store: Store, measured: Measured, target: Target, now: float) -> Iterator[Object]:
    del target
    used: dict[str, Usage] = dict.fromkeys(measured.nodes, Usage())
    for pod in store.all(PODS):
        where = spec(pod).get("nodeName")
        if where in used:
            used[where] = sum(measured.pods.get(key(pod), {}).values(), used[where])
    for node in sorted(store.all(NODES), key=name):
        if name(node) in used:
            yield {**_head(node, measured, now), "usage": used[name(node)].told()}


def _head(obj: Object, measured: Measured, now: float) -> dict[str, Any]:
    meta = {field: metadata(obj)[field] for field in ("name", "namespace") if field in metadata(obj)}
    marked = {"labels": labels(obj)} if labels(obj) else {}
    window = f"{measured.window_s:.3f}".rstrip("0").rstrip(".")
    return {
        "metadata": {**meta, "creationTimestamp": timestamp(now), **marked}, "timestamp": timestamp(now), "window": f"{window}s",
    }  # fmt: skip
