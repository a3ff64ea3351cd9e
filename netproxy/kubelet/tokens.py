"""Tokens of a Pod's service account in its volumes: which ones, how they are asked for, and when they are renewed.

Source: kubernetes pkg/volume/projected, pkg/kubelet/token/token_manager.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from netproxy.core.errors import NetproxyError
from netproxy.core.names import NamespacedName
from netproxy.kubelet.security import NOT_MOUNTED, HeldError
from netproxy.objects.meta import Object, name, namespace, spec, uid

TOKEN = "serviceAccountToken"  # the field's name
SHARE = 0.8
"""Of its time a token is used at most so much."""
LONGEST_S = 24 * 3600
"""And at most so long."""
RETRY_S = 30.0
"""How soon it is tried again to renew what could not be."""
Ask = Callable[[NamespacedName, Object], Awaitable[Object]]


class Token(NamedTuple):
    """A token that a Pod wants: for whom (empty: for the API), and for how long."""

    audience: str
    seconds: int


def token_of(source: Mapping[str, Any]) -> Token:
    """The token that a part of a projected volume wants."""
    return Token(source.get("audience") or "", int(source.get("expirationSeconds") or 3600))


def wanted(pod: Object) -> tuple[Token, ...]:
    """All tokens that a Pod's volumes want, each once."""
    volumes = (volume.get("projected") or {} for volume in spec(pod).get("volumes") or ())
    sources = (source.get(TOKEN) for volume in volumes for source in volume.get("sources") or ())
    return tuple(dict.fromkeys(token_of(source) for source in sources if source))


def account(pod: Object) -> NamespacedName:
    """Whose tokens they are."""
    return NamespacedName(namespace(pod), str(spec(pod).get("serviceAccountName") or "default"))


def request(pod: Object, token: Token) -> Object:
    """What the API is asked: a token that ends with the Pod."""
    bound = {"apiVersion": "v1", "kind": "Pod", "name": name(pod), "uid": uid(pod)}
    wish = {
        "audiences": [token.audience] if token.audience else [],
        "expirationSeconds": token.seconds,
        "boundObjectRef": bound,
    }
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": wish}


async def fetched(pod: Object, ask: Ask) -> dict[Token, str]:
    """New tokens, all that a Pod's volumes want; ASK answers a TokenRequest. Raises HeldError."""
    found = {}
    for token in wanted(pod):
        try:
            made = await ask(account(pod), request(pod, token))
        except NetproxyError as error:
            raise HeldError(f"MountVolume.SetUp failed: failed to fetch token: {error}", NOT_MOUNTED) from error
        found[token] = str(made["status"]["token"])
    return found


async def renewed(
    pod: Object, ask: Ask, put: Callable[[Object, Mapping[Token, str]], None], now: float
) -> tuple[float | None, str]:
    """Get new tokens and PUT them where the old ones are: when to do so again, and what went wrong, if anything did."""
    try:
        put(pod, await fetched(pod, ask))
    except (HeldError, OSError) as error:
        return now + RETRY_S, str(error)
    return renewed_at(pod, now), ""


def renewed_at(pod: Object, now: float) -> float | None:
    """When tokens that are made NOW are to be renewed; None for a Pod without any."""
    return min((now + min(SHARE * token.seconds, LONGEST_S) for token in wanted(pod)), default=None)
