"""Who may do what, and questions about that."""

from __future__ import annotations

import pytest
from support.build import FixedClock

from netproxy.apiserver.authorize import Attributes, Authorizer, attributes, permits
from netproxy.apiserver.escalation import check_grant
from netproxy.apiserver.paths import target_of, unserved
from netproxy.apiserver.reviews import answered
from netproxy.core.errors import ApiError, ManifestError, NotFoundError
from netproxy.core.user import ADMIN, AUTHENTICATED, User
from netproxy.objects.kinds import CLUSTER_ROLES, REVIEWS, ROLE_BINDINGS, ROLES
from netproxy.registry.bootstrap import SERVICE_ACCOUNTS, default_bindings, default_roles
from netproxy.store.store import Store

ALICE = User("alice", ("dev", AUTHENTICATED))
BOT = User("system:serviceaccount:shop:bot", (SERVICE_ACCOUNTS, "system:serviceaccounts:shop", AUTHENTICATED))
RBAC = "rbac.authorization.k8s.io"
REVIEW = {resource.kind: resource for resource in REVIEWS}
GET_PODS = Attributes("get", "pods", namespace="shop", name="web")


def role(name: str, *rules: dict, at: str = "shop", **more) -> dict:
    meta = {"name": name, **({"namespace": at} if at else {}), "labels": more.pop("labels", {})}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role" if at else "ClusterRole",
        "metadata": meta,
        "rules": list(rules),
        **more,
    }


def binding(name: str, of: dict, *subjects: dict, at: str = "shop") -> dict:
    meta = {"name": name, **({"namespace": at} if at else {})}
    return {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding" if at else "ClusterRoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": of["kind"], "name": of["metadata"]["name"]}, "subjects": list(subjects)}  # fmt: skip


def user(name: str) -> dict:
    return {"kind": "User", "apiGroup": RBAC, "name": name}


READ = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}


def authorizer(*objects: dict, defaults: bool = False) -> Authorizer:
    numbers = iter(range(10_000))
    store = Store(FixedClock(), lambda: f"{next(numbers):05}")
    with store.transaction() as change:
        for obj in (*objects, *(default_roles() if defaults else ()), *(default_bindings() if defaults else ())):
            change.create(obj)
    return Authorizer(store)


@pytest.mark.parametrize(
    ("rule", "wanted", "allowed"),
    [
        (READ, GET_PODS, True),
        (READ, Attributes("delete", "pods"), False),
        (READ, Attributes("get", "pods", group="apps"), False),
        (READ, Attributes("get", "pods", subresource="log"), False),
        ({**READ, "resources": ["pods/log"]}, Attributes("get", "pods", subresource="log"), True),
        ({**READ, "resources": ["*/log"]}, Attributes("get", "pods", subresource="log"), True),
        ({**READ, "resources": ["*"]}, Attributes("get", "pods", subresource="log"), True),
        ({**READ, "resourceNames": ["web"]}, GET_PODS, True),
        ({**READ, "resourceNames": ["web"]}, Attributes("get", "pods", name="other"), False),
        ({**READ, "resourceNames": ["web"]}, Attributes("list", "pods"), False),
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, GET_PODS, True),
        (READ, Attributes("get", path="/healthz"), False),
        ({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}, Attributes("get", path="/healthz"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["/healthz/*"]}, Attributes("get", path="/healthz"), False),
        ({"verbs": ["get"], "nonResourceURLs": ["*"]}, Attributes("get", path="/x"), True),
        ({"verbs": ["get"], "nonResourceURLs": ["*"]}, GET_PODS, False),
    ],
)
def test_a_rule(rule, wanted, allowed):
    assert permits(rule, wanted) is allowed


@pytest.mark.parametrize(
    ("method", "path", "verb"),
    [("GET", "/api/v1/pods", "list"), ("GET", "/api/v1/namespaces/a/pods/b", "get"), ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection"),
     ("DELETE", "/api/v1/namespaces/a/pods/b", "delete"), ("POST", "/api/v1/namespaces/a/pods", "create"),
     ("PUT", "/api/v1/nodes/a/status", "update"), ("PATCH", "/api/v1/nodes/a", "patch"), ("GET", "/api/v1/watch/pods", "watch")],
)  # fmt: skip
def test_the_verb_of_a_request(method, path, verb):
    assert attributes(method, path, target_of(path)).verb == verb


def test_a_watch_is_a_verb_of_its_own():
    assert attributes("GET", "/api/v1/pods", target_of("/api/v1/pods"), watch=True).verb == "watch"


