"""Tokens of service accounts: what is in one, who gets one, and whose one is. Pure: whoever signs is a port.

Source: kubernetes 1.36 pkg/serviceaccount/{claims,openidmetadata}.go and pkg/registry/core/serviceaccount/storage/token.go (behaviour).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from netproxy.apiserver.request import Request, Response, json_response
from netproxy.apiserver.status import bad_request
from netproxy.core.clock import seconds as moment_of
from netproxy.core.clock import timestamp
from netproxy.core.errors import ConflictError, ManifestError, Problem
from netproxy.core.names import NamespacedName, quoted
from netproxy.core.user import AUTHENTICATED, CREDENTIAL, SERVICE_ACCOUNT, User
from netproxy.core.user import SERVICE_ACCOUNTS as ALL_OF_THEM
from netproxy.objects.kinds import NODES, PODS, SECRETS, SERVICE_ACCOUNTS, Resource
from netproxy.objects.meta import Object, is_deleting, metadata, name, namespace, spec
from netproxy.store.store import Store

GROUP = "authentication.k8s.io"
ISSUER = "https://kubernetes.default.svc"
AUDIENCE = ISSUER
CONFIGURATION, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
_KEPT = (("Cache-Control", "public, max-age=3600"),)
PRIVATE = "kubernetes.io"
"""The claim that has everything of Kubernetes' own."""
PREFIX = "authentication.kubernetes.io/"
LEEWAY_S = 60
SHORTEST_S, USUAL_S, LONGEST_S = 600, 3600, 1 << 32

_BINDABLE: dict[tuple[str, str], Resource] = {("v1", "Pod"): PODS, ("v1", "Node"): NODES, ("v1", "Secret"): SECRETS}
"""What a token may end with."""

Claims = Mapping[str, Any]


class Signer(Protocol):
    """Makes texts that only it can make."""

    def sign(self, claims: Claims) -> str:
        """A JSON web token that says CLAIMS."""
        ...

    def claims(self, token: str) -> Claims | None:
        """What a token says; None when it is not one of ours, or its time is over or has not come."""
        ...

    def key_set(self) -> dict[str, Any]:
        """What others check its tokens with: a JSON web key set."""
        ...


def published(request: Request, signer: Signer) -> Response | None:
    """How others find out by what to check a token: the pages that OpenID Connect gives an issuer. None for any other path."""
    path = request.path.rstrip("/")
    if path not in (CONFIGURATION, KEYS):
        return None
    if request.method != "GET":
        return Response(405, b"405: Method Not Allowed", "text/plain; charset=utf-8")
    keys = signer.key_set()
    if path == KEYS:
        return Response(200, json_response(keys).body, "application/jwk-set+json", _KEPT)
    said = {
        "issuer": ISSUER, "jwks_uri": ISSUER + KEYS, "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key["alg"] for key in keys["keys"]}),
    }  # fmt: skip
    return json_response(said, headers=_KEPT)


def requested(
    account: Object, asked: Object, store: Store, signer: Signer, *, now: float, uid: str, dry_run: bool = False
) -> Object:
    """A TokenRequest with its token (none in a dry run). UID is the token's own name. Raises ManifestError, ApiError."""
    meta, wish = metadata(account), spec(asked)
    if metadata(asked).get("uid") not in (None, "", meta["uid"]):
        why = (f"the UID in the token request ({metadata(asked)['uid']}) does not match the UID of the service account"
               f" ({meta['uid']})")  # fmt: skip
        error = ConflictError(f'Operation cannot be fulfilled on TokenRequest.{GROUP} "{name(account)}": {why}')
        raise error.with_details(name=name(account), group=GROUP, kind="TokenRequest")
    seconds = wish["expirationSeconds"]
    wrong = _seconds_problems(seconds)
    if wrong:
        raise ManifestError(wrong).with_details(kind="TokenRequest", group=GROUP, name="")
    audiences = list(wish.get("audiences") or [AUDIENCE])
    said: dict[str, Any] = {
        "namespace": meta["namespace"],
        "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
    }
    bound = wish.get("boundObjectRef")
    if bound is not None:
        said |= _bound(bound, account, store)
    begin, end = int(now), int(now) + seconds
    claims = {"aud": audiences, "exp": end, "iat": begin, "iss": ISSUER, "jti": uid, PRIVATE: said, "nbf": begin,
              "sub": f"{SERVICE_ACCOUNT}{meta['namespace']}:{meta['name']}"}  # fmt: skip
    kept = {field: meta[field] for field in ("name", "namespace", "uid")}
    return {
        **asked, "metadata": {**metadata(asked), **kept, "creationTimestamp": timestamp(now)},
        "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound},
        "status": {"token": "" if dry_run else signer.sign(claims), "expirationTimestamp": timestamp(end)},
    }  # fmt: skip


