"""Nobody gives more than they have: roles and bindings of those who may write some."""

import json

import pytest
from support.api import Client

from netproxy.apiserver.request import Request
from netproxy.core.user import ADMIN, AUTHENTICATED, User

GROUP = "rbac.authorization.k8s.io"
ROOT = f"/apis/{GROUP}/v1"
SHOP = f"{ROOT}/namespaces/shop"
EVE = User("eve", ("dev", AUTHENTICATED))
PODS = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
ROLES = {
    "verbs": ["get", "list", "create", "update", "patch", "delete"],
    "apiGroups": [GROUP],
    "resources": ["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
}
ALL = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
MERGE, JSON_PATCH, APPLY = (
    f"application/{kind}" for kind in ("merge-patch+json", "json-patch+json", "apply-patch+yaml")
)


def role(name="r", *rules, kind="Role", **more):
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name, **more.pop("metadata", {})},
        "rules": list(rules),
        **more,
    }


def binding(name, of, kind="Role", *, cluster=False, subjects=({"kind": "User", "apiGroup": GROUP, "name": "eve"},)):
    return {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRoleBinding" if cluster else "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": of}, "subjects": list(subjects)}  # fmt: skip


class Shop:
    """A cluster in which Eve has some rules, everywhere or in one namespace."""

    def __init__(self, *rules, everywhere=False):
        self.client = Client()
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}}, user=ADMIN)
        self.ask("POST", f"{ROOT}/clusterroles", role("eves", *rules, kind="ClusterRole"), user=ADMIN)
        folder = f"{ROOT}/clusterrolebindings" if everywhere else f"{SHOP}/rolebindings"
        code, said = self.ask("POST", folder, binding("eves", "eves", "ClusterRole", cluster=everywhere), user=ADMIN)
        assert code == 201, said

    def ask(self, method, path, body=None, kind="application/json", *, user=EVE, **query):
        data = json.dumps(body).encode() if body is not None else b""
        answer = self.client.api.handle(Request(method, path, query, data, kind, user=user))
        return answer.status, json.loads(answer.body)


NOT_HELD = 'is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
SECRETS = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}


def test_a_role_has_no_more_than_its_writer():
    shop = Shop(ROLES, PODS)
    assert shop.ask("POST", f"{SHOP}/roles", role("fine", PODS))[0] == 201
    code, said = shop.ask("POST", f"{SHOP}/roles", role("more", PODS, SECRETS))
    assert (code, said["reason"]) == (403, "Forbidden")
    assert (
        said["message"]
        == f'roles.{GROUP} "more" is forbidden: user "eve" (groups=["dev" "system:authenticated"]) {NOT_HELD}'
    )
    assert said["details"] == {"name": "more", "group": GROUP, "kind": "roles"}
    assert shop.ask("POST", f"{SHOP}/roles", role("more", SECRETS), user=ADMIN)[0] == 201


@pytest.mark.parametrize(("method", "kind", "body"), [
    ("PUT", "application/json", role("r", SECRETS)), ("PATCH", MERGE, {"rules": [SECRETS]}), ("PATCH", APPLY, role("r", SECRETS)),
    ("PATCH", "application/strategic-merge-patch+json", {"rules": [SECRETS]}), ("PATCH", JSON_PATCH, [{"op": "add", "path": "/rules/-", "value": SECRETS}]),
    ("PATCH", JSON_PATCH, [{"op": "replace", "path": "/rules/0/resources/0", "value": "secrets"}]),
])  # fmt: skip
@pytest.mark.parametrize("query", [{}, {"dryRun": "All"}])
def test_however_it_is_written(method, kind, body, query):
    shop = Shop(ROLES, PODS)
    assert shop.ask("POST", f"{SHOP}/roles", role("r", PODS))[0] == 201
    apply = {"fieldManager": "a", "force": "true"} if kind == APPLY else {}
    code, said = shop.ask(method, f"{SHOP}/roles/r", body, kind, **query, **apply)
    assert code == 403
    assert '"secrets"' in said["message"]
    code, said = shop.ask(
        method,
        f"{SHOP}/roles/new",
        {**body, "metadata": {"name": "new"}} if isinstance(body, dict) else body,
        kind,
        **query,
        **apply,
    )
    assert code == (404 if kind not in (APPLY, "application/json") else 403), said