def test_a_role_holds_in_its_namespace_and_a_cluster_role_everywhere():
    reader = role("reader", READ)
    asked = authorizer(reader, binding("a", reader, user("alice")))
    assert asked.allows(ALICE, GET_PODS)
    assert not asked.allows(ALICE, Attributes("get", "pods", namespace="other"))
    everywhere = role("reader", READ, at="")
    asked = authorizer(everywhere, binding("a", everywhere, {"kind": "Group", "name": "dev"}, at=""))
    assert asked.allows(ALICE, Attributes("list", "pods"))
    asked = authorizer(everywhere, binding("a", everywhere, user("alice")))
    assert asked.allows(ALICE, GET_PODS)
    assert not asked.allows(ALICE, Attributes("list", "pods"))


def test_a_service_account_is_a_user():
    reader = role("reader", READ)
    asked = authorizer(reader, binding("a", reader, {"kind": "ServiceAccount", "name": "bot", "namespace": "shop"}))
    assert asked.allows(BOT, GET_PODS)
    assert not asked.allows(ALICE, GET_PODS)


def test_a_role_may_be_made_of_others():
    whole = role(
        "whole",
        at="",
        aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]},
        labels={"part": "yes"},
    )
    part = role("part", READ, at="", labels={"part": "yes"})
    asked = authorizer(whole, part, binding("a", whole, user("alice"), at=""))
    assert asked.allows(ALICE, GET_PODS)


def test_a_binding_to_a_role_that_is_not_there_gives_nothing():
    asked = authorizer(binding("a", role("none"), user("alice")), binding("b", role("none", at=""), user("alice")))
    assert not asked.allows(ALICE, GET_PODS)


def test_new_roles_count_at_once():
    asked = authorizer()
    assert not asked.allows(ALICE, GET_PODS)
    reader = role("reader", READ)
    with asked._store.transaction() as change:
        change.create(reader)
        change.create(binding("a", reader, user("alice")))
    assert asked.allows(ALICE, GET_PODS)


def test_what_everybody_may_do_in_a_new_cluster():
    asked = authorizer(defaults=True)
    assert asked.allows(ADMIN, Attributes("delete", "nodes", name="node1"))
    for who in (ALICE, BOT):
        assert asked.allows(who, Attributes("get", path="/api/v1"))
        assert asked.allows(who, Attributes("create", "selfsubjectaccessreviews", "authorization.k8s.io"))
        assert not asked.allows(who, GET_PODS)
    assert asked.allows(BOT, Attributes("get", path="/openid/v1/jwks"))


@pytest.mark.parametrize(("name", "may"), [("view", "get"), ("edit", "create"), ("admin", "create")])
def test_the_roles_for_people(name, may):
    given = binding("a", role(name, at=""), user("alice"))
    asked = authorizer(given, defaults=True)
    assert asked.allows(ALICE, Attributes(may, "pods", namespace="shop"))
    assert asked.allows(ALICE, Attributes("get", "secrets", namespace="shop")) == (name != "view")
    assert asked.allows(ALICE, Attributes("create", "roles", RBAC, namespace="shop")) == (name == "admin")
    assert not asked.allows(ALICE, Attributes("get", "nodes"))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Attributes("list", "pods", namespace="default"),
         'pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "default"'),
        (Attributes("get", "deployments", "apps", "scale", "default", "web"),
         ('deployments.apps "web" is forbidden: User "alice" cannot get resource "deployments/scale" in API group "apps" '
          'in the namespace "default"')),
        (Attributes("list", "nodes"), 'nodes is forbidden: User "alice" cannot list resource "nodes" in API group "" at the cluster scope'),
        (Attributes("get", path="/metrics"), 'forbidden: User "alice" cannot get path "/metrics"'),
    ],
)  # fmt: skip
def test_the_refusal(wanted, said):
    with pytest.raises(ApiError) as refused:
        authorizer().check(ALICE, wanted)
    assert (refused.value.code, str(refused.value)) == (403, said)
    authorizer().check(ADMIN, wanted)


# --- reviews


def review(
    kind: str, spec: dict | None = None, *, who: User = ALICE, asked: Authorizer | None = None, **meta: str
) -> dict:
    obj = {"apiVersion": REVIEW[kind].api_version, "kind": kind, "metadata": meta, "spec": spec or {}}
    return answered(REVIEW[kind], obj, who, asked or authorizer(), {"good": BOT}.get, now="now")


