"""What is refused of a Pod's volumes, variables and users, and of the keys of ConfigMaps and Secrets, in the API server's words."""

import json

import pytest
from support.build import pod_object

from netproxy.objects.validate import problems


def said(obj) -> list[str]:
    return [f"{problem.path}: {problem.message}" for problem in problems(obj)]


def of_pod(container=None, **spec) -> list[str]:
    return said(pod_object(spec={"containers": [{"name": "c", "image": "i", **(container or {})}], **spec}))


def of_data(kind="ConfigMap", **fields) -> list[str]:
    return said({"kind": kind, "apiVersion": "v1", "metadata": {"name": "m"}, **fields})


NO_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


@pytest.mark.parametrize(
    ("key", "reasons"),
    [
        ("../../etc/passwd", [NO_KEY, "must not start with '..'"]),
        ("a/b", [NO_KEY]),
        ("a\n", [NO_KEY]),
        ("", [NO_KEY]),
        (".", ["must not be '.'"]),
        ("..", ["must not be '..'"]),
        ("..data", ["must not start with '..'"]),
        ("k" * 254, ["must be no more than 253 characters"]),
    ],
)
@pytest.mark.parametrize("field", ["data", "binaryData"])
def test_a_key_that_could_be_a_path_is_refused(key, reasons, field):
    shown = json.dumps(key)
    assert of_data(**{field: {key: "YQ=="}}) == [f"{field}[{key}]: Invalid value: {shown}: {why}" for why in reasons]
    assert of_data(**{field: {"a.b_C-9": "YQ==", ".hidden": None}}) == []


def test_what_is_to_be_base64_is_looked_at():
    assert of_data("Secret", data={"a": "no base64"}) == [
        'data[a]: Invalid value: "no base64": illegal base64 data at input byte 2'
    ]
    assert of_data(binaryData={"a": "%"}) == ['binaryData[a]: Invalid value: "%": illegal base64 data at input byte 0']
    assert of_data("Secret", data={"a": "YWJj\nZA==\n"}, stringData={"b": "no base64"}) == []
    assert of_data("Secret", stringData={"b/c": "x"})


NO_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(
    ("volumes", "why"),
    [
        ([{}], ["spec.volumes[0].name: Required value"]),
        ([{"name": "../x"}], [f'spec.volumes[0].name: Invalid value: "../x": {NO_LABEL}']),
        ([{"name": "v"}, {"name": "v"}], ['spec.volumes[1].name: Duplicate value: "v"']),
        ([{"name": "v", "hostPath": {}}], ["spec.volumes[0].hostPath.path: Required value"]),
        ([{"name": "v", "hostPath": {"path": "/a/../b"}}], ['spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'']),
        ([{"name": "v", "configMap": {"defaultMode": 512}}],
         ["spec.volumes[0].configMap.name: Required value",
          "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive"]),
        ([{"name": "v", "secret": {"items": [{"key": "", "path": "/a"}]}}],
         ["spec.volumes[0].secret.secretName: Required value",
          "spec.volumes[0].secret.items[0].key: Required value",
          'spec.volumes[0].secret.items[0].path: Invalid value: "/a": must be a relative path']),
        ([{"name": "v", "downwardAPI": {"items": [{"mode": -1}]}}],
         ["spec.volumes[0].downwardAPI.path: Required value",
          "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
          "spec.volumes[0].downwardAPI.mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive"]),
        ([{"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}, {"configMap": {"items": [{"key": "a", "path": "b/../c"}]}}]}}],
         ["spec.volumes[0].projected.path: Required value",
          "spec.volumes[0].projected.sources[1].configMap.name: Required value",
          'spec.volumes[0].projected.sources[1].configMap.items[0].path: Invalid value: "b/../c": must not contain \'..\'',
          "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set"]),
        ([{"name": "v", "hostPath": {"path": "/a..b"}}, {"name": "w", "configMap": {"name": "m", "items": [{"key": "a", "path": "b/..c"}]}}], []),
    ],
)  # fmt: skip
def test_volumes(volumes, why):
    assert of_pod(volumes=volumes) == why


@pytest.mark.parametrize(
    ("mounts", "why"),
    [
        ([{}], ["[0].name: Required value", '[0].name: Not found: ""', "[0].mountPath: Required value"]),
        ([{"name": "none", "mountPath": "/a"}], ['[0].name: Not found: "none"']),
        ([{"name": "v", "mountPath": "/a", "subPath": "../x"}], [".subPath: Invalid value: \"../x\": must not contain '..'"]),
        ([{"name": "v", "mountPath": "/a", "subPathExpr": "/x"}], ['.subPathExpr: Invalid value: "/x": must be a relative path']),
        ([{"name": "v", "mountPath": "/a", "subPath": "x/y"}], []),
    ],
)  # fmt: skip
def test_mounts_of_volumes(mounts, why):
    for group in ("containers", "initContainers"):
        held = {"name": "x", "image": "i", "volumeMounts": mounts}
        spec = {"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v"}], group: [held]}
        assert said(pod_object(spec=spec)) == [f"spec.{group}[0].volumeMounts{line}" for line in why]


def test_two_volumes_at_one_place():
    mounts = [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]
    assert of_pod({"volumeMounts": mounts}, volumes=[{"name": "v"}]) == [
        'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique'
    ]


def test_names_of_variables():
    told = of_pod({"env": [{"value": "1"}, {"name": "A=B"}, {"name": "A\0"}, {"name": "Ä"}, {"name": "a.b-c d"}]})
    assert [line.partition(": ")[0] for line in told] == [f"spec.containers[0].env[{at}].name" for at in range(4)]
    assert told[0].endswith("Required value")
    assert all("printable ASCII characters other than '='" in line for line in told[1:])


def test_users_and_groups_are_numbers_that_there_are():
    wanted = "must be between 0 and 2147483647, inclusive"
    assert of_pod({"securityContext": {"runAsUser": -1, "runAsGroup": 2**31}}) == [
        f"spec.containers[0].securityContext.runAsUser: Invalid value: -1: {wanted}",
        f"spec.containers[0].securityContext.runAsGroup: Invalid value: {2**31}: {wanted}",
    ]
    assert of_pod(securityContext={"fsGroup": 2**40, "supplementalGroups": [0, -5]}) == [
        f"spec.securityContext.fsGroup: Invalid value: {2**40}: {wanted}",
        f"spec.securityContext.supplementalGroups[1]: Invalid value: -5: {wanted}",
    ]
    assert of_pod(securityContext={"runAsUser": 0, "fsGroup": 2**31 - 1}) == []
