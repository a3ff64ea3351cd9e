"""The table of kinds: how each is spelt in a path, on a command line and in a manifest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """API version without the group."""
        return self.api_version.rpartition("/")[2]

    @property
    def singular(self) -> str:
        """Lower-case singular, as kubectl prints it."""
        return self.kind.lower()

    @property
    def prefix(self) -> str:
        """URL prefix of the group and version.

        >>> BY_PLURAL["pods"].prefix, BY_PLURAL["deployments"].prefix
        ('/api/v1', '/apis/apps/v1')
        """
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"


KINDS: tuple[Kind, ...] = (
    Kind("v1", "Namespace", "namespaces", namespaced=False, short=("ns",), subresources=("status",)),
    Kind("v1", "Node", "nodes", namespaced=False, short=("no",), subresources=("status",)),
    Kind("v1", "Pod", "pods", short=("po",), subresources=("status",)),
    Kind("v1", "Service", "services", short=("svc",), subresources=("status",)),
    Kind("v1", "Event", "events", short=("ev",)),
    Kind("v1", "ConfigMap", "configmaps", short=("cm",)),
    Kind("v1", "Endpoints", "endpoints", short=("ep",)),
    Kind("apps/v1", "Deployment", "deployments", short=("deploy",), subresources=("status",)),
    Kind("apps/v1", "ReplicaSet", "replicasets", short=("rs",), subresources=("status",)),
    Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Kind("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", namespaced=False),
    Kind("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", "kubeproxyconfigurations", namespaced=False),
    Kind("netproxy.dev/v1alpha1", "Cluster", "clusters", namespaced=False),
    Kind("netproxy.dev/v1alpha1", "Image", "images", namespaced=False),
)

BY_PLURAL: dict[str, Kind] = {kind.plural: kind for kind in KINDS}
BY_GVK: dict[tuple[str, str], Kind] = {(kind.api_version, kind.kind): kind for kind in KINDS}
BY_KIND: dict[str, Kind] = {kind.kind: kind for kind in KINDS}
_BY_WORD: dict[str, Kind] = {
    word: kind for kind in KINDS for word in (kind.plural, kind.singular, *kind.short, kind.kind)
}


def kind_of_word(word: str) -> Kind | None:
    """Find a kind by what people type: `svc`, `service`, `services`, `services.v1`.

    >>> kind_of_word("svc").kind, kind_of_word("nonsense")
    ('Service', None)
    """
    return _BY_WORD.get(word) or _BY_WORD.get(word.lower()) or _BY_WORD.get(word.partition(".")[0].lower())
