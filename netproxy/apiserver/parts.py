"""What is done with a Pod beside writing it: binding it to a node, evicting it.

Source: kubernetes pkg/registry/core/pod/storage (BindingREST, LegacyBindingREST, EvictionREST).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netproxy.apiserver.body import BINDING, EVICTION, object_of
from netproxy.apiserver.options import deletion_of, write_options
from netproxy.apiserver.paths import Target
from netproxy.apiserver.request import Request, Response, json_response
from netproxy.apiserver.status import bad_request
from netproxy.core.errors import ApiError
from netproxy.core.names import NamespacedName
from netproxy.objects.meta import name, namespace
from netproxy.registry.binding import check_binding
from netproxy.registry.eviction import evict
from netproxy.registry.registry import Registry

_DONE = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(registry: Registry, request: Request, at: str, pod: str = "") -> Response:
    """POST of a Binding: of the Pod that the path names, or of the one that the Binding names."""
    options = write_options(request)
    binding = object_of(request, BINDING, options)
    if namespace(binding) not in ("", at):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    pod = pod or name(binding)
    if not pod:
        raise bad_request("Name parameter required.")
    check_binding(binding, pod)
    registry.bind(NamespacedName(at, pod), binding["target"]["name"], options, binding)
    return json_response(_DONE, 201)


def evict_pod(registry: Registry, request: Request, target: Target) -> Response:
    """POST of an Eviction."""
    options = write_options(request)
    eviction = object_of(request, EVICTION, options)
    if namespace(eviction) not in ("", target.namespace):
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if name(eviction) != target.name:
        raise bad_request("name in URL does not match name in Eviction object")
    wanted: dict[str, Any] = eviction.get("deleteOptions") or {}
    dry_run = list(wanted.get("dryRun") or ())
    if dry_run and options.dry_run and dry_run != list(request.values("dryRun")):
        asked = " ".join(request.values("dryRun"))
        why = f"Non-matching dry-run options in request and content: [{asked}] and [{' '.join(dry_run)}]"
        raise ApiError(500, "", why)
    options = replace(options, dry_run=options.dry_run or bool(dry_run))
    evict(registry, target.key, deletion_of(wanted), options)
    return json_response(_DONE, 201)
