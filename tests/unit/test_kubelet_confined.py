"""What a Pod's security context, volumes and programs come to, and which fields do nothing: values, nothing is started."""

import os
import sys
from dataclasses import replace

import pytest
from support.build import pod_object

from netproxy.kubelet import volumes
from netproxy.kubelet.container import Sources, environment
from netproxy.kubelet.fields import ignored
from netproxy.kubelet.needs import needed_by, needed_by_ours
from netproxy.kubelet.security import DEFAULT, UNPRIVILEGED, HeldError, security
from netproxy.linux.privileges import CAPABILITIES
from netproxy.objects.defaulting import with_defaults


def secured(mine=None, *, one_user=False, pod=None, **ours):
    container = {"name": "c", "securityContext": mine} if mine is not None else {"name": "c"}
    about = pod_object(spec={"securityContext": ours, **(pod or {})})
    return security(about, container, lambda user: user + 1, one_user=one_user)


def test_a_container_that_asks_for_nothing_is_root_with_containerds_capabilities():
    plain = secured()
    assert (plain.uid, plain.gid, plain.groups, set(plain.capabilities)) == (0, 1, (1,), set(DEFAULT))
    assert (plain.own_pids, plain.own_ipc, plain.gain_nothing, plain.read_only_root, plain.sysctls) == (
        True, True, False, False, ()
    )  # fmt: skip


def test_the_container_s_word_counts_before_the_pod_s():
    both = secured(
        {"runAsUser": 7, "runAsGroup": None}, runAsUser=5, runAsGroup=6, supplementalGroups=[8, 6], fsGroup=9
    )
    assert (both.uid, both.gid, both.groups) == (7, 6, (6, 8, 9))


def test_another_user_than_root_may_listen_on_port_80_in_a_network_of_its_own():
    assert secured(runAsUser=5).sysctls == UNPRIVILEGED
    assert secured(runAsUser=5, pod={"hostNetwork": True}).sysctls == ()


def test_where_there_is_one_user_everybody_is_that_one():
    alone = secured(runAsUser=5, runAsGroup=6, fsGroup=9, one_user=True)
    assert (alone.uid, alone.gid, alone.groups, alone.sysctls) == (0, 0, (), ())


def test_privileged_is_all_capabilities_and_the_machine_s_processes():
    mighty = secured({"privileged": True, "allowPrivilegeEscalation": False})
    assert (mighty.privileged, mighty.capabilities, mighty.own_pids, mighty.gain_nothing) == (
        True,
        CAPABILITIES,
        False,
        False,
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"drop": ["ALL"]}, ()),
        ({"add": ["ALL"], "drop": ["CHOWN"]}, CAPABILITIES[1:]),
        ({"drop": ["ALL"], "add": ["cap_net_admin"]}, ("NET_ADMIN",)),
        ({"add": ["SYS_TIME"], "drop": ["MKNOD"]}, {*DEFAULT, "SYS_TIME"} - {"MKNOD"}),
    ],
)
def test_capabilities(asked, expected):
    assert set(secured({"capabilities": asked}).capabilities) == set(expected)


@pytest.mark.parametrize(
    ("mine", "ours", "why"),
    [
        ({"runAsNonRoot": True}, {}, "container has runAsNonRoot and image will run as root"),
        ({"runAsUser": 0}, {"runAsNonRoot": True}, "container's runAsUser breaks non-root policy"),
        ({"capabilities": {"add": ["FLY"]}}, {}, 'unknown capability "CAP_FLY"'),
        ({}, {"sysctls": [{"name": "kernel.panic", "value": "1"}]}, "would change the whole machine"),
    ],
)
def test_what_cannot_be_is_told(mine, ours, why):
    with pytest.raises(HeldError, match=why):
        secured(mine, **ours)


def test_with_the_machine_s_ipc_no_pod_sets_that():
    shared = {"name": "kernel.shmmax", "value": "1"}
    assert secured(sysctls=[shared]).sysctls == (("kernel/shmmax", "1"),)
    with pytest.raises(HeldError, match="would change the whole machine"):
        secured(sysctls=[shared], pod={"hostIPC": True})


def test_a_pods_own_sysctls_are_set():
    assert secured(sysctls=[{"name": "net/core/somaxconn", "value": "9"}]).sysctls == (("net/core/somaxconn", "9"),)


def sources(pod=None, maps=None, secrets=None):
    return Sources(
        pod or pod_object(), ("10.0.0.1",),
        lambda at: (maps or {}).get(at.name), lambda at: (secrets or {}).get(at.name),
    )  # fmt: skip


