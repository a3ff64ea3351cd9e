"""Everything about who may do what in one place: the check before a request is served, reviews, and tokens.

Source: kubernetes 1.36 apiserver pkg/endpoints/filters/{authorization,impersonation}.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from netproxy.apiserver.authorize import Attributes, Authorizer, attributes
from netproxy.apiserver.body import TOKEN_REQUEST, expected_of, object_of
from netproxy.apiserver.escalation import GUARDED, check_grant
from netproxy.apiserver.fields import exactly, field_selector
from netproxy.apiserver.impersonate import acting, wanted_user
from netproxy.apiserver.options import write_options
from netproxy.apiserver.paths import Target, unserved
from netproxy.apiserver.request import Request, Response, json_response
from netproxy.apiserver.reviews import answered
from netproxy.apiserver.status import bad_request, not_allowed
from netproxy.apiserver.tokens import Signer, check_request, published, requested, user_of, with_time
from netproxy.core.clock import Clock, timestamp
from netproxy.core.errors import ApiError, ManifestError
from netproxy.core.user import User
from netproxy.objects.kinds import REVIEWS
from netproxy.objects.meta import Object, metadata, namespace
from netproxy.registry.options import Guard
from netproxy.registry.tracking import tracked, with_entries
from netproxy.store.store import Store

OPEN = ("healthz", "livez", "readyz")
"""Pages that everybody may read."""


@dataclass(frozen=True, slots=True)
class NoSigner:
    """Where nobody signs, no token is good."""

    def sign(self, claims: object) -> str:
        """Nothing is signed."""
        raise ApiError(503, "ServiceUnavailable", "this server signs no tokens")

    def claims(self, token: str) -> None:
        """Nothing was signed."""

    def key_set(self) -> dict[str, Any]:
        """No key signs."""
        return {"keys": []}


class Access:
    """Decides by the roles that one store has; tokens are signed by SIGNER."""

    def __init__(self, store: Store, clock: Clock, signer: Signer, new_uid: Callable[[], str]) -> None:
        self._store = store
        self._clock = clock
        self._signer = signer
        self._new_uid = new_uid
        self._authorizer = Authorizer(store)

    def admitted(self, request: Request, target: Target | None) -> Request:
        """The request of whom its user acts as. Raises ApiError (400, 403) when the user may not do that, or not as that one."""
        wanted = wanted_user(request.headers)
        if wanted is not None:
            asked = _asked(request, target)
            request = replace(request, user=acting(request.user, wanted, asked, self._authorizer), headers=())
        self.check(request, target)
        return request

    def check(self, request: Request, target: Target | None) -> None:
        """Raise ApiError (403) when the one who asks may not do that."""
        first = request.path.strip("/").partition("/")[0]
        if target is None and first in OPEN:
            return
        self._authorizer.check(request.user, _asked(request, target))

    def guard(self, request: Request, target: Target) -> Guard:
        """What refuses to make an object for whom may only change it, and roles and bindings that give more than he has."""

        def check(new: Object, old: Object | None) -> None:
            if old is None and request.method != "POST":
                self._authorizer.check(request.user, replace(_asked(request, target), verb="create"))
            if target.resource in GUARDED:
                check_grant(self._authorizer, request.user, target.resource, new, old)

        return check

    def published(self, request: Request) -> Response | None:
        """The pages that say by what to check a token; None for any other path."""
        return published(request, self._signer)

    def token_user(self, token: str) -> User | None:
        """Whose a bearer token is; None for one that is good for nobody."""
        claims = self._signer.claims(token)
        return user_of(claims, self._store, self._clock.now()) if claims else None

    def review(self, request: Request, target: Target) -> Response:
        """POST of a review: the review with its answer. Raises NetproxyError."""
        resource = target.resource
        if request.method != "POST" or target.name or bool(target.namespace) is not resource.namespaced:
            raise not_allowed()
        options = write_options(request)
        obj = object_of(request, expected_of(resource), options)
        now = timestamp(self._clock.now())
        if resource.kind != "SelfSubjectReview":
            obj = with_entries(obj, tracked(None, obj, resource, options.manager, now))
        if resource.namespaced:
            obj = {**obj, "metadata": {**metadata(obj), "namespace": namespace(obj) or target.namespace}}
        try:
            made = answered(resource, obj, request.user, self._authorizer, self.token_user, now=now)
        except ManifestError as error:
            raise _nameless(error, resource.group) from error
        return json_response(made, 201)

    def token(self, request: Request, target: Target) -> Response:
        """POST of a TokenRequest to a ServiceAccount. Raises NetproxyError."""
        options = write_options(request)
        obj: Object = with_time(object_of(request, TOKEN_REQUEST, options))
        if namespace(obj) not in ("", target.namespace):
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        check_request(obj, target.name)
        account = self._store.get(target.resource, target.key)
        made = requested(
            account, obj, self._store, self._signer, now=self._clock.now(), uid=self._new_uid(), dry_run=options.dry_run
        )
        entries = tracked(None, obj, target.resource, options.manager, timestamp(self._clock.now()), "token")
        return json_response(with_entries(made, [{**e, "apiVersion": obj["apiVersion"]} for e in entries]), 201)


def _asked(request: Request, target: Target | None) -> Attributes:
    """What a request wants, whether what its path names is served or not."""
    picked = ""
    if target is None:
        target = unserved(request.path)
    elif not target.name and "fieldSelector" in request.query:
        with suppress(ApiError):
            picked = exactly(field_selector(request.query["fieldSelector"]), "metadata.name") or ""
    return attributes(request.method, request.path, target, watch=request.flag("watch"), picked=picked)


def _nameless(error: ManifestError, group: str) -> ApiError:
    """As the API server says what is wrong with a review, of which it knows neither kind nor name."""
    listed = [f"{problem.path}: {problem.message}" for problem in error.problems]
    said = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
    causes = [{"reason": p.reason, "message": p.message, "field": p.path} for p in error.problems]
    failed = ApiError(422, "Invalid", f'.{group} "" is invalid: {said}')
    return failed.with_details(group=group, causes=causes)


def is_review(target: Target) -> bool:
    """Whether a path names what is only asked."""
    return target.resource in REVIEWS