def check_request(asked: Object, account: str) -> None:
    """Raise ManifestError for a TokenRequest that names another account than the path does."""
    if name(asked) not in ("", account):
        why = f"Invalid value: {json.dumps(name(asked))}: must match the service account name if specified"
        error = ManifestError([Problem("metadata.name", why)])
        raise error.with_details(kind="TokenRequest", group=GROUP, name=account)


def with_time(asked: Object) -> Object:
    """A TokenRequest that says how long the token is to be good."""
    given = {field: value for field, value in spec(asked).items() if value is not None}
    return {**asked, "spec": {"expirationSeconds": USUAL_S, **given}}


def _seconds_problems(seconds: int) -> list[Problem]:
    if SHORTEST_S <= seconds <= LONGEST_S:
        return []
    why = (
        "may not specify a duration less than 10 minutes"
        if seconds < SHORTEST_S
        else "may not specify a duration larger than 2^32 seconds"
    )
    return [Problem("spec.expirationSeconds", f"Invalid value: {seconds}: {why}")]


def _bound(bound: Mapping[str, Any], account: Object, store: Store) -> dict[str, Any]:
    """What a token says of the object that it ends with. Raises NotFoundError, ApiError, ConflictError."""
    in_namespace = namespace(account)
    version, kind = bound.get("apiVersion", ""), bound.get("kind", "")
    resource = _BINDABLE.get((version, kind))
    if resource is None:
        group, _, short = str(version).rpartition("/")
        raise bad_request(f"cannot bind token to object of type {group}/{short}, Kind={kind}")
    obj = store.get(resource, NamespacedName(in_namespace if resource.namespaced else "", str(bound.get("name", ""))))
    if resource is PODS and spec(obj).get("serviceAccountName") != name(account):
        why = "to pod running with different serviceaccount name."
        raise bad_request(f"cannot bind token for serviceaccount {quoted(name(account))} {why}")
    uid = metadata(obj)["uid"]
    if bound.get("uid") not in (None, "", uid):
        why = (f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record. "
               "The object might have been deleted and then recreated")  # fmt: skip
        error = ConflictError(f'Operation cannot be fulfilled on {kind} "{name(obj)}": {why}')
        raise error.with_details(name=name(obj), kind=kind)
    said: dict[str, Any] = {kind.lower(): {"name": name(obj), "uid": uid}}
    if resource is PODS and spec(obj).get("nodeName"):
        said["node"] = _node(spec(obj)["nodeName"], store)
    return said


def _node(node: str, store: Store) -> dict[str, str]:
    found = store.find(NODES, NamespacedName("", node))
    return {"name": node, "uid": metadata(found)["uid"]} if found else {"name": node}


def user_of(claims: Claims, store: Store, now: float) -> User | None:
    """Whose a good token is; None when its account, or the object that it ends with, is not there any more.

    What is deleted is there until its time to end is over, and a minute more.
    """
    if claims.get("iss") != ISSUER or AUDIENCE not in (claims.get("aud") or ()):
        return None
    said = claims.get(PRIVATE) or {}
    at = str(said.get("namespace"))
    if not _is_there(SERVICE_ACCOUNTS, at, said.get("serviceaccount"), store, now):
        return None
    extra = {CREDENTIAL: (f"JTI={claims['jti']}",)} if claims.get("jti") else {}
    for word, resource in (("pod", PODS), ("secret", SECRETS), ("node", NODES)):
        bound = said.get(word)
        if bound is None:
            continue
        if resource is not NODES and not _is_there(resource, at, bound, store, now):
            return None
        if resource is not SECRETS:
            extra |= {
                f"authentication.kubernetes.io/{word}-{field}": (bound[field],)
                for field in ("name", "uid")
                if field in bound
            }
    account = said["serviceaccount"]
    groups = (ALL_OF_THEM, f"{ALL_OF_THEM}:{at}", AUTHENTICATED)
    return User(f"{SERVICE_ACCOUNT}{at}:{account['name']}", groups, account["uid"], extra)


def _is_there(
    resource: Resource, in_namespace: str, said: Mapping[str, Any] | None, store: Store, now: float
) -> bool:  # fmt: skip
    if not said:
        return False
    found = store.find(resource, NamespacedName(in_namespace, str(said.get("name"))))
    if found is None or metadata(found)["uid"] != said.get("uid"):
        return False
    return not is_deleting(found) or moment_of(metadata(found)["deletionTimestamp"]) >= now - LEEWAY_S