MAPS = {"m": {"data": {"a": "1"}, "binaryData": {"b": "AAE="}}, "bad": {"binaryData": {"b": "no base64"}}}
SECRETS = {"s": {"data": {"w": "c2VzYW1l"}}, "lines": {"data": {"w": "c2Vz\r\nYW1l\n"}}}
KNOWN = sources(maps=MAPS, secrets=SECRETS)


@pytest.mark.parametrize(
    ("volume", "files"),
    [
        ({"emptyDir": {}}, {}),
        ({}, {}),
        ({"configMap": {"name": "m"}}, {"a": (b"1", 0o644), "b": (b"\0\1", 0o644)}),
        ({"configMap": {"name": "m", "defaultMode": 0, "items": [{"key": "a", "path": "x/y"}]}}, {"x/y": (b"1", 0)}),
        ({"configMap": {"name": "m", "optional": True, "items": [{"key": "none", "path": "x"}]}}, {}),
        ({"configMap": {"name": "none", "optional": True}}, {}),
        ({"secret": {"secretName": "s", "items": [{"key": "w", "path": "w", "mode": 0o400}]}}, {"w": (b"sesame", 0o400)}),
        ({"secret": {"secretName": "lines"}}, {"w": (b"sesame", 0o644)}),
        ({"downwardAPI": {"defaultMode": 0, "items": [{"path": "ip", "fieldRef": {"fieldPath": "status.podIP"}}]}}, {"ip": (b"10.0.0.1", 0)}),
        ({"projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "w", "path": "w", "mode": 0}]}}]}}, {"w": (b"sesame", 0)}),
        ({"downwardAPI": {"items": [{"path": "ip", "fieldRef": {"fieldPath": "status.podIP"}}, {"path": "r", "resourceFieldRef": {}}]}},
         {"ip": (b"10.0.0.1", 0o644), "r": (b"", 0o644)}),
        ({"projected": {"sources": [{"configMap": {"name": "m", "items": [{"key": "a", "path": "a"}]}}, {"secret": {"name": "s"}},
                                    {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}},
         {"a": (b"1", 0o644), "w": (b"sesame", 0o644), "l": (b'app="web"', 0o644)}),
    ],
)  # fmt: skip
def test_what_is_in_a_volume(volume, files):
    assert volumes.content({"name": "v", **volume}, KNOWN) == files


@pytest.mark.parametrize(
    ("volume", "why"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"configMap": {"name": "bad"}}, "not base64"),
        (
            {"secret": {"secretName": "s", "items": [{"key": "k", "path": "x"}]}},
            "references non-existent secret key: k",
        ),
        ({"configMap": {"name": "m", "items": [{"key": "a", "path": "../x"}]}}, "may not contain '..'"),
        ({"configMap": {"name": "m", "items": [{"key": "a", "path": "/x"}]}}, "must be a relative path"),
        ({"nfs": {"server": "x"}}, "nfs is not here; there are emptyDir"),
    ],
)
def test_what_a_volume_lacks_is_told(volume, why):
    with pytest.raises(HeldError, match=why):
        volumes.content({"name": "v", **volume}, KNOWN)


def test_a_pods_volumes_are_written_with_their_modes(tmp_path):
    pod = pod_object(spec={"volumes": [
        {"name": "own", "emptyDir": {}}, {"name": "host", "hostPath": {"path": str(tmp_path / "h"), "type": "DirectoryOrCreate"}},
        {"name": "m", "configMap": {"name": "m", "defaultMode": 0o600}},
    ]})  # fmt: skip
    volumes.write(pod, tmp_path, KNOWN)
    assert (tmp_path / "volumes/own").stat().st_mode & 0o7777 == 0o777
    assert (tmp_path / "volumes/m/a").stat().st_mode & 0o7777 == 0o600
    assert (tmp_path / "h").is_dir()


@pytest.mark.parametrize("kind", ["File", "Socket", "CharDevice", "BlockDevice", "Directory"])
def test_a_path_of_the_machine_that_is_of_another_kind_is_told(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "Directory":
        path.touch()
    else:
        path.mkdir()
    pod = pod_object(spec={"volumes": [{"name": "host", "hostPath": {"path": str(path), "type": kind}}]})
    with pytest.raises(HeldError, match=f"is not a {kind}"):
        volumes.write(pod, tmp_path, KNOWN)


def test_mounts_lead_to_the_volume_and_never_out_of_it(tmp_path):
    pod = pod_object(spec={"volumes": [{"name": "own", "emptyDir": {}}, {"name": "m", "configMap": {"name": "m"}}]})
    container = {"volumeMounts": [
        {"name": "own", "mountPath": "/a", "subPathExpr": "$(WHO)"}, {"name": "m", "mountPath": "/b"},
    ]}  # fmt: skip
    assert volumes.mounts(pod, container, tmp_path, {"WHO": "me"}) == [
        {"source": str(tmp_path / "volumes/own"), "within": "me", "target": "/a", "readOnly": False},
        {"source": str(tmp_path / "volumes/m"), "within": "", "target": "/b", "readOnly": True},
    ]
    (tmp_path / "volumes/own").mkdir(parents=True)
    (tmp_path / "volumes/own/out").symlink_to("/")
    (tmp_path / "volumes/own/up").symlink_to("../..")
    for mount, why in (
        ({"name": "own", "mountPath": "/a", "subPath": "../.."}, "may not contain"),
        ({"name": "own", "mountPath": "/a", "subPath": "out/etc"}, "leads out of the volume"),
        ({"name": "own", "mountPath": "/a", "subPath": "up/other"}, "leads out of the volume"),
        ({"name": "none", "mountPath": "/a"}, "is not one of the Pod"),
        ({"name": "own", "mountPath": "/a/.."}, 'nothing can be mounted at "/a/.."'),
        ({"name": "own", "mountPath": "//proc/self"}, "nothing can be mounted"),
    ):
        with pytest.raises(HeldError, match=why):
            volumes.mounts(pod, {"volumeMounts": [mount]}, tmp_path, {})


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]}, 'configmap "none" not found'),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, "couldn't find key k in Secret default/s"),
        ({"envFrom": [{"secretRef": {"name": "none"}}]}, 'secret "none" not found'),
    ],
)  # fmt: skip
def test_a_variable_whose_source_is_missing_holds_the_container_back(item, why):
    with pytest.raises(HeldError, match=why):
        environment(item, KNOWN, services=(), base={})
    assert environment(item, replace(KNOWN, lenient=True), services=(), base={"B": "1"}) == {"B": "1"}