def test_what_garbage_collection_needs_may_be_written():
    shop = Shop(ROLES)
    assert shop.ask("POST", f"{SHOP}/roles", role("r", SECRETS, metadata={"finalizers": ["a/b"]}), user=ADMIN)[0] == 201
    assert shop.ask("PATCH", f"{SHOP}/roles/r", {"metadata": {"finalizers": None}}, MERGE)[0] == 200
    assert shop.ask("PATCH", f"{SHOP}/roles/r", {"metadata": {"labels": {"a": "b"}}}, MERGE)[0] == 403
    assert shop.ask("DELETE", f"{SHOP}/roles/r")[0] == 200


def test_who_may_escalate_roles_may_write_any():
    shop = Shop({**ROLES, "verbs": ["create", "update", "escalate"]})
    assert shop.ask("POST", f"{SHOP}/roles", role("r", ALL))[0] == 201
    named = Shop({**ROLES, "verbs": ["create"]}, {**ROLES, "verbs": ["update", "escalate"], "resourceNames": ["r"]})
    assert named.ask("POST", f"{SHOP}/roles", role("r", ALL))[0] == 403
    named.ask("POST", f"{SHOP}/roles", role("r"), user=ADMIN)
    named.ask("POST", f"{SHOP}/roles", role("s"), user=ADMIN)
    assert named.ask("PUT", f"{SHOP}/roles/r", role("r", ALL))[0] == 200
    assert named.ask("PUT", f"{SHOP}/roles/s", role("s", ALL))[0] == 403


def test_who_gathers_roles_must_have_everything():
    gathering = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
    shop = Shop(ROLES, PODS, everywhere=True)
    code, said = shop.ask("POST", f"{ROOT}/clusterroles", role("r", kind="ClusterRole", **gathering))
    assert (code, said["message"]) == (
        403,
        f'clusterroles.{GROUP} "r" is forbidden: must have cluster-admin privileges to use the aggregationRule',
    )
    shop.ask("POST", f"{ROOT}/clusterroles", role("r", kind="ClusterRole", **gathering), user=ADMIN)
    assert shop.ask("PATCH", f"{ROOT}/clusterroles/r", {"aggregationRule": None}, MERGE)[0] == 403
    labels = {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}}
    assert shop.ask("POST", f"{ROOT}/clusterroles", role("s", SECRETS, kind="ClusterRole", **labels))[0] == 403
    everything = Shop(ALL, {"verbs": ["*"], "nonResourceURLs": ["*"]}, everywhere=True)
    assert everything.ask("POST", f"{ROOT}/clusterroles", role("r", kind="ClusterRole", **gathering))[0] == 201


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_a_binding_gives_no_more_than_its_writer_has(kind):
    shop = Shop(ROLES, PODS)
    folder = f"{SHOP}/roles" if kind == "Role" else f"{ROOT}/clusterroles"
    for name, rule in (("pods", PODS), ("secrets", SECRETS)):
        assert shop.ask("POST", folder, role(name, rule, kind=kind), user=ADMIN)[0] == 201
    assert shop.ask("POST", f"{SHOP}/rolebindings", binding("fine", "pods", kind))[0] == 201
    code, said = shop.ask("POST", f"{SHOP}/rolebindings", binding("more", "secrets", kind))
    assert code == 403
    assert said["message"].startswith(f'rolebindings.{GROUP} "more" is forbidden: user "eve"')
    assert said["message"].endswith(NOT_HELD)
    code, said = shop.ask("POST", f"{SHOP}/rolebindings", binding("none", "none", kind))
    assert (code, said["message"]) == (404, f'rolebindings.{GROUP} "none" not found')
    assert shop.ask("POST", f"{SHOP}/rolebindings", binding("none", "none", kind), user=ADMIN)[0] == 201
    assert shop.ask("PATCH", f"{SHOP}/rolebindings/none", {"subjects": []}, MERGE)[0] == 404
    assert (
        shop.ask(
            "PATCH",
            f"{SHOP}/rolebindings/fine",
            {"subjects": [{"kind": "Group", "apiGroup": GROUP, "name": "dev"}]},
            MERGE,
        )[0]
        == 200
    )
    assert shop.ask("POST", f"{SHOP}/rolebindings", binding("odd", "x", "Pod"))[0] == 422


