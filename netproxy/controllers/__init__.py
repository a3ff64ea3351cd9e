"""Controllers: each is a name, what it watches, and a pure `reconcile(view, key, now)` that says what is to be changed."""

from typing import Any

from netproxy.controllers.belongings import SERVICE_ACCOUNT_CONTROLLER
from netproxy.controllers.deployment import DEPLOYMENT_CONTROLLER
from netproxy.controllers.disruption import DISRUPTION_CONTROLLER
from netproxy.controllers.endpointslice import ENDPOINT_SLICE_CONTROLLER
from netproxy.controllers.garbage import GARBAGE_COLLECTOR
from netproxy.controllers.mirroring import MIRRORING_CONTROLLER
from netproxy.controllers.namespace import NAMESPACE_CONTROLLER
from netproxy.controllers.podgarbage import POD_GARBAGE_COLLECTOR
from netproxy.controllers.port import Controller
from netproxy.controllers.protection import PROTECTION_CONTROLLER
from netproxy.controllers.replicaset import REPLICA_SET_CONTROLLER, REPLICATION_CONTROLLER
from netproxy.controllers.resourcequota import RESOURCE_QUOTA_CONTROLLER
from netproxy.controllers.scheduler import SCHEDULER

ALL: tuple[Controller[Any], ...] = (
    SCHEDULER,
    DEPLOYMENT_CONTROLLER,
    REPLICA_SET_CONTROLLER,
    REPLICATION_CONTROLLER,
    ENDPOINT_SLICE_CONTROLLER,
    MIRRORING_CONTROLLER,
    GARBAGE_COLLECTOR,
    POD_GARBAGE_COLLECTOR,
    NAMESPACE_CONTROLLER,
    SERVICE_ACCOUNT_CONTROLLER,
    PROTECTION_CONTROLLER,
    RESOURCE_QUOTA_CONTROLLER,
    DISRUPTION_CONTROLLER,
)
"""Every controller that a cluster runs."""

__all__ = ["ALL", "Controller"]
