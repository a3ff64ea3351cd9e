"""The API server's metrics: what was asked, how long it took, what is stored. Names and labels are kube-apiserver's.

Source: kubernetes 1.36 staging/src/k8s.io/apiserver/pkg/endpoints/metrics/metrics.go.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netproxy.apiserver.paths import Target
from netproxy.store.store import Store

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
LABELS = ("component", "group", "resource", "scope", "subresource", "verb", "version")

Asked = tuple[str, ...]
"""The values of LABELS."""


@dataclass(slots=True)
class _Times:
    codes: dict[int, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0


class Requests:
    """Counts requests; cheap enough to be asked of every one."""

    def __init__(self) -> None:
        self._times: dict[Asked, _Times] = {}

    def add(self, method: str, target: Target | None, code: int, seconds: float) -> None:
        """One more, of a path that names TARGET."""
        times = self._times.setdefault(asked(method, target), _Times())
        times.codes[code] = times.codes.get(code, 0) + 1
        times.buckets[bisect_left(BUCKETS, seconds)] += 1
        times.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks a collector."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        total = CounterMetricFamily("apiserver_request", "Requests by code.", labels=("code", *LABELS))
        took = HistogramMetricFamily("apiserver_request_duration_seconds", "How long they took.", labels=LABELS)
        for labels, times in self._times.items():
            for code, count in times.codes.items():
                total.add_metric((str(code), *labels), count)
            sums, all_of_them = [], 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), times.buckets, strict=True):
                all_of_them += count
                sums.append((bound, all_of_them))
            took.add_metric(labels, sums, times.seconds)
        yield total
        yield took


def asked(method: str, target: Target | None) -> Asked:
    """How a request is counted.

    >>> asked("GET", None)
    ('apiserver', '', '', '', '', 'GET', '')
    """
    if target is None:
        return "apiserver", "", "", "", "", method, ""
    resource = target.resource
    scope = "resource" if target.name else "namespace" if target.namespace else "cluster"
    verb = "LIST" if method == "GET" and not target.name else method
    return "apiserver", resource.group, resource.plural, scope, target.subresource, verb, resource.version


def text(requests: Requests, store: Store) -> bytes:
    """`/metrics`."""
    from prometheus_client import CollectorRegistry, Gauge, PlatformCollector, ProcessCollector, generate_latest

    registry = CollectorRegistry()
    registry.register(requests)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    objects = Gauge("apiserver_storage_objects", "Stored objects.", ("resource",), registry=registry)
    for resource, count in store.counts().items():
        objects.labels(resource).set(count)
    return generate_latest(registry)