def test_who_i_am():
    assert review("SelfSubjectReview", who=User("a", ("g",), "1", {"k": ("v",)}))["status"] == {
        "userInfo": {"username": "a", "uid": "1", "groups": ["g"], "extra": {"k": ["v"]}}
    }
    assert review("SelfSubjectReview", who=User("a"))["status"] == {"userInfo": {"username": "a"}}


def test_may_i():
    pods = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "shop"}}
    assert review("SelfSubjectAccessReview", pods)["status"] == {"allowed": False}
    assert review("SelfSubjectAccessReview", pods, who=ADMIN)["status"] == {"allowed": True}
    path = {"nonResourceAttributes": {"verb": "get", "path": "/healthz"}}
    because = 'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group'
    found = review("SelfSubjectAccessReview", path, asked=authorizer(defaults=True))["status"]
    assert found == {"allowed": True, "reason": f'{because} "system:authenticated"'}


def test_may_she():
    reader = role("reader", READ)
    asked = authorizer(reader, binding("a", reader, user("alice")))
    pods = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "shop"}}
    assert review("SubjectAccessReview", {**pods, "user": "alice", "extra": {"a": ["b"]}}, who=ADMIN, asked=asked)[
        "status"
    ]["allowed"]
    local = review("LocalSubjectAccessReview", {**pods, "user": "bob"}, who=ADMIN, asked=asked, namespace="shop")
    assert not local["status"]["allowed"]
    with pytest.raises(ManifestError, match=r'Invalid value: "shop": must match metadata.namespace'):
        review("LocalSubjectAccessReview", {**pods, "user": "bob"}, namespace="other")
    with pytest.raises(ManifestError, match="disallowed on this kind of request"):
        review("LocalSubjectAccessReview", {"nonResourceAttributes": {"path": "/x"}, "user": "bob"}, namespace="other")


def test_a_service_account_of_a_binding_is_of_its_namespace():
    reader = role("reader", READ)
    asked = authorizer(reader, binding("a", reader, {"kind": "ServiceAccount", "name": "bot"}))
    assert asked.reason(BOT, GET_PODS) == (
        'RBAC: allowed by RoleBinding "a/shop" of Role "reader" to ServiceAccount "bot/shop"'
    )  # fmt: skip


def test_a_binding_counts_by_the_first_of_its_subjects():
    reader = role("reader", READ)
    asked = authorizer(reader, binding("a", reader, {"kind": "Group", "name": "dev"}, user("alice")))
    assert asked.reason(ALICE, GET_PODS).endswith('to Group "dev"')


def test_a_list_of_one_name_is_of_that_object():
    reader = role("reader", {**READ, "resourceNames": ["web"]})
    asked = authorizer(reader, binding("a", reader, user("alice")))
    pods = target_of("/api/v1/namespaces/shop/pods")
    assert asked.allows(ALICE, attributes("GET", "", pods, picked="web"))
    assert not asked.allows(ALICE, attributes("GET", "", pods))
    assert not asked.allows(ALICE, attributes("GET", "", pods, picked="other"))


# --- who may give what


def grant(asked, obj, old=None, who=ALICE):
    resource = {"Role": ROLES, "ClusterRole": CLUSTER_ROLES, "RoleBinding": ROLE_BINDINGS}[obj["kind"]]
    check_grant(asked, who, resource, obj, old)


