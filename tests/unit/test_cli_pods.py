"""What `up` and `apply` say on standard error about the Pods in manifests."""

import pytest
from support.build import pod_object
from support.cluster import REPO

from netproxy.cli.files import read_manifests
from netproxy.cli.pods import tell_of_pods
from netproxy.objects.manifest import Loaded

BUSY = {"name": "c", "image": "busybox", "command": ["sleep", "1"]}


def said(capsys, *objects, first=False, rootless=False) -> list[str]:
    tell_of_pods([Loaded(obj, "a.yaml") for obj in objects], first=first, rootless=rootless)
    return capsys.readouterr().err.splitlines()


def deployment(name="d", **spec):
    template = {"spec": {"containers": [BUSY], **spec}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"containers": [{**BUSY, "resources": {"limits": {"cpu": "1"}}}]}, ["spec.containers.resources"]),
        ({"containers": [{**BUSY, "ports": [{"containerPort": 1, "hostPort": 2}]}]}, ["spec.containers.ports.hostPort"]),
        ({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}, ["spec.volumes.emptyDir.medium"]),
        ({"tolerations": [{"key": "a"}], "runtimeClassName": "r"}, ["spec.runtimeClassName", "spec.tolerations"]),
        ({"securityContext": {"runAsUser": 5, "seccompProfile": {"type": "RuntimeDefault"}}}, ["spec.securityContext.seccompProfile"]),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, []),
    ],
)  # fmt: skip
def test_a_field_that_does_nothing_is_named_once_for_all(capsys, spec, fields):
    objects = [pod_object(spec=spec), pod_object("web-2", spec=spec), pod_object("web-3", spec=spec)]
    expected = [f"warning: {field} does nothing here: Pod default/web-1 and 2 more" for field in fields]
    assert said(capsys, *objects) == expected


def test_a_field_of_a_template_is_named_with_its_path(capsys):
    assert said(capsys, deployment(affinity={"nodeAffinity": {"a": "b"}})) == [
        "warning: spec.template.spec.affinity does nothing here: Deployment default/d"
    ]


def test_the_first_up_says_what_pods_may_do(capsys):
    plain = deployment()
    (line,) = said(capsys, plain, plain, first=True)
    assert line.startswith("note: Pods run programs of this machine, as root")
    assert said(capsys, plain, first=True, rootless=True)[0].startswith(
        "note: Pods run programs of this machine, as you:"
    )
    assert said(capsys, plain) == []


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"hostPID": True, "hostIPC": True}, "hostIPC, hostPID"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "hostPath /"),
        ({"containers": [{**BUSY, "securityContext": {"privileged": True}}]}, "privileged"),
        ({"initContainers": [{**BUSY, "securityContext": {"capabilities": {"add": ["cap_sys_admin", "CHOWN"]}}}]},
         "capability SYS_ADMIN"),
    ],
)  # fmt: skip
def test_what_reaches_further_is_named_each_time(capsys, spec, what):
    assert f"note: Deployment default/d reaches further into this machine: {what}" in said(capsys, deployment(**spec))


def test_nothing_is_said_of_servers_that_netproxy_brings_and_of_its_labs(capsys):
    assert said(capsys, pod_object(), {"kind": "Service", "metadata": {"name": "s"}}, first=True) == []
    for lab in sorted((REPO / "labs").iterdir()):
        tell_of_pods(read_manifests([str(lab)]), first=True, rootless=False)
        assert capsys.readouterr().err == ""
