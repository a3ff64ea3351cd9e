"""Everything that reads: one object, a list, a watch.

Source: kubernetes apiserver pkg/endpoints/handlers/get.go.
"""

from __future__ import annotations

from netproxy.apiserver.answer import many, one
from netproxy.apiserver.listing import ListOptions, list_options, version_number
from netproxy.apiserver.negotiate import Form, accepted, check_stream
from netproxy.apiserver.page import check_there, page
from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.status import bad_request
from netproxy.apiserver.watch import Watch
from netproxy.core.clock import Clock
from netproxy.objects.kinds import Resource
from netproxy.registry.convert import in_version
from netproxy.registry.scale import scale_of
from netproxy.store.store import Store

LONGEST_S = 1e9
SCALES = Resource("autoscaling", "v1", "scales", "Scale")


class Reader:
    """Reads one store for clients."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def read(self, request: Request, target: Target) -> Response | Watch:
        """The answer of a GET of objects. Raises NetproxyError."""
        if target.name and not target.is_watch:
            return self._one(request, target)
        form = accepted(request, streams=True)
        options = list_options(request, target)
        if options.is_watch or target.is_watch:
            return _watch(form, options, target)
        found = page(self._store, target, options)
        return many(form, target.resource, found.objects, found.meta, self._clock.now())

    def _one(self, request: Request, target: Target) -> Response:
        form = accepted(request, tables=target.has_table)
        if request.flag("export"):
            raise bad_request("the export parameter, deprecated since v1.14, is no longer supported")
        check_there(version_number(request.query.get("resourceVersion", "")), self._store)
        obj, resource = self._store.get(target.resource, target.key), target.resource
        if target.subresource == "scale":
            obj, resource = scale_of(in_version(obj, resource), resource), SCALES
        return one(form, resource, obj, self._clock.now())


def _watch(form: Form, options: ListOptions, target: Target) -> Watch:
    version = version_number(options.version)
    check_stream(form)
    initial = options.initial if options.initial is not None else version == 0
    timeout_s = float(max(options.timeout_s, 0))
    return Watch(
        target.resource, version, target.namespace, options.picks(target.resource), form, initial=initial,
        bookmarks=options.bookmarks, marks_initial=bool(options.initial) and options.bookmarks,
        timeout_s=timeout_s if options.timeout_s and timeout_s < LONGEST_S else None,
    )  # fmt: skip
