"""Tokens of service accounts."""

from __future__ import annotations

import json
import stat

import pytest
from support.api import Client, Plain
from support.build import FixedClock

from netproxy.apiserver.tokens import AUDIENCE, ISSUER, check_request, requested, user_of, with_time
from netproxy.core.clock import timestamp
from netproxy.core.errors import ApiError, ConflictError, ManifestError, NotFoundError
from netproxy.core.names import NamespacedName
from netproxy.objects.kinds import NODES, PODS, SERVICE_ACCOUNTS
from netproxy.serve.jwt import KeySigner
from netproxy.store.store import Store

NOW = 1_800_000_000.0
BOT = NamespacedName("shop", "bot")
POD = NamespacedName("shop", "web")


@pytest.fixture
def store():
    numbers = iter(range(1000))
    made = Store(FixedClock(), lambda: f"uid-{next(numbers)}")
    with made.transaction() as change:
        change.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "shop"}})
        change.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}})
        change.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}})
        for name, node in (("web", "node1"), ("lost", "gone"), ("idle", "")):
            spec = {"containers": [], "serviceAccountName": "bot", **({"nodeName": node} if node else {})}
            change.create(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
            )
    return made


def ask(store, signer, name="", uid="token", metadata=None, **spec):
    obj = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": metadata or ({"name": name} if name else {}),
        "spec": spec,
    }
    check_request(obj, "bot")
    return requested(store.get(SERVICE_ACCOUNTS, BOT), with_time(obj), store, signer, now=NOW, uid=uid)


def test_a_token_is_its_accounts(store):
    signer = Plain()
    made = ask(store, signer)
    assert made["spec"] == {"audiences": [AUDIENCE], "expirationSeconds": 3600, "boundObjectRef": None}
    assert made["metadata"]["name"] == "bot"
    assert made["status"] == {"token": "token", "expirationTimestamp": "2027-01-15T09:00:00Z"}
    claims = signer.claims("token")
    assert (claims["iss"], claims["sub"], claims["exp"]) == (ISSUER, "system:serviceaccount:shop:bot", NOW + 3600)
    user = user_of(claims, store, NOW)
    assert user.name == "system:serviceaccount:shop:bot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
    assert user.extra == {"authentication.kubernetes.io/credential-id": ("JTI=token",)}


def test_a_token_ends_with_its_account(store):
    signer = Plain()
    ask(store, signer)
    with store.transaction() as change:
        change.remove(SERVICE_ACCOUNTS, BOT)
        change.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "shop"}})
    assert user_of(signer.claims("token"), store, NOW) is None


def bound_to(kind, name, **more):
    return {"apiVersion": "v1", "kind": kind, "name": name, **more}


def test_a_token_of_a_pod_says_where_it_is_and_ends_with_it(store):
    signer = Plain()
    ask(store, signer, boundObjectRef=bound_to("Pod", "web"))
    extra = user_of(signer.claims("token"), store, NOW).extra
    prefix = "authentication.kubernetes.io/"
    assert extra[prefix + "pod-name"] == ("web",)
    assert extra[prefix + "node-name"] == ("node1",)
    assert extra[prefix + "node-uid"] == (store.get(NODES, NamespacedName("", "node1"))["metadata"]["uid"],)
    with store.transaction() as change:
        change.remove(PODS, POD)
    assert user_of(signer.claims("token"), store, NOW) is None


def test_a_token_is_good_while_its_pod_ends(store):
    signer = Plain()
    ask(store, signer, boundObjectRef=bound_to("Pod", "web"))
    with store.transaction() as change:
        change.mark_deleted(PODS, POD, at=timestamp(NOW), grace_s=30, changes={})
    assert user_of(signer.claims("token"), store, NOW + 60)
    assert user_of(signer.claims("token"), store, NOW + 61) is None


@pytest.mark.parametrize(("kind", "name"), [("Pod", "lost"), ("Pod", "idle"), ("Secret", "s"), ("Node", "node1")])
def test_other_objects_that_a_token_ends_with(store, kind, name):
    signer = Plain()
    ask(store, signer, boundObjectRef=bound_to(kind, name))
    assert user_of(signer.claims("token"), store, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://example.com"},
        {"aud": ["other"]},
        {"kubernetes.io": {}},
        {"kubernetes.io": {"namespace": "shop"}},
    ],
)
def test_a_good_signature_is_not_enough(store, change):
    signer = Plain()
    ask(store, signer)
    assert user_of({**signer.claims("token"), **change}, store, NOW) is None


def test_a_token_without_a_name_of_its_own(store):
    signer = Plain()
    ask(store, signer, uid="")
    assert user_of(signer.claims(""), store, NOW).extra == {}


