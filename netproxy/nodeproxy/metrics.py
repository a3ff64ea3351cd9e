"""kube-proxy's metrics of one node's proxy, by prometheus_client; names, labels and buckets are kube-proxy's.

Source: kubernetes 1.36 pkg/proxy/metrics/metrics.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from netproxy.core.errors import KernelError
from netproxy.core.net import Family
from netproxy.nodeproxy.family import FamilyProxy
from netproxy.nodeproxy.messages import Heard, Report
from netproxy.proxy.iptables_service import LOCALHOST_COUNTER
from netproxy.proxy.iptables_shared import INVALID_COUNTER
from netproxy.proxy.model import ServicePort

_SYNC = tuple(0.001 * 2**power for power in range(15))
_PROGRAMMING = (0.25, 0.5, *range(1, 60), *range(60, 120, 5), *range(120, 301, 30))
_FAMILY = ("ip_family",)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is counted only when somebody asks."""

    rules: tuple[tuple[str, int], ...] = ()
    """Of iptables: how many rules of ours each table has."""
    without_local: tuple[tuple[str, int], ...] = ()
    """Traffic policy (`internal`, `external`) → Services with policy Local that have no endpoint on this node."""
    packets: tuple[tuple[str, int], ...] = ()
    """nfacct object → how many packets were counted in it; none where rules do not count."""


def figures(proxy: FamilyProxy) -> Figures:
    """Count; a question for the worker."""
    services = proxy.served().services
    lonely = [s for s in services if (s.internal_local or s.external_local) and _has_none_here(s)]
    counts = (
        ("internal", len({_key(s) for s in lonely if s.internal_local})),
        ("external", len({_key(s) for s in lonely if s.external_local})),
    )
    return Figures(rule_counts(proxy), counts, packet_counts(proxy))


def rule_counts(proxy: FamilyProxy) -> tuple[tuple[str, int], ...]:
    """How many rules of ours each iptables table has; none in a mode without any."""
    if proxy.mode.name == "nftables":
        return ()
    tables = proxy.host.iptables.present().tables.values()
    return tuple(
        (table.name, sum(len(c.rules) for name, c in table.chains.items() if name.startswith("KUBE-")))
        for table in tables
    )


def packet_counts(proxy: FamilyProxy) -> tuple[tuple[str, int], ...]:
    """How many packets the rules of ours have counted; none where they do not count, or the kernel does not say."""
    if proxy.view.nfacct:
        with suppress(KernelError):
            found = proxy.host.packet_counters.read()
            return tuple((name, found[name][0]) for name in _PACKETS if name in found)
    return ()


def _key(service: ServicePort) -> tuple[str, str, str]:
    return service.namespace, service.service, service.port_name


def _has_none_here(service: ServicePort) -> bool:
    usable = [e for e in service.endpoints if e.ready or (e.serving and e.terminating)]
    return bool(usable) and not any(e.local for e in usable)


