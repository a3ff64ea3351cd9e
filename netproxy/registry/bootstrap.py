"""The roles that every cluster begins with, and who has them. Values only.

Source: kubernetes 1.36 plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go (behaviour), for what is served here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netproxy.core.user import AUTHENTICATED, MASTERS, SERVICE_ACCOUNTS
from netproxy.objects.kinds import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from netproxy.objects.meta import Object

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
NOTE = ("create", "patch", "update")
WORKLOADS = "daemonsets deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale"
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
RBAC = "rbac.authorization.k8s.io"
UNAUTHENTICATED = "system:unauthenticated"

Rule = dict[str, Any]


def _on(groups: str, resources: str, verbs: tuple[str, ...]) -> Rule:
    """What may be done with resources; groups and resources are separated by blanks, `core` is the core group."""
    return {"verbs": list(verbs), "apiGroups": ["" if group == "core" else group for group in groups.split()],
            "resources": resources.split()}  # fmt: skip


def _at(*paths: str) -> Rule:
    return {"verbs": ["get"], "nonResourceURLs": list(paths)}


EDIT = (
    _on("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ),
    _on("core", "serviceaccounts", ("impersonate",)),
    _on("core", "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE),
    _on("core", "pods/eviction", ("create",)),
    _on("core", "configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts "
        "services services/proxy", WRITE),
    _on("core", "serviceaccounts/token", ("create",)),
    _on("core events.k8s.io", "events", WRITE),
    _on("apps", WORKLOADS, WRITE),
    _on("autoscaling", "horizontalpodautoscalers", WRITE),
    _on("batch", "cronjobs jobs", WRITE),
    _on("policy", "poddisruptionbudgets", WRITE),
    _on("networking.k8s.io", "ingresses networkpolicies", WRITE),
    _on("coordination.k8s.io", "leases", (*WRITE, *READ)),
)  # fmt: skip
VIEW = (
    _on("core", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
        "replicationcontrollers/scale serviceaccounts services services/status", READ),
    _on("core", "bindings limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas "
        "resourcequotas/status", READ),
    _on("core", "namespaces", READ),
    _on("core events.k8s.io", "events", READ),
    _on("discovery.k8s.io", "endpointslices", READ),
    _on("apps", "controllerrevisions daemonsets/status deployments/status replicasets/status statefulsets/status "
        + WORKLOADS, READ),
    _on("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
    _on("batch", "cronjobs cronjobs/status jobs jobs/status", READ),
    _on("policy", "poddisruptionbudgets poddisruptionbudgets/status", READ),
    _on("networking.k8s.io", "ingresses ingresses/status networkpolicies", READ),
)  # fmt: skip
RULES: dict[str, tuple[Rule, ...]] = {
    "cluster-admin": (_on("*", "*", ("*",)), {"verbs": ["*"], "nonResourceURLs": ["*"]}),
    "system:aggregate-to-admin": (
        _on("authorization.k8s.io", "localsubjectaccessreviews", ("create",)), _on(RBAC, "rolebindings roles", (*WRITE, *READ)),
    ),
    "system:aggregate-to-edit": EDIT,
    "system:aggregate-to-view": VIEW,
    "system:auth-delegator": (
        _on("authentication.k8s.io", "tokenreviews", ("create",)), _on("authorization.k8s.io", "subjectaccessreviews", ("create",)),
    ),
    "system:basic-user": (
        _on("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", ("create",)),
        _on("authentication.k8s.io", "selfsubjectreviews", ("create",)),
    ),
    "system:discovery": (
        _at("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"),
    ),
    "system:kube-dns": (_on("core", "endpoints services", ("list", "watch")),),
    "system:monitoring": (
        _at("/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*"), _on("core", "nodes/metrics", ("get",)),
    ),
    "system:node-proxier": (
        _on("core", "endpoints services", ("list", "watch")), _on("core", "nodes", READ), _on("core events.k8s.io", "events", NOTE),
        _on("networking.k8s.io", "servicecidrs", ("list", "watch")), _on("discovery.k8s.io", "endpointslices", ("list", "watch")),
    ),
    "system:public-info-viewer": (_at("/healthz", "/livez", "/readyz", "/version", "/version/"),),
    "system:service-account-issuer-discovery": (
        _at("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"),
    ),
}  # fmt: skip
MADE_OF = {"admin": "admin", "edit": "edit", "view": "view"}
"""Roles whose rules are those of others → the label's end that these have."""

COUNTED_TO = {"edit": "admin", "view": "edit", "system:aggregate-to-admin": "admin", "system:aggregate-to-edit": "edit",
              "system:aggregate-to-view": "view"}  # fmt: skip

BINDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "cluster-admin": (("Group", MASTERS),),
    "system:basic-user": (("Group", AUTHENTICATED),),
    "system:discovery": (("Group", AUTHENTICATED),),
    "system:monitoring": (("Group", "system:monitoring"),),
    "system:node-proxier": (("User", "system:kube-proxy"),),
    "system:public-info-viewer": (("Group", AUTHENTICATED), ("Group", UNAUTHENTICATED)),
    "system:service-account-issuer-discovery": (("Group", SERVICE_ACCOUNTS),),
}
"""The role of each binding, which has its name, and who has it."""


def default_roles() -> Iterator[Object]:
    """The ClusterRoles of a new cluster."""
    for name, rules in RULES.items():
        yield {
            "apiVersion": CLUSTER_ROLES.api_version,
            "kind": "ClusterRole",
            "metadata": _meta(name),
            "rules": list(rules),
        }
    for name, kind in MADE_OF.items():
        selectors = [{"matchLabels": {f"{AGGREGATE}{kind}": "true"}}]
        yield {"apiVersion": CLUSTER_ROLES.api_version, "kind": "ClusterRole", "metadata": _meta(name),
               "aggregationRule": {"clusterRoleSelectors": selectors}}  # fmt: skip


def default_bindings() -> Iterator[Object]:
    """The ClusterRoleBindings of a new cluster."""
    for name, subjects in BINDINGS.items():
        yield {"apiVersion": CLUSTER_ROLE_BINDINGS.api_version, "kind": "ClusterRoleBinding", "metadata": _meta(name),
               "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
               "subjects": [{"apiGroup": RBAC, "kind": kind, "name": who} for kind, who in subjects]}  # fmt: skip


def _meta(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    if name in COUNTED_TO:
        labels[AGGREGATE + COUNTED_TO[name]] = "true"
    return {"name": name, "labels": labels, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}