@pytest.mark.parametrize(
    ("name", "spec", "error", "said"),
    [
        ("other", {}, ManifestError, "must match the service account name if specified"),
        ("", {"expirationSeconds": 10}, ManifestError, "may not specify a duration less than 10 minutes"),
        ("", {"expirationSeconds": 1 << 33}, ManifestError, "may not specify a duration larger than 2\\^32 seconds"),
        ("", {"boundObjectRef": bound_to("Foo", "x")}, ApiError, "cannot bind token to object of type /v1, Kind=Foo"),
        ("", {"boundObjectRef": bound_to("Pod", "none")}, NotFoundError, 'pods "none" not found'),
        (
            "",
            {"boundObjectRef": bound_to("Pod", "web", uid="other")},
            ConflictError,
            "does not match the UID in record",
        ),
    ],
)
def test_what_cannot_be_had(store, name, spec, error, said):
    with pytest.raises(error, match=said):
        ask(store, Plain(), name=name, **spec)


def test_a_token_is_of_one_account_and_of_a_pod_that_runs_as_it(store):
    with pytest.raises(ConflictError, match="does not match the UID of the service account"):
        ask(store, Plain(), metadata={"uid": "other"})
    with store.transaction() as change:
        pod = store.get(PODS, POD)
        change.replace({**pod, "spec": {**pod["spec"], "serviceAccountName": "default"}})
    with pytest.raises(ApiError, match='cannot bind token for serviceaccount "bot" to pod running with different'):
        ask(store, Plain(), boundObjectRef=bound_to("Pod", "web"))


def test_what_is_refused_is_the_request_for_it_not_the_account(store):
    with pytest.raises(ManifestError) as caught:
        ask(store, Plain(), expirationSeconds=1)
    assert caught.value.details == {"kind": "TokenRequest", "group": "authentication.k8s.io", "name": ""}


# --- signatures


def test_a_signer_knows_its_own_tokens_and_no_others(tmp_path):
    now = [NOW]
    signer = KeySigner(tmp_path / "sa.key", lambda: now[0])
    token = signer.sign({"a": "b", "nbf": int(NOW), "exp": int(NOW) + 60})
    assert signer.claims(token)["a"] == "b"
    assert stat.S_IMODE((tmp_path / "sa.key").stat().st_mode) == 0o600
    assert KeySigner(tmp_path / "sa.key", lambda: NOW).claims(token)["a"] == "b"
    assert KeySigner(tmp_path / "other.key", lambda: NOW).claims(token) is None
    assert signer.claims(token[:-2]) is None
    assert signer.claims("") is None
    assert signer.claims(signer.sign({"a": "b"})) is None, "without an end it would be good for ever"
    now[0] = NOW + 60
    assert signer.claims(token) is None
    now[0] = NOW - 60
    assert signer.claims(token) is None


def test_a_token_that_is_not_signed_is_none_of_ours(tmp_path):
    import jwt

    signer = KeySigner(tmp_path / "sa.key", lambda: NOW)
    claims = {"nbf": int(NOW), "exp": int(NOW) + 60}
    assert signer.claims(jwt.encode(claims, "", "none")) is None
    assert signer.claims(jwt.encode(claims, "x" * 64, "HS256")) is None


def test_others_can_check_a_token(tmp_path):
    import jwt

    signer = KeySigner(tmp_path / "sa.key", lambda: NOW)
    token = signer.sign({"a": "b", "exp": int(NOW) + 60})
    (key,) = jwt.PyJWKSet.from_dict(signer.key_set()).keys
    assert jwt.get_unverified_header(token)["kid"] == key.key_id
    assert jwt.decode(token, key.key, ["ES256"], options={"verify_exp": False})["a"] == "b"


def test_who_signs_and_by_which_keys_is_told(tmp_path):
    signer = KeySigner(tmp_path / "sa.key", lambda: NOW)
    ask = Client(signer=signer)
    status, said = ask("GET", "/.well-known/openid-configuration")
    assert (status, said) == (200, {
        "issuer": "https://kubernetes.default.svc", "jwks_uri": "https://kubernetes.default.svc/openid/v1/jwks",
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })  # fmt: skip
    keys = ask("GET", "/openid/v1/jwks/")
    assert (keys.status, keys.content_type) == (200, "application/jwk-set+json")
    assert json.loads(keys.body) == signer.key_set()
    assert keys.headers == (("Cache-Control", "public, max-age=3600"),)
    assert ask("POST", "/openid/v1/jwks").status == 405
    assert {"/.well-known/openid-configuration", "/openid/v1/jwks"} < set(ask("GET", "/")[1]["paths"])
    assert json.loads(Client()("GET", "/openid/v1/jwks").body) == {"keys": []}, "where nobody signs"
