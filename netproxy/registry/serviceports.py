"""The node ports of a Service: which it gets, and which wishes cannot be had.

Source: kubernetes pkg/registry/core/service/storage/alloc.go (initNodePorts, updateNodePorts, the health check's),
pkg/registry/core/service/portallocator (the words; behaviour).
"""

from __future__ import annotations

from typing import Any

from netproxy.core.errors import ApiError, ConflictError, ManifestError
from netproxy.objects.validation.service import needs_health_check
from netproxy.objects.validation.words import invalid
from netproxy.registry.allocate import Wish, full, internal

Spec = dict[str, Any]

_NO_PORT = 32768
"""What a dry run gets is above it."""
_TAKEN = "provided port is already allocated"


def with_ports(service: Spec, old: Spec | None, wish: Wish) -> None:
    """Give SERVICE its node ports. Raises ManifestError, ApiError."""
    wanted = _Wanted(wish)
    if service.get("type") in ("NodePort", "LoadBalancer"):
        ports = [dict(item) for item in service.get("ports") or ()]
        if old is None:
            _first(ports, wanted, hands_out=_hands_out(service))
        else:
            _next(ports, old, wanted, hands_out=_hands_out(service))
        service["ports"] = ports
    if needs_health_check(service) and not (old is not None and needs_health_check(old)):
        _health_check(service, wanted)


class _Wanted:
    """What one Service takes in one write."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._first, self._last = wish.cluster.node_ports
        self._pool = wish.holdings.ports
        self._mine: set[int] = set()

    def problem(self, number: int) -> str:
        """Take a port; or say why it cannot be had."""
        if not self._first <= number <= self._last:
            return f"provided port is not in the valid range. The range of valid ports is {self._first}-{self._last}"
        if number in self._mine or not self._pool.holders(number) <= {self._wish.owner}:
            return _TAKEN
        self._mine.add(number)
        return ""

    def next(self, what: str) -> int:
        """Take any port. Raises ApiError."""
        if self._wish.dry_run:
            number = max(self._mine, default=_NO_PORT) + 1
            self._mine.add(number)
            return number
        try:
            number = self._pool.free(self._mine)
        except ConflictError as error:
            raise full(f"failed to allocate a {what}") from error
        self._mine.add(number)
        return number


def _hands_out(service: Spec) -> bool:
    return service.get("type") == "NodePort" or service.get("allocateLoadBalancerNodePorts") is not False


def _first(ports: list[Spec], wanted: _Wanted, *, hands_out: bool) -> None:
    """Those of a new Service: ports of one number share one, whatever their protocols."""
    given: dict[int, int] = {}
    for index, item in enumerate(ports):
        number, own = item.get("port") or 0, item.get("nodePort") or 0
        if not own and not hands_out:
            continue
        shared = given.get(number, 0)
        if shared and own in (0, shared):
            item["nodePort"] = shared
            continue
        asked = (
            own if shared else next((p["nodePort"] for p in ports if p.get("port") == number and p.get("nodePort")), 0)
        )
        if asked:
            _take(asked, index, wanted)
        taken = asked or wanted.next("nodePort")
        if not shared:
            item["nodePort"] = given[number] = taken


def _next(ports: list[Spec], old: Spec, wanted: _Wanted, *, hands_out: bool) -> None:
    """Those of a new state: what it had it keeps."""
    had = {item.get("nodePort") for item in old.get("ports") or ()}
    taken: set[int] = set()
    seen: set[tuple[Any, int]] = set()
    for index, item in enumerate(ports):
        number = item.get("nodePort") or 0
        if not number and not hands_out:
            continue
        if number and number not in had and number not in taken:
            _take(number, index, wanted)
            taken.add(number)
        if not number:
            number = item["nodePort"] = wanted.next("nodePort")
        pair = (item.get("protocol"), number)
        if pair in seen:
            raise ApiError(500, "", f"duplicate nodePort: {{{pair[0]} {number}}}")
        seen.add(pair)


def _take(number: int, index: int, wanted: _Wanted) -> None:
    why = wanted.problem(number)
    if why:
        raise ManifestError([invalid(f"spec.ports[{index}].nodePort", number, why)])


def _health_check(service: Spec, wanted: _Wanted) -> None:
    asked = service.get("healthCheckNodePort") or 0
    why = wanted.problem(asked) if asked else ""
    if why:
        raise internal(f"failed to allocate requested HealthCheck NodePort {asked}: {why}")
    service["healthCheckNodePort"] = asked or wanted.next("HealthCheck NodePort 0")