def test_what_is_bound_counts_where_it_is_bound():
    shop = Shop(ROLES, PODS)
    shop.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}}, user=ADMIN)
    shop.ask("POST", f"{ROOT}/clusterroles", role("pods", PODS, kind="ClusterRole"), user=ADMIN)
    assert shop.ask("POST", f"{ROOT}/namespaces/other/rolebindings", binding("b", "pods", "ClusterRole"))[0] == 403
    assert shop.ask("POST", f"{ROOT}/clusterrolebindings", binding("b", "pods", "ClusterRole", cluster=True))[0] == 403
    wide = Shop({**ROLES, "resources": ["clusterrolebindings"]}, everywhere=True)
    wide.ask("POST", f"{ROOT}/clusterroles", role("pods", PODS, kind="ClusterRole"), user=ADMIN)
    code, said = wide.ask("POST", f"{ROOT}/clusterrolebindings", binding("b", "pods", "ClusterRole", cluster=True))
    assert (code, "not currently held" in said["message"]) == (403, True)
    may_bind = Shop({**ROLES, "resources": ["clusterrolebindings"]}, {"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["pods"]}, everywhere=True)  # fmt: skip
    for name, rule in (("pods", PODS), ("more", SECRETS)):
        may_bind.ask("POST", f"{ROOT}/clusterroles", role(name, rule, kind="ClusterRole"), user=ADMIN)
    assert (
        may_bind.ask("POST", f"{ROOT}/clusterrolebindings", binding("b", "pods", "ClusterRole", cluster=True))[0] == 201
    )
    assert (
        may_bind.ask("POST", f"{ROOT}/clusterrolebindings", binding("c", "more", "ClusterRole", cluster=True))[0] == 403
    )


def test_a_namespace_is_in_itself():
    shop = Shop({"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"]})
    assert shop.ask("GET", "/api/v1/namespaces/shop")[0] == 200
    code, said = shop.ask("GET", "/api/v1/namespaces/default")
    assert (code, said["message"]) == (
        403, 'namespaces "default" is forbidden: User "eve" cannot get resource "namespaces" in API group "" in the namespace "default"',
    )  # fmt: skip
    assert shop.ask("GET", "/api/v1/namespaces")[1]["message"].endswith("at the cluster scope")


def test_a_service_account_is_of_the_bindings_namespace_unless_it_says_another():
    shop = Shop()
    shop.ask(
        "POST",
        f"{SHOP}/rolebindings",
        binding("b", "eves", "ClusterRole", subjects=[{"kind": "ServiceAccount", "name": "bot"}]),
        user=ADMIN,
    )
    shop.ask("PUT", f"{ROOT}/clusterroles/eves", role("eves", PODS, kind="ClusterRole"), user=ADMIN)
    pods = "/api/v1/namespaces/shop/pods"
    assert shop.ask("GET", pods, user=User("system:serviceaccount:shop:bot"))[0] == 200
    assert shop.ask("GET", pods, user=User("system:serviceaccount:other:bot"))[0] == 403


def test_a_role_that_is_too_large_to_be_looked_at_is_refused():
    names = [f"n{n}" for n in range(200)]
    shop = Shop(ROLES, {"verbs": names, "apiGroups": names, "resources": names})
    code, said = shop.ask("POST", f"{SHOP}/roles", role("r", {"verbs": names, "apiGroups": names, "resources": names}))
    assert (code, said["message"].count("APIGroups")) == (403, 1)


CHANGING = {
    "verbs": ["update", "patch"],
    "apiGroups": ["", "coordination.k8s.io"],
    "resources": ["services", "leases", "pods"],
}


@pytest.mark.parametrize(
    ("method", "path", "kind", "obj"),
    [
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/x", "application/json",
         {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "x"}, "spec": {}}),
        ("PATCH", "/api/v1/namespaces/shop/pods/x", APPLY,
         {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}),
    ],
)  # fmt: skip
def test_who_may_only_change_makes_nothing(method, path, kind, obj):
    shop = Shop(CHANGING)
    query = {"fieldManager": "eve"} if kind == APPLY else {}
    code, said = shop.ask(method, path, obj, kind, **query)
    assert code == 403
    assert 'User "eve" cannot create resource "' in said["message"]
    may = Shop(CHANGING, {**CHANGING, "verbs": ["create"]})
    assert may.ask(method, path, obj, kind, **query)[0] == 201


def test_a_method_that_no_role_names_is_for_who_may_do_everything():
    shop = Shop({"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods/proxy"]})
    assert shop.ask("OPTIONS", "/api/v1/namespaces/shop/pods/p/proxy/x")[0] == 403
