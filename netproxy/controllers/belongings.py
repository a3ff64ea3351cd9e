"""What every Namespace has, whoever made it: a ServiceAccount for its Pods, and the certificate by which they know the API.

Source: kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go, pkg/controller/certificates/rootcacertpublisher
(behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable

from netproxy.controllers.port import NOTHING, Controller, Outcome
from netproxy.core.names import NamespacedName
from netproxy.objects.change import Create, Event, IndexedView, Update
from netproxy.objects.kinds import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from netproxy.objects.meta import Object, annotations_of, is_deleting, key, metadata, name, namespace
from netproxy.objects.trust import DESCRIPTION, ROOT_CA, USE, root_ca_object

DEFAULT = "default"
"""The ServiceAccount of who names none."""


def _account(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
    """Make the default account when it is missing; one that is there is its owner's."""
    there = NamespacedName(at.name, DEFAULT)
    if not _is_active(view, at) or view.find(SERVICE_ACCOUNTS, there) is not None:
        return NOTHING
    return Outcome((Create(_named("ServiceAccount", there)),))


def _is_active(view: IndexedView, at: NamespacedName) -> bool:
    space = view.find(NAMESPACES, at)
    return space is not None and not is_deleting(space)


def _named(kind: str, at: NamespacedName) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": at.name, "namespace": at.namespace}}


def _itself(view: IndexedView, event: Event) -> Iterable[NamespacedName]:
    return () if event.type == "DELETED" else (key(event.obj),)


def _namespace_of(wanted: str, event: Event) -> Iterable[NamespacedName]:
    return (NamespacedName("", namespace(event.obj)),) if name(event.obj) == wanted else ()


SERVICE_ACCOUNT_CONTROLLER = Controller(
    "service-account", {NAMESPACES: _itself, SERVICE_ACCOUNTS: lambda _, event: _namespace_of(DEFAULT, event)}, _account
)


def root_ca_publisher(certificate: str) -> Controller[NamespacedName]:
    """The controller that keeps CERTIFICATE (PEM), which vouches for the API, in every Namespace."""
    data = {"ca.crt": certificate}
    told = {DESCRIPTION: USE}

    def reconcile(view: IndexedView, at: NamespacedName, now: float) -> Outcome:
        there = NamespacedName(at.name, ROOT_CA)
        if not _is_active(view, at):
            return NOTHING
        config = view.find(CONFIG_MAPS, there)
        if config is None:
            return Outcome((Create(root_ca_object(at.name, certificate)),))
        if config.get("data") == data and annotations_of(config).get(DESCRIPTION):
            return NOTHING
        meta = {**metadata(config), "annotations": {**annotations_of(config), **told}}
        return Outcome((Update({**config, "metadata": meta, "data": data}),))

    return Controller(
        "root-ca-certificate-publisher",
        {NAMESPACES: _itself, CONFIG_MAPS: lambda _, event: _namespace_of(ROOT_CA, event)}, reconcile,
    )  # fmt: skip
