"""The controllers of a cluster at work. Where nothing happens by itself nobody reads this, nor what it imports."""

from __future__ import annotations

from collections.abc import Sequence

from netproxy.agent.plane import ControlPlane
from netproxy.client.local import LocalApi
from netproxy.controllers import ALL
from netproxy.controllers.belongings import root_ca_publisher
from netproxy.controllers.kept import keeper
from netproxy.manager.manager import Manager
from netproxy.objects.meta import Object
from netproxy.registry.ipaddresses import MANAGER
from netproxy.registry.steps import CONTROLLERS


def control(plane: ControlPlane) -> None:
    """Run every controller."""
    client = LocalApi(plane.registry, CONTROLLERS)
    plane.keep("the controllers", Manager(client, plane.known, ALL, plane.clock).run)


def publish(plane: ControlPlane, certificate: str) -> None:
    """Keep the certificate that vouches for the API in every namespace."""
    client = LocalApi(plane.registry, CONTROLLERS)
    publisher = Manager(client, plane.known, (root_ca_publisher(certificate),), plane.clock)
    plane.keep("the publisher of the API's certificate", publisher.run)


def keep_always(plane: ControlPlane, objects: Sequence[Object]) -> None:
    """Make objects again when somebody deletes them."""
    client = LocalApi(plane.registry, MANAGER)
    plane.keep("the API's own Service", Manager(client, plane.known, (keeper(objects),), plane.clock).run)
