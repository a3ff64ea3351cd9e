"""The table of resources: how each is spelt in a path, on a command line and in a manifest, and where it is kept.

A row is one resource of one group and version. The same objects may be served in two groups (Event) or in two versions
(HorizontalPodAutoscaler): such rows share a `stored` key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netproxy.objects.custom.definition import Version


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
    categories: tuple[str, ...] = ()
    """The words that stand for many resources (`kubectl get all`)."""
    custom: Version | None = field(default=None, compare=False, repr=False)
    """What is known of a resource that somebody defined while the server ran."""

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

    def details(self, name: str) -> dict[str, str]:
        """How a Status names an object of this resource.

        >>> DEPLOYMENTS.details("web"), PODS.details("")
        ({'name': 'web', 'group': 'apps', 'kind': 'deployments'}, {'kind': 'pods'})
        """
        named = {"name": name, "group": self.group, "kind": self.plural}
        return {field: value for field, value in named.items() if value}

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
        return self.custom.definition.singular if self.custom is not None else self.kind.lower()

    @property
    def list_kind(self) -> str:
        """The kind of a list of its objects."""
        return self.custom.definition.list_kind if self.custom is not None else f"{self.kind}List"

    @property
    def prefix(self) -> str:
        """URL prefix of the group and version.

        >>> PODS.prefix, DEPLOYMENTS.prefix
        ('/api/v1', '/apis/apps/v1')
        """
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


_STATUS = ("status",)
_SCALED = ("scale", "status")
_ALL = ("all",)
_POD_PARTS = (
    "attach", "binding", "ephemeralcontainers", "eviction", "exec", "log", "portforward", "proxy", "resize", "status",
)  # fmt: skip


def _core(
    plural: str, kind: str, *short: str, namespaced: bool = True, sub: tuple[str, ...] = (), categories: tuple[str, ...] = ()
) -> Resource:  # fmt: skip
    return Resource("", "v1", plural, kind, namespaced, short, sub, categories=categories)


def _in(
    group: str, plural: str, kind: str, *short: str, version: str = "v1", namespaced: bool = True, sub: tuple[str, ...] = (),
    kept_as: str = "", categories: tuple[str, ...] = (),
) -> Resource:  # fmt: skip
    return Resource(group, version, plural, kind, namespaced, short, sub, kept_as, categories)


NAMESPACES = _core("namespaces", "Namespace", "ns", namespaced=False, sub=("finalize", "status"))
NODES = _core("nodes", "Node", "no", namespaced=False, sub=("proxy", "status"))
PODS = _core("pods", "Pod", "po", sub=_POD_PARTS, categories=_ALL)
SERVICES = _core("services", "Service", "svc", sub=("proxy", "status"), categories=_ALL)
EVENTS = _core("events", "Event", "ev")
CONFIG_MAPS = _core("configmaps", "ConfigMap", "cm")
SECRETS = _core("secrets", "Secret")
ENDPOINTS = _core("endpoints", "Endpoints", "ep")
SERVICE_ACCOUNTS = _core("serviceaccounts", "ServiceAccount", "sa", sub=("token",))
REPLICATION_CONTROLLERS = _core("replicationcontrollers", "ReplicationController", "rc", sub=_SCALED, categories=_ALL)
RESOURCE_QUOTAS = _core("resourcequotas", "ResourceQuota", "quota", sub=_STATUS)
LIMIT_RANGES = _core("limitranges", "LimitRange", "limits")
PERSISTENT_VOLUMES = _core("persistentvolumes", "PersistentVolume", "pv", namespaced=False, sub=_STATUS)
PERSISTENT_VOLUME_CLAIMS = _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", sub=_STATUS)
POD_TEMPLATES = _core("podtemplates", "PodTemplate")
DEPLOYMENTS = _in("apps", "deployments", "Deployment", "deploy", sub=_SCALED, categories=_ALL)
REPLICA_SETS = _in("apps", "replicasets", "ReplicaSet", "rs", sub=_SCALED, categories=_ALL)
STATEFUL_SETS = _in("apps", "statefulsets", "StatefulSet", "sts", sub=_SCALED, categories=_ALL)
DAEMON_SETS = _in("apps", "daemonsets", "DaemonSet", "ds", sub=_STATUS, categories=_ALL)
CONTROLLER_REVISIONS = _in("apps", "controllerrevisions", "ControllerRevision")
JOBS = _in("batch", "jobs", "Job", sub=_STATUS, categories=_ALL)
CRON_JOBS = _in("batch", "cronjobs", "CronJob", "cj", sub=_STATUS, categories=_ALL)
HORIZONTAL_POD_AUTOSCALERS = _in(
    "autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", version="v2", sub=_STATUS, categories=_ALL
)  # fmt: skip
HORIZONTAL_POD_AUTOSCALERS_V1 = _in(
    "autoscaling", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", version="v1", sub=_STATUS, categories=_ALL
)  # fmt: skip
ENDPOINT_SLICES = _in("discovery.k8s.io", "endpointslices", "EndpointSlice")
EVENTS_V1 = _in("events.k8s.io", "events", "Event", "ev", kept_as="events")
INGRESSES = _in("networking.k8s.io", "ingresses", "Ingress", "ing", sub=_STATUS)
INGRESS_CLASSES = _in("networking.k8s.io", "ingressclasses", "IngressClass", namespaced=False)
NETWORK_POLICIES = _in("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol")
SERVICE_CIDRS = _in("networking.k8s.io", "servicecidrs", "ServiceCIDR", namespaced=False, sub=_STATUS)
IP_ADDRESSES = _in("networking.k8s.io", "ipaddresses", "IPAddress", "ip", namespaced=False)
POD_DISRUPTION_BUDGETS = _in("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", sub=_STATUS)
LEASES = _in("coordination.k8s.io", "leases", "Lease")
ROLES = _in("rbac.authorization.k8s.io", "roles", "Role")
ROLE_BINDINGS = _in("rbac.authorization.k8s.io", "rolebindings", "RoleBinding")
CLUSTER_ROLES = _in("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = _in("rbac.authorization.k8s.io", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
STORAGE_CLASSES = _in("storage.k8s.io", "storageclasses", "StorageClass", "sc", namespaced=False)
PRIORITY_CLASSES = _in("scheduling.k8s.io", "priorityclasses", "PriorityClass", "pc", namespaced=False)
CUSTOM_RESOURCE_DEFINITIONS = _in(
    "apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", "crd", "crds", namespaced=False,
    sub=_STATUS, categories=("api-extensions",),
)  # fmt: skip
KUBE_PROXY_CONFIGURATIONS = _in(
    "kubeproxy.config.k8s.io", "kubeproxyconfigurations", "KubeProxyConfiguration", version="v1alpha1", namespaced=False
)
CLUSTERS = _in("netproxy.dev", "clusters", "Cluster", version="v1alpha1", namespaced=False)
IMAGES = _in("netproxy.dev", "images", "Image", version="v1alpha1", namespaced=False)

RESOURCES: tuple[Resource, ...] = (
    NAMESPACES, NODES, PODS, SERVICES, EVENTS, CONFIG_MAPS, SECRETS, ENDPOINTS, SERVICE_ACCOUNTS, REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS, LIMIT_RANGES, PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS, POD_TEMPLATES, DEPLOYMENTS, REPLICA_SETS,
    STATEFUL_SETS, DAEMON_SETS, CONTROLLER_REVISIONS, JOBS, CRON_JOBS, HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1, ENDPOINT_SLICES, EVENTS_V1, INGRESSES, INGRESS_CLASSES, NETWORK_POLICIES, SERVICE_CIDRS,
    IP_ADDRESSES, POD_DISRUPTION_BUDGETS, LEASES, ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, STORAGE_CLASSES,
    PRIORITY_CLASSES, CUSTOM_RESOURCE_DEFINITIONS, KUBE_PROXY_CONFIGURATIONS, CLUSTERS, IMAGES,
)  # fmt: skip
"""All resources; of two versions of one, the preferred (and stored) one comes first."""

REVIEWS: tuple[Resource, ...] = (
    _core("bindings", "Binding"),
    _in("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", namespaced=False),
    _in("authentication.k8s.io", "tokenreviews", "TokenReview", namespaced=False),
    _in("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview"),
    _in("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False),
    _in("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False),
    _in("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", namespaced=False),
)
"""Resources that are only ever created: a question, and its answer. Nothing of them is kept."""

NODE_METRICS = _in("metrics.k8s.io", "nodes", "NodeMetrics", version="v1beta1", namespaced=False)
POD_METRICS = _in("metrics.k8s.io", "pods", "PodMetrics", version="v1beta1")
METRICS: tuple[Resource, ...] = (NODE_METRICS, POD_METRICS)
"""Resources that are only ever read, and served where something is measured. Nothing of them is kept."""

IDLE: frozenset[Resource] = frozenset((
    PERSISTENT_VOLUMES, PERSISTENT_VOLUME_CLAIMS, STATEFUL_SETS, DAEMON_SETS, JOBS, CRON_JOBS,
    HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1, INGRESSES, NETWORK_POLICIES,
    STORAGE_CLASSES, PRIORITY_CLASSES,
))  # fmt: skip
"""Resources that are stored and shown, and nothing in a cluster acts on."""

_BY_KIND: dict[tuple[str, str], Resource] = {(r.api_version, r.kind): r for r in RESOURCES}
_BY_PATH: dict[tuple[str, str], Resource] = {(r.api_version, r.plural): r for r in (*RESOURCES, *REVIEWS, *METRICS)}
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
    custom = resource.custom
    return _STORED[resource.stored] if custom is None else custom.definition.storage.resource


def resource_of_word(word: str) -> Resource | None:
    """Find a resource by what people type: `svc`, `service`, `services`, `services.v1`, `deployments.apps`.

    >>> resource_of_word("svc").kind, resource_of_word("nonsense")
    ('Service', None)
    """
    return _BY_WORD.get(word) or _BY_WORD.get(word.lower()) or _BY_WORD.get(word.partition(".")[0].lower())