WRITER = role("writer", {"verbs": ["get", "delete"], "apiGroups": ["*"], "resources": ["*/log", "pods"]},
              {"verbs": ["*"], "nonResourceURLs": ["/x/*"]})  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "missing"),
    [
        ([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}], ""),
        ([{"verbs": ["get"], "apiGroups": ["a"], "resources": ["pods/log"], "resourceNames": ["x"]}], ""),
        ([{"verbs": ["get"], "nonResourceURLs": ["/x/y"]}], ""),
        ([{"verbs": ["get"], "nonResourceURLs": ["/y"]}], '{NonResourceURLs:["/y"], Verbs:["get"]}'),
        ([{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"]}],
         '{APIGroups:[""], Resources:["pods"], ResourceNames:["a"], Verbs:["list" "watch"]}'),
        ([{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets", "nodes"]}],
         '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'),
    ],
)  # fmt: skip
def test_nobody_gives_what_he_does_not_have(rules, missing):
    asked = authorizer(WRITER, binding("a", WRITER, user("alice")))
    if not missing:
        grant(asked, role("new", *rules))
        return
    with pytest.raises(ApiError) as refused:
        grant(asked, role("new", *rules))
    begun = 'user "alice" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:'
    assert str(refused.value) == f'roles.{RBAC} "new" is forbidden: {begun}\n{missing}'


def test_some_may_give_what_they_do_not_have():
    extra = {"verbs": ["escalate", "bind"], "apiGroups": [RBAC], "resources": ["roles", "clusterroles"]}
    master = role("master", extra)
    asked = authorizer(master, binding("a", master, user("alice")))
    grant(asked, role("new", READ))
    grant(asked, binding("b", role("new", READ), user("bob")))
    grant(authorizer(), role("new", READ), who=ADMIN)


def test_who_binds_a_role_has_what_it_allows():
    reader = role("reader", READ)
    asked = authorizer(reader, WRITER, binding("a", WRITER, user("alice")))
    with pytest.raises(ApiError, match=r'Resources:\["pods"\], Verbs:\["list"\]'):
        grant(asked, binding("b", reader, user("bob")))
    grant(asked, binding("b", WRITER, user("bob")))
    with pytest.raises(NotFoundError, match=r'rolebindings.rbac.authorization.k8s.io "none" not found'):
        grant(asked, binding("b", role("none"), user("bob")))
    of_nothing = {**binding("b", reader), "roleRef": {"kind": "Thing", "name": "x"}}
    grant(asked, of_nothing)


def test_what_gathers_garbage_may_go_on():
    asked, old = (
        authorizer(),
        {**role("old", READ), "metadata": {"name": "old", "namespace": "shop", "finalizers": ["a.b/c"]}},
    )
    grant(asked, {**old, "metadata": {"name": "old", "namespace": "shop"}}, old)
    with pytest.raises(ApiError, match="permissions not currently held"):
        grant(asked, {**old, "metadata": {"name": "old", "namespace": "shop", "labels": {"a": "b"}}}, old)


def test_only_who_may_everything_gathers_rules():
    gathering = role("all", at="", aggregationRule={"clusterRoleSelectors": [{}]})
    with pytest.raises(ApiError, match="must have cluster-admin privileges to use the aggregationRule"):
        grant(authorizer(), gathering)
    with pytest.raises(ApiError, match="must have cluster-admin privileges"):
        grant(authorizer(), role("all", at="", labels={"a": "b"}), gathering)
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    admin = role("admin", everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}, at="")
    grant(authorizer(admin, binding("a", admin, user("alice"), at="")), gathering)


@pytest.mark.parametrize(
    ("kind", "spec", "meta", "path"),
    [
        ("SelfSubjectAccessReview", {}, {}, "spec.resourceAttributes"),
        ("SelfSubjectAccessReview", {"resourceAttributes": {}, "nonResourceAttributes": {}}, {}, "spec.nonResourceAttributes"),
        ("SelfSubjectAccessReview", {"resourceAttributes": {}}, {"name": "x"}, "metadata"),
        ("SubjectAccessReview", {"resourceAttributes": {}}, {}, "spec.user"),
    ],
)  # fmt: skip
def test_a_question_that_is_none(kind, spec, meta, path):
    with pytest.raises(ManifestError) as refused:
        review(kind, spec, **meta)
    assert [problem.path for problem in refused.value.problems] == [path]


def test_what_may_i():
    said = review("SelfSubjectRulesReview", {"namespace": "default"}, asked=authorizer(defaults=True))
    assert {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]} in (
        said["status"]["resourceRules"]
    )
    assert any("/version" in rule["nonResourceURLs"] for rule in said["status"]["nonResourceRules"])
    everything = review("SelfSubjectRulesReview", {"namespace": "default"}, who=ADMIN)["status"]
    assert everything["resourceRules"] == [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    with pytest.raises(ApiError, match="no namespace on request"):
        review("SelfSubjectRulesReview")


def test_whose_a_token_is():
    assert review("TokenReview", {"token": "good"})["status"]["user"]["username"] == BOT.name
    assert review("TokenReview", {"token": "good", "audiences": ["a"]})["status"]["audiences"] == ["a"]
    assert review("TokenReview", {"token": "bad"})["status"] == {"user": {}, "error": "invalid bearer token"}
    with pytest.raises(ApiError, match="token is required"):
        review("TokenReview")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/foos", ("foos", "", "", "", False)),
        ("/api/v1/watch/namespaces/a/foos/b/c", ("foos", "a", "b", "c", True)),
        ("/apis/x.y/v1/foos/b", ("foos", "", "b", "", False)),
        ("/api/v1", None),
        ("/apis/x.y/v1", None),
        ("/nope/v1/x/y", None),
    ],
)
def test_what_is_not_served_may_be_forbidden_too(path, found):
    target = unserved(path)
    assert (
        target and (target.resource.plural, target.namespace, target.name, target.subresource, target.is_watch)
    ) == found
