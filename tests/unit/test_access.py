"""What the API answers to those who ask whose a token is, and who may do what."""

import pytest
from support.api import Client, Plain

BOT = "/api/v1/namespaces/shop/serviceaccounts/bot"


@pytest.fixture
def ask():
    """A client of a cluster with a ServiceAccount."""
    client = Client(signer=Plain())
    assert client("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})[0] == 201
    assert client("POST", "/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": "bot"}})[0] == 201
    return client


def a_token_request(**meta):
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": meta, "spec": {}}


@pytest.mark.parametrize("is_good", [True, False])
def test_whose_a_token_is(ask, is_good):
    token = ask("POST", f"{BOT}/token", a_token_request())[1]["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    asked = {**review, "spec": {"token": token if is_good else "another"}}
    status, said = ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", asked)
    assert status == 201
    assert said["status"].get("authenticated", False) is is_good
    assert ("system:serviceaccount:shop:bot" in str(said["status"])) is is_good


def test_a_token_is_asked_for_in_the_namespace_of_its_account(ask):
    status, said = ask("POST", f"{BOT}/token", a_token_request(namespace="other"))
    assert status == 400
    assert said["message"] == "the namespace of the provided object does not match the namespace sent on the request"


def test_a_review_of_one_namespace_is_in_it(ask):
    group, wanted = "authorization.k8s.io/v1", {"namespace": "shop", "verb": "get", "resource": "pods"}
    review = {
        "apiVersion": group,
        "kind": "LocalSubjectAccessReview",
        "spec": {"user": "alice", "resourceAttributes": wanted},
    }
    status, said = ask("POST", f"/apis/{group}/namespaces/shop/localsubjectaccessreviews", review)
    assert (status, said["status"], said["metadata"]["namespace"]) == (201, {"allowed": False}, "shop")
