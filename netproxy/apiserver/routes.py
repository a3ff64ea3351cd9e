"""Path and verb → what to ask of the registry. Pure: a Request in, a Response (or a Watch or Stream, to be served) out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from netproxy.apiserver.access import Access, NoSigner, is_review
from netproxy.apiserver.answer import reshaped
from netproxy.apiserver.connect import PARTS, Stream, connect
from netproxy.apiserver.metrics import Meter, metrics
from netproxy.apiserver.negotiate import accepted, in_form
from netproxy.apiserver.pages import lost, page
from netproxy.apiserver.paths import UNKNOWN, Target, meant, target_of
from netproxy.apiserver.proxied import Proxied, proxied
from netproxy.apiserver.read import Reader
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.status import bad_request, not_allowed, status, status_of, warning
from netproxy.apiserver.tokens import Signer
from netproxy.apiserver.watch import Watch
from netproxy.apiserver.write import Writer
from netproxy.core.clock import Clock
from netproxy.core.errors import NetproxyError, NotFoundError
from netproxy.objects.kinds import ENDPOINTS, METRICS, Resource
from netproxy.objects.quantity import duration_fault
from netproxy.registry.registry import Registry

log = logging.getLogger(__name__)

Answer = Response | Watch | Stream | Proxied

OUTDATED: Mapping[Resource, str] = {ENDPOINTS: "v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
"""Resources that should not be used any more: since when, and what instead."""


class Api:
    """Serves one registry."""

    def __init__(
        self, registry: Registry, clock: Clock, signer: Signer | None = None, meter: Meter | None = None
    ) -> None:  # fmt: skip
        """SIGNER signs the tokens of service accounts, METER measures what Pods use; without one there are none."""
        self._meter = meter
        self._measured = () if meter is None else METRICS
        self._customs = registry.customs
        self._clock = clock
        self.access = Access(registry.store, clock, signer or NoSigner(), registry.store.new_uid)
        self._store = registry.store
        self._reader = Reader(registry.store, clock)
        self._writer = Writer(registry, self.access.guard)

    def handle(self, request: Request) -> Answer:
        """Answer a request; errors, ours too, become Status objects."""
        answer = self._answer(request)
        return in_form(request, answer) if isinstance(answer, Response) else answer

    def refusal(self, request: Request) -> Response | None:
        """The refusal of a request for a page that is not ours; None when its user may have it."""
        try:
            self.access.admitted(request, None)
        except NetproxyError as error:
            return status_of(error)
        return None

    def _answer(self, request: Request) -> Answer:
        target: Target | None = None
        warned: list[str] = []
        request = replace(request, warn=warned.append)
        try:
            target = meant(request.path, self._customs.by_path)
            _check_timeout(request, target)
            request = self.access.admitted(request, target)
            served = (*self._customs.resources, *self._measured)
            found = self.access.published(request) or page(request, served)
            if found:
                return found
            target = target_of(request.path.rstrip("/"), self._customs.by_path)
            if self._is_lost(request, target):
                return lost()
            if target is None and self._customs.has_group(request.path):
                return lost()
            if target is None:
                return status(404, "NotFound", UNKNOWN, {})
            return _warned(self._serve(request, target), target, warned)
        except NetproxyError as error:
            if target is None and isinstance(error, NotFoundError) and self._customs.has_group(request.path):
                return lost() if error.details is None else status_of(error)
            return (
                _warned(status_of(error, target.resource, target.name), target, warned) if target else status_of(error)
            )
        except Exception as error:  # a fault of ours in one request ends no other
            log.exception("%s %s", request.method, request.path)
            return status_of(error)

    def _is_lost(self, request: Request, target: Target | None) -> bool:
        """Whether there is nothing at all at a path of a custom group."""
        if target is None or target.resource.custom is None:
            return False
        needs_namespace = bool(target.name) or request.method != "GET"
        return target.resource.namespaced and not target.namespace and needs_namespace

    def _serve(self, request: Request, target: Target) -> Answer:
        match request.method, target.subresource:
            case _ if target.resource in METRICS and self._meter:
                return metrics(request, target, self._store, self._meter, self._clock.now())
            case _ if is_review(target):
                return self._reshaped(request, target, self.access.review)
            case "POST", "token":
                return self._reshaped(request, target, self.access.token)
            case "GET", "" | "status" | "ephemeralcontainers" | "resize" | "scale":
                return self._reader.read(request, target)
            case _ if target.is_watch:
                raise not_allowed()
            case _, part if part in PARTS:
                if part != "log":  # whoever only may read may not do this, however it is asked for
                    self.access.check(replace(request, method="POST"), target)
                return connect(request, target, self._store)
            case _, "proxy":
                return proxied(request, target, self._store)
            case _:
                return self._reshaped(request, target, self._writer.write)

    def _reshaped(self, request: Request, target: Target, write: Callable[[Request, Target], Response]) -> Response:
        """Write, and answer in the form that the client accepts; nothing is written when there is none."""
        form = accepted(request, tables=target.has_table)
        return reshaped(form, target.resource, write(request, target), self._clock.now())


def _check_timeout(request: Request, target: Target | None) -> None:
    """Raise ApiError (400) when the time that an answer may take is none; what is asked for as long as it lasts has no such time."""
    wanted = request.query.get("timeout", "")
    lasts = target and (target.is_watch or request.flag("watch") or target.subresource in (*PARTS, "proxy"))
    why = "" if lasts or not wanted else duration_fault(wanted)
    if why:
        raise bad_request(f"invalid timeout specified in the request URL - {why}")


def _warned(answer: Answer, target: Target, warned: list[str]) -> Answer:
    """The answer with what the client is warned of, and what there is to say against its resource, whatever was asked of it."""
    if isinstance(answer, Stream | Proxied):
        return answer
    resource = target.resource
    why = OUTDATED.get(resource)
    if why is not None:
        warned = [f"{resource.version} {resource.kind} is deprecated in {why}", *warned]
    if resource.custom is not None and resource.custom.warning:
        warned = [resource.custom.warning, *warned]
    headers = tuple(("Warning", warning(text)) for text in dict.fromkeys(warned))
    return replace(answer, headers=(*headers, *answer.headers)) if headers else answer
