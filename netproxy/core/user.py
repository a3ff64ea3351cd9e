"""Who asks an API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who was authenticated."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What else the authenticator knows, by key."""


AUTHENTICATED = "system:authenticated"
"""The group of everybody who is somebody."""
SERVICE_ACCOUNT = "system:serviceaccount:"
"""How the user names of service accounts begin: the namespace, a colon and the name come after it."""
SERVICE_ACCOUNTS = "system:serviceaccounts"
"""The group of all service accounts; those of a namespace have a group of their own, with its name after a colon."""
CREDENTIAL = "authentication.kubernetes.io/credential-id"
"""The key of what is known about a user: by which certificate or token."""
MASTERS = "system:masters"
"""The group that may do everything."""

ADMIN = User("kubernetes-admin", (MASTERS, AUTHENTICATED))
"""Whose cluster it is."""
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
"""Nobody in particular."""