def test_all_of_a_secret_can_be_variables():
    item = {
        "envFrom": [{"prefix": "P_", "secretRef": {"name": "s"}}, {"configMapRef": {"name": "none", "optional": True}}]
    }
    assert environment(item, KNOWN, services=(), base={}) == {"P_w": "sesame"}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"containers": [{"name": "c", "image": "i", "resources": {}, "tty": False}]}, ()),
        ({"tolerations": [{"key": "x"}], "affinity": {}}, ("spec.tolerations",)),
        ({"containers": [{"name": "c", "lifecycle": {"preStop": {}}}, {"name": "d", "lifecycle": {"preStop": {}}}]},
         ("spec.containers.lifecycle",)),
        ({"containers": [{"readinessProbe": {"grpc": {"port": 1}, "httpGet": {"scheme": "HTTPS"}}}]},
         ("spec.containers.readinessProbe.grpc", "spec.containers.readinessProbe.httpGet.scheme")),
        ({"schedulerName": "own", "serviceAccountName": "robot", "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]},
         ("spec.schedulerName", "spec.volumes.emptyDir.sizeLimit")),
    ],
)  # fmt: skip
def test_fields_that_do_nothing_are_named_once(spec, fields):
    assert ignored({"spec": spec}) == fields


def test_a_secret_s_text_is_kept_in_base64():
    secret = with_defaults(
        {
            "kind": "Secret",
            "apiVersion": "v1",
            "metadata": {"name": "s"},
            "data": {"a": "MQ=="},
            "stringData": {"b": "2"},
        }
    )
    assert (secret["data"], secret["type"], "stringData" in secret) == ({"a": "MQ==", "b": "Mg=="}, "Opaque", False)
    assert "data" not in with_defaults({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"}, "type": "t"})


def test_a_program_s_folder_and_script_are_seen_and_no_home(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "run").write_text(f"#!{sys.executable}\n")
    (folder / "run").chmod(0o755)
    assert str(folder) in needed_by([str(folder / "run")], "/", {})
    assert str(folder) in needed_by(["sh", str(folder / "run")], "/", {"PATH": os.environ["PATH"]})
    assert needed_by(["cat", str(folder / "run")], "/", {"PATH": "/usr/bin:/bin"}) == []
    assert needed_by(["none"], str(folder), {"PATH": "/usr/bin"}) == [str(folder)]
    assert needed_by(["/none"], "/root", {}) == []
    assert all(path.startswith(("/root/", "/home/", "/tmp/", "/run/")) for path in needed_by_ours())
