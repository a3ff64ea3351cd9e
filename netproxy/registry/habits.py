"""How the objects of each resource are treated by the API server where resources differ: facts, as data.

Source: kubernetes 1.36 pkg/registry/*/*/strategy.go (AllowCreateOnUpdate, AllowUnconditionalUpdate, PrepareForCreate,
PrepareForUpdate, DefaultGarbageCollectionPolicy) and storage/storage.go (ReturnDeletedObject, key prefixes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netproxy.objects.kinds import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CRON_JOBS,
    CUSTOM_RESOURCE_DEFINITIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    INGRESS_CLASSES,
    INGRESSES,
    JOBS,
    LEASES,
    LIMIT_RANGES,
    NAMESPACES,
    NETWORK_POLICIES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    POD_TEMPLATES,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    Resource,
)

_SPEC = ("spec",)
_ORPHANED_PODS = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set"
    " propagationPolicy=Orphan to suppress this warning"
)


@dataclass(frozen=True, slots=True)
class Habits:
    """What is peculiar to a resource."""

    generation: tuple[str, ...] | None = None
    """The fields whose change makes `metadata.generation` grow; None: its objects have none."""
    counts_all: bool = False
    """Whatever changes but metadata makes it grow."""
    is_put: bool = False
    """A PUT makes an object that is not there."""
    needs_version: bool = False
    """A PUT has to say which resourceVersion it was made from."""
    is_shown: bool = False
    """Its deletion answers the object, not only that it is gone."""
    keeps_dependents: bool = False
    """Without another wish, what its objects own outlives them."""
    orphan_warning: str = ""
    """What who deletes one without saying what becomes of what it owns should know."""
    owns: bool = True
    """Its objects can own others."""
    kept_at: str = ""
    """The name under which the API server keeps its objects, where that is not its plural."""


_OF: Mapping[Resource, Habits] = {
    NAMESPACES: Habits(is_shown=True),
    NODES: Habits(kept_at="minions"),
    PODS: Habits(_SPEC, is_shown=True),
    SERVICES: Habits(is_put=True, is_shown=True, kept_at="services/specs"),
    ENDPOINTS: Habits(is_put=True, kept_at="services/endpoints"),
    EVENTS: Habits(is_put=True, owns=False),
    SERVICE_ACCOUNTS: Habits(is_shown=True),
    REPLICATION_CONTROLLERS: Habits(_SPEC, keeps_dependents=True, kept_at="controllers"),
    RESOURCE_QUOTAS: Habits(is_shown=True),
    LIMIT_RANGES: Habits(is_put=True),
    PERSISTENT_VOLUMES: Habits(is_shown=True),
    PERSISTENT_VOLUME_CLAIMS: Habits(is_shown=True),
    POD_TEMPLATES: Habits(("template",), is_shown=True),
    DEPLOYMENTS: Habits(("spec", "metadata.annotations")),
    REPLICA_SETS: Habits(_SPEC),
    STATEFUL_SETS: Habits(_SPEC),
    DAEMON_SETS: Habits(_SPEC),
    JOBS: Habits(_SPEC, keeps_dependents=True, orphan_warning=_ORPHANED_PODS),
    CRON_JOBS: Habits(_SPEC),
    ENDPOINT_SLICES: Habits(("addressType", "endpoints", "ports", "metadata.labels")),
    INGRESSES: Habits(_SPEC, kept_at="ingress"),
    INGRESS_CLASSES: Habits(_SPEC),
    NETWORK_POLICIES: Habits(_SPEC),
    POD_DISRUPTION_BUDGETS: Habits(_SPEC, needs_version=True),
    LEASES: Habits(is_put=True, needs_version=True),
    ROLES: Habits(is_put=True),
    ROLE_BINDINGS: Habits(is_put=True),
    CLUSTER_ROLES: Habits(is_put=True),
    CLUSTER_ROLE_BINDINGS: Habits(is_put=True),
    STORAGE_CLASSES: Habits(is_shown=True),
    PRIORITY_CLASSES: Habits(()),
    CUSTOM_RESOURCE_DEFINITIONS: Habits(
        _SPEC, needs_version=True, kept_at="apiextensions.k8s.io/customresourcedefinitions"
    ),
}
_BY_STORED = {resource.stored: habits for resource, habits in _OF.items()}
_USUAL = Habits()
_CUSTOM = Habits((), counts_all=True, needs_version=True)


def habits_of(resource: Resource) -> Habits:
    """What is peculiar to a resource; the same for all groups and versions of one kind."""
    return _BY_STORED.get(resource.stored, _USUAL) if resource.custom is None else _CUSTOM
