"""Acting as somebody else: whom headers name, who may, and what a real API server says to who may not."""

from __future__ import annotations

import pytest
from support.api import a_registry
from support.build import FixedClock

from netproxy.apiserver.authorize import Attributes, Authorizer
from netproxy.apiserver.impersonate import acting, wanted_user
from netproxy.apiserver.request import Request
from netproxy.apiserver.routes import Api
from netproxy.core.errors import ApiError
from netproxy.core.user import ADMIN, AUTHENTICATED, User

ROBOT = User("system:serviceaccount:imp:robot", ("system:serviceaccounts", AUTHENTICATED))
LISTING = Attributes("list", "configmaps", namespace="imp")


def allowing(*rules: dict) -> Authorizer:
    """Who is called robot may do that."""
    registry = a_registry()
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "r"},
        "rules": list(rules),
    }
    subject = {"kind": "ServiceAccount", "namespace": "imp", "name": "robot"}
    of = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
    registry.create(role)
    registry.create({**role, "kind": "ClusterRoleBinding", "subjects": [subject], "roleRef": of})
    return Authorizer(registry.store)


def rule(verb: str, resource: str, group: str = "", *names: str) -> dict:
    return {"verbs": [verb], "apiGroups": [group], "resources": [resource], "resourceNames": list(names)}


def becomes(name: str, groups=(), *rules: dict, uid="", extra=None) -> User:
    return acting(ROBOT, User(name, tuple(groups), uid, extra or {}), LISTING, allowing(*rules))


def why(name: str, groups=(), *rules: dict, **more) -> tuple[str, dict | None]:
    with pytest.raises(ApiError) as caught:
        becomes(name, groups, *rules, **more)
    assert caught.value.code == 403
    return str(caught.value), caught.value.details


USERS = rule("impersonate", "users", "", "jane")


def test_whom_the_headers_name():
    assert wanted_user([]) is None
    assert wanted_user([("Impersonate-User", "")]) is None
    named = [
        ("IMPERSONATE-USER", "jane"), ("impersonate-user", "bob"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"),
        ("Impersonate-Uid", "5"), ("Impersonate-Extra-Ex%2FKey", "1"), ("Impersonate-Extra-ex%2fkey", "2"),
    ]  # fmt: skip
    assert wanted_user(named) == User("jane", ("a", "b"), "5", {"ex/key": ("1", "2")})


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([("Impersonate-Group", "devs")], 'UID:"", Groups:[]string{"devs"}, Extra:map[string][]string(nil)'),
        ([("Impersonate-Uid", "5")], 'UID:"5", Groups:[]string(nil), Extra:map[string][]string(nil)'),
        (
            [("Impersonate-Extra-Foo", "bar")],
            'UID:"", Groups:[]string(nil), Extra:map[string][]string{"foo":[]string{"bar"}}',
        ),
    ],
)
def test_groups_of_nobody_are_refused(headers, shown):
    with pytest.raises(ApiError) as caught:
        wanted_user(headers)
    assert (caught.value.code, str(caught.value)) == (
        400, f'requested &user.DefaultInfo{{Name:"", {shown}}} without impersonating a user name',
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "groups", "rules", "found"),
    [
        ("jane", (), [USERS], (AUTHENTICATED,)),
        ("jane", ("g",), [USERS, rule("impersonate", "groups")], ("g", AUTHENTICATED)),
        ("jane", (AUTHENTICATED,), [USERS, rule("impersonate", "groups")], (AUTHENTICATED,)),
        ("jane", ("system:unauthenticated",), [USERS, rule("impersonate", "groups")], ("system:unauthenticated",)),
        ("system:anonymous", (), [rule("impersonate", "users")], ("system:unauthenticated",)),
        ("system:serviceaccount:imp:x", (), [rule("impersonate", "serviceaccounts")],
         ("system:serviceaccounts", "system:serviceaccounts:imp", AUTHENTICATED)),
        ("system:serviceaccount:imp:x", ("g",), [rule("impersonate", "*")], ("g", AUTHENTICATED)),
        ("system:serviceaccount:nobody", (), [rule("impersonate", "users")], (AUTHENTICATED,)),
        ("system:node:n1", (), [rule("impersonate", "users")], (AUTHENTICATED,)),
        ("system:node:n1", ("g",), [rule("impersonate", "*")], ("g", AUTHENTICATED)),
        ("system:node:n1", (), [rule("impersonate-on:arbitrary-node:list", "configmaps"),
                                rule("impersonate:arbitrary-node", "nodes", "authentication.k8s.io", "n1")],
         ("system:nodes", AUTHENTICATED)),
        ("jane", ("g",), [rule("impersonate-on:user-info:list", "configmaps"),
                          rule("impersonate:user-info", "*", "authentication.k8s.io")], ("g", AUTHENTICATED)),
        ("system:serviceaccount:imp:x", (), [rule("impersonate-on:serviceaccount:list", "configmaps"),
                                             rule("impersonate:serviceaccount", "serviceaccounts", "authentication.k8s.io")],
         ("system:serviceaccounts", "system:serviceaccounts:imp", AUTHENTICATED)),
    ],
)  # fmt: skip
def test_who_may_is_the_other_one(name, groups, rules, found):
    assert becomes(name, groups, *rules) == User(name, found)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("jane", "user-info"), ("system:serviceaccount:imp:x", "serviceaccount"), ("system:node:n1", "arbitrary-node")],
)
def test_who_may_not_is_told_the_first_way(name, mode):
    said, details = why(name)
    assert said == (
        f'configmaps is forbidden: User "{ROBOT.name}" cannot impersonate-on:{mode}:list resource "configmaps" in API group "" '
        'in the namespace "imp"'
    )
    assert details == {"kind": "configmaps"}


def test_every_part_of_the_user_is_asked_for():
    on = rule("impersonate-on:user-info:list", "configmaps")
    said, details = why("jane", (), on)
    assert said == (
        f'users.authentication.k8s.io "jane" is forbidden: User "{ROBOT.name}" cannot impersonate:user-info resource "users" '
        'in API group "authentication.k8s.io" at the cluster scope'
    )
    assert details == {"name": "jane", "group": "authentication.k8s.io", "kind": "users"}
    jane = rule("impersonate:user-info", "users", "authentication.k8s.io")
    assert why("jane", (), on, jane, uid="5")[1]["kind"] == "uids"
    assert why("jane", ("g",), on, jane)[1]["kind"] == "groups"
    said, details = why("jane", (), on, jane, extra={"foo": ("bar",)})
    assert 'resource "userextras/foo"' in said
    assert details == {"name": "bar", "group": "authentication.k8s.io", "kind": "userextras"}


def test_requests_are_those_of_the_other_one():
    api = Api(a_registry(), FixedClock())
    asked = Request("GET", "/api/v1/nodes", user=ADMIN, headers=(("Impersonate-User", "jane"),))
    answer = api.handle(asked)
    assert answer.status == 403
    assert b'nodes is forbidden: User \\"jane\\" cannot list resource' in answer.body


def test_pages_that_are_not_ours_are_guarded_too():
    api = Api(a_registry(), FixedClock())
    assert api.refusal(Request("GET", "/metrics", user=ADMIN)) is None
    refused = api.refusal(Request("GET", "/metrics", user=ADMIN, headers=(("Impersonate-User", "jane"),)))
    assert refused is not None
    assert refused.status == 403
    assert b'User \\"jane\\" cannot get path \\"/metrics\\"' in refused.body