class _Counted(Collector):
    """What the kernel itself counts."""

    def __init__(self) -> None:
        self.packets: tuple[tuple[str, int], ...] = ()

    def collect(self) -> Iterator[CounterMetricFamily]:
        for counter, number in self.packets:
            name, text = _PACKETS[counter]
            yield CounterMetricFamily(f"kubeproxy_iptables_{name}_packets_total", text, value=number)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not typed it
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._histograms = {
            name: Histogram(f"kubeproxy_{name}", text, _FAMILY, buckets=buckets, registry=registry)
            for name, text, buckets in _HISTOGRAMS
        }
        self._gauges = {
            name: Gauge(f"kubeproxy_{name}", text, labels, registry=registry) for name, text, labels in _GAUGES
        }
        self._counters = {
            name: Counter(f"kubeproxy_{name}", text, labels, registry=registry) for name, text, labels in _COUNTERS
        }
        self._counted = _Counted()
        registry.register(self._counted)
        self._known: dict[Family, Report] = {}

    def note(self, report: Report) -> None:
        """A worker has published a report."""
        family = report.family.value
        before = self._known.get(report.family)
        self._known[report.family] = report
        failures = report.failures - (before.failures if before else 0)
        if failures:
            kind = "nftables_sync_failures" if report.choice.mode == "nftables" else "iptables_restore_failures"
            self._counters[f"sync_proxy_rules_{kind}"].labels(family).inc(failures)
        if report.passes > (before.passes if before else 0):
            self._passed(report, family)

    def _passed(self, report: Report, family: str) -> None:
        last = report.last
        kind = "full" if last.is_full else "partial"
        for name in ("sync_proxy_rules", f"sync_{kind}_proxy_rules"):
            self._histograms[f"{name}_duration_seconds"].labels(family).observe(last.took_s)
        for delay in last.programmed_s:
            self._histograms["network_programming_duration_seconds"].labels(family).observe(max(0.0, delay))
        self._gauges["sync_proxy_rules_last_timestamp_seconds"].labels(family).set(report.synced_at)
        if last.flows_s:
            self._histograms["conntrack_reconciler_sync_duration_seconds"].labels(family).observe(last.flows_s)
            self._counters["conntrack_reconciler_deleted_entries"].labels(family).inc(last.forgotten_flows)

    def queued(self, family: Family, at: float) -> None:
        """Something began to wait for a pass."""
        self._gauges["sync_proxy_rules_last_queued_timestamp_seconds"].labels(family.value).set(at)

    def told(self, heard: Heard, before: Heard, reports: Iterable[Report]) -> None:
        """How many changes came since BEFORE, and how many the slowest family does not follow yet."""
        followed = [report.heard for report in reports]
        for name, now, then, done in (
            ("service", heard.services, before.services, min((f.services for f in followed), default=0)),
            ("endpoint", heard.slices, before.slices, min((f.slices for f in followed), default=0)),
        ):
            self._counters[f"sync_proxy_rules_{name}_changes"].inc(now - then)
            self._gauges[f"sync_proxy_rules_{name}_changes_pending"].set(now - done)

    def count(self, family: Family, found: Figures) -> None:
        """Figures that were asked for."""
        for table, count in found.rules:
            for name in ("sync_proxy_rules_iptables_total", "sync_proxy_rules_iptables_last"):
                self._gauges[name].labels(family.value, table).set(count)
        for policy, count in found.without_local:
            self._gauges["sync_proxy_rules_no_local_endpoints_total"].labels(family.value, policy).set(count)
        self._counted.packets = found.packets  # both families of a namespace share the objects

    def answered(self, page: str, status: int) -> None:
        """`healthz` or `livez` was asked."""
        self._counters[f"proxy_{page}"].labels(str(status)).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)


_PACKETS = {
    INVALID_COUNTER: ("ct_state_invalid_dropped", "packets dropped by iptables to work around conntrack problems"),
    LOCALHOST_COUNTER: (
        "localhost_nodeports_accepted",
        "Number of packets accepted on nodeports of loopback interface",
    ),
}
"""nfacct object → the middle of its metric's name, and its help."""
_HISTOGRAMS = (
    ("sync_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds", _SYNC),
    ("sync_full_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds for full resyncs", _SYNC),
    ("sync_partial_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds for partial resyncs", _SYNC),
    ("conntrack_reconciler_sync_duration_seconds", "ReconcileConntrackFlowsLatency latency in seconds", _SYNC),
    ("network_programming_duration_seconds", "In Cluster Network Programming Latency in seconds", _PROGRAMMING),
)
_GAUGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("sync_proxy_rules_last_timestamp_seconds", "The last time proxy rules were successfully synced", _FAMILY),
    ("sync_proxy_rules_last_queued_timestamp_seconds", "The last time a sync of proxy rules was queued", _FAMILY),
    ("sync_proxy_rules_service_changes_pending", "Pending proxy rules Service changes", ()),
    ("sync_proxy_rules_endpoint_changes_pending", "Pending proxy rules Endpoint changes", ()),
    ("sync_proxy_rules_iptables_total", "Total number of iptables rules owned by kube-proxy", ("ip_family", "table")),
    ("sync_proxy_rules_iptables_last", "Number of iptables rules written by kube-proxy in last sync", ("ip_family", "table")),
    ("sync_proxy_rules_no_local_endpoints_total",
     "Number of services with a Local traffic policy and no endpoints", ("ip_family", "traffic_policy")),
)  # fmt: skip
_COUNTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("sync_proxy_rules_service_changes", "Cumulative proxy rules Service changes", ()),
    ("sync_proxy_rules_endpoint_changes", "Cumulative proxy rules Endpoint changes", ()),
    ("sync_proxy_rules_iptables_restore_failures", "Cumulative proxy iptables restore failures", _FAMILY),
    (
        "sync_proxy_rules_iptables_partial_restore_failures",
        "Cumulative proxy iptables partial restore failures",
        _FAMILY,
    ),
    ("sync_proxy_rules_nftables_sync_failures", "Cumulative proxy nftables sync failures", _FAMILY),
    ("sync_proxy_rules_nftables_cleanup_failures", "Cumulative proxy nftables cleanup failures", _FAMILY),
    ("conntrack_reconciler_deleted_entries", "Cumulative conntrack flows deleted by conntrack reconciler", _FAMILY),
    ("proxy_healthz", "Cumulative proxy healthz HTTP status", ("code",)),
    ("proxy_livez", "Cumulative proxy livez HTTP status", ("code",)),
)
