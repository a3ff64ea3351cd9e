"""The table of resources: how each is spelt in a path, on a command line and in a manifest, and where it is kept.

A row is one resource of one group and version. The same objects may be served in two groups (Event) or in two versions
(HorizontalPodAutoscaler): such rows share a `stored` key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource that the API serves; Kubernetes' GroupVersionResource with what else is known of it."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    kept_as: str = ""
    """The group resource whose objects these are, when it is another one."""

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """The resource without a version, as Kubernetes writes it in messages.

        >>> DEPLOYMENTS.group_resource, PODS.group_resource
        ('deployments.apps', 'pods')
        """
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def stored(self) -> str:
        """The key under which objects are kept: the same for all groups and versions of one kind.

        >>> EVENTS_V1.stored, HORIZONTAL_POD_AUTOSCALERS.stored
        ('events', 'horizontalpodautoscalers.autoscaling')
        """
        return self.kept_as or self.group_resource

    @property
    def singular(self) -> str:
        """Lower-case singular, as kubectl prints it."""
        return self.kind.lower()

    @property
    def prefix(self) -> str:
        """URL prefix of the group and version.

        >>> PODS.prefix, DEPLOYMENTS.prefix
        ('/api/v1', '/apis/apps/v1')
        """
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


_STATUS = ("status",)


def _core(plural: str, kind: str, *short: str, namespaced: bool = True, sub: tuple[str, ...] = ()) -> Resource:
    return Resource("", "v1", plural, kind, namespaced, short, sub)


NAMESPACES = _core("namespaces", "Namespace", "ns", namespaced=False, sub=("finalize", "status"))
NODES = _core("nodes", "Node", "no", namespaced=False, sub=_STATUS)
PODS = _core("pods", "Pod", "po", sub=("binding", "status"))
SERVICES = _core("services", "Service", "svc", sub=_STATUS)
EVENTS = _core("events", "Event", "ev")
CONFIG_MAPS = _core("configmaps", "ConfigMap", "cm")
SECRETS = _core("secrets", "Secret")
ENDPOINTS = _core("endpoints", "Endpoints", "ep")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", short=("deploy",), subresources=_STATUS)
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", short=("rs",), subresources=_STATUS)
HORIZONTAL_POD_AUTOSCALERS = Resource(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short=("hpa",), subresources=_STATUS
)
HORIZONTAL_POD_AUTOSCALERS_V1 = Resource(
    "autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short=("hpa",), subresources=_STATUS
)
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event", short=("ev",), kept_as="events")
SERVICE_CIDRS = Resource(
    "networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False, subresources=_STATUS
)
KUBE_PROXY_CONFIGURATIONS = Resource(
    "kubeproxy.config.k8s.io", "v1alpha1", "kubeproxyconfigurations", "KubeProxyConfiguration", namespaced=False
)
CLUSTERS = Resource("netproxy.dev", "v1alpha1", "clusters", "Cluster", namespaced=False)
IMAGES = Resource("netproxy.dev", "v1alpha1", "images", "Image", namespaced=False)

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES, NODES, PODS, SERVICES, EVENTS, CONFIG_MAPS, SECRETS, ENDPOINTS, DEPLOYMENTS, REPLICA_SETS, HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1, ENDPOINT_SLICES, EVENTS_V1, SERVICE_CIDRS, KUBE_PROXY_CONFIGURATIONS, CLUSTERS, IMAGES,
)  # fmt: skip
"""All resources; of two versions of one, the preferred (and stored) one comes first."""

_BY_KIND: dict[tuple[str, str], Resource] = {(r.api_version, r.kind): r for r in RESOURCES}
_BY_PATH: dict[tuple[str, str], Resource] = {(r.api_version, r.plural): r for r in RESOURCES}
_BY_WORD: dict[str, Resource] = {}
for _resource in RESOURCES:
    for _word in (_resource.plural, _resource.singular, *_resource.short, _resource.kind, _resource.group_resource):
        _BY_WORD.setdefault(_word, _resource)
_STORED: dict[str, Resource] = {r.stored: r for r in reversed(RESOURCES) if not r.kept_as}
KINDS: dict[str, Resource] = {}
"""The first resource of each kind's name."""
for _resource in RESOURCES:
    KINDS.setdefault(_resource.kind, _resource)


def resource_of(obj: Mapping[str, Any]) -> Resource | None:
    """The resource of an object, by its apiVersion and kind; None for a kind that is not served.

    >>> resource_of({"apiVersion": "apps/v1", "kind": "Deployment"}).plural
    'deployments'
    """
    return _BY_KIND.get((str(obj.get("apiVersion")), str(obj.get("kind"))))


def by_path(api_version: str, plural: str) -> Resource | None:
    """The resource of a URL: its group and version, and its plural.

    >>> by_path("events.k8s.io/v1", "events").stored
    'events'
    """
    return _BY_PATH.get((api_version, plural))


def stored_resource(resource: Resource) -> Resource:
    """The resource in whose group and version the objects of RESOURCE are kept.

    >>> stored_resource(EVENTS_V1) is EVENTS
    True
    """
    return _STORED[resource.stored]


def resource_of_word(word: str) -> Resource | None:
    """Find a resource by what people type: `svc`, `service`, `services`, `services.v1`, `deployments.apps`.

    >>> resource_of_word("svc").kind, resource_of_word("nonsense")
    ('Service', None)
    """
    return _BY_WORD.get(word) or _BY_WORD.get(word.lower()) or _BY_WORD.get(word.partition(".")[0].lower())
