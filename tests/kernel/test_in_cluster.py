"""The API as programs in Pods reach it: by its Service, with the token of their service account."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster import REPO, Cluster, wait_until
from support.kubectls import kubectls

CLUSTER = """
apiVersion: netproxy.dev/v1alpha1
kind: Cluster
spec: {nodes: 2, ipFamilies: [%s]%s}
"""
PODS = """
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
---
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  nodeName: node2
  serviceAccountName: reader
  terminationGracePeriodSeconds: 0
  volumes:
  - {name: tools, hostPath: {path: TOOLS}}
  - {name: python, hostPath: {path: PYTHON}}
  containers:
  - name: c
    image: busybox
    command: [sleep, "1000"]
    volumeMounts: [{name: tools, mountPath: TOOLS}, {name: python, mountPath: PYTHON}]
---
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec:
  nodeName: node1
  enableServiceLinks: false
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: nobody}
spec:
  automountServiceAccountToken: false
  hostNetwork: true
  nodeName: node2
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
"""
AT = "/var/run/secrets/kubernetes.io/serviceaccount"
ASK = f'curl -s --cacert {AT}/ca.crt -H "Authorization: Bearer $(cat {AT}/token)" '
IPV6_FIRST = ", podCIDRs: [fd00:10:244::/56, 10.244.0.0/16], serviceCIDRs: [fd00:10:96::/112, 10.96.0.0/16]"


@pytest.fixture(
    scope="module",
    params=[("IPv4, IPv6", "", "10.96.0.1"), ("IPv6, IPv4", "", "fd00:10:96::1")],
    ids=["IPv4 first", "IPv6 first"],
)
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, str]]:
    families, more, address = request.param
    made = Cluster()
    made.run(
        "up",
        "-f",
        "-",
        stdin=CLUSTER % (families, more) + PODS.replace("TOOLS", str(REPO)).replace("PYTHON", sys.base_prefix),
    )
    yield made, address
    made("down")
    made.assert_nothing_is_left()
    made.close()


def in_pod(cluster: Cluster, pod: str, command: str, *, check: bool = True) -> str:
    return cluster.exec(pod, "sh", "-c", command, check=check)


def test_its_service_has_the_first_address_of_the_range(cluster):
    made, address = cluster
    service = made.get("svc", "kubernetes")
    assert (service["spec"]["clusterIP"], service["spec"]["ipFamilyPolicy"]) == (address, "SingleStack")
    (found,) = [each for each in made.get("endpointslices")["items"] if each["metadata"]["name"] == "kubernetes"]
    node = made.get("node", "node1")["status"]["addresses"]
    (target,) = found["endpoints"][0]["addresses"]
    assert {"type": "InternalIP", "address": target} in node
    assert found["ports"] == [{"name": "https", "port": 6443, "protocol": "TCP"}]


@pytest.mark.parametrize(
    "where", ["kubernetes.default.svc", "kubernetes.default", "$KUBERNETES_SERVICE_HOST", "address"]
)
def test_a_pod_reaches_it_by_name_and_by_address(cluster, where):
    made, address = cluster
    host = address if where in ("address", "$KUBERNETES_SERVICE_HOST") else where
    shown = f"[{host}]" if ":" in host else host
    assert in_pod(made, "reader", "echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT") == f"{address}:443\n"
    pods = json.loads(in_pod(made, "reader", f"{ASK} https://{shown}/api/v1/namespaces/default/pods"))
    assert {"reader", "plain", "nobody"} <= {pod["metadata"]["name"] for pod in pods["items"]}


def test_what_an_account_may_not_do_is_refused_in_the_api_s_words(cluster):
    made, _ = cluster
    refused = json.loads(in_pod(made, "plain", f"{ASK} https://kubernetes.default/api/v1/namespaces/default/pods"))
    assert (refused["code"], refused["message"]) == (
        403,
        (
            'pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" '
            'in the namespace "default"'
        ),
    )
    secrets = json.loads(in_pod(made, "reader", f"{ASK} https://kubernetes.default/api/v1/namespaces/default/secrets"))
    assert secrets["code"] == 403
    nobody = json.loads(in_pod(made, "plain", f"curl -s --cacert {AT}/ca.crt https://kubernetes.default/api"))
    assert nobody["code"] == 401


def test_a_pod_without_service_links_knows_the_api_all_the_same(cluster):
    made, address = cluster
    assert in_pod(made, "plain", "echo $KUBERNETES_SERVICE_HOST") == f"{address}\n"


def test_a_pod_that_wants_no_token_has_none(cluster):
    made, address = cluster
    assert in_pod(made, "nobody", f"ls {AT} 2>/dev/null || echo none") == "none\n"
    shown = f"[{address}]" if ":" in address else address
    assert in_pod(made, "nobody", f"curl -sk https://{shown}/healthz") == "ok"


def test_what_is_in_the_volume(cluster):
    made, _ = cluster
    assert in_pod(made, "reader", f"ls {AT}; cat {AT}/namespace") == "ca.crt\nnamespace\ntoken\ndefault"
    authority = made.get("cm", "kube-root-ca.crt")["data"]["ca.crt"]
    assert in_pod(made, "reader", f"cat {AT}/ca.crt") == authority
    claims = in_pod(made, "reader", f"cat {AT}/token").split(".")[1]
    assert claims
    assert in_pod(made, "reader", f"echo x > {AT}/token 2>/dev/null || echo read-only") == "read-only\n"


def test_kubectl_in_a_pod_needs_nothing_else(cluster):
    made, _ = cluster
    assert kubectls(), "scripts/install test brings them"
    for kubectl in kubectls().values():
        names = in_pod(made, "reader", f"{kubectl} get pods -o name").split()
        assert "pod/plain" in names
        who = in_pod(made, "reader", f"{kubectl} auth whoami -o 'jsonpath={{.status.userInfo.username}}'")
        assert who == "system:serviceaccount:default:reader"
        denied = in_pod(made, "reader", f"{kubectl} auth can-i delete pods", check=False)
        assert denied == "no\n"


def test_the_python_client_in_a_pod_needs_nothing_else(cluster):
    kubernetes = pytest.importorskip("kubernetes")
    made, _ = cluster
    packages = str(Path(kubernetes.__file__).parents[1])
    folders = [
        path for path in (sys.base_prefix, packages) if not path.startswith("/usr/")
    ]  # what a Pod has not anyway
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "python"}, "spec": {
        "serviceAccountName": "reader", "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": f"v{n}", "hostPath": {"path": path}} for n, path in enumerate(folders)],
        "containers": [{"name": "c", "image": "busybox", "command": ["sleep", "1000"], "env": [{"name": "PYTHONPATH", "value": packages}],
                        "volumeMounts": [{"name": f"v{n}", "mountPath": path, "readOnly": True} for n, path in enumerate(folders)]}]}}  # fmt: skip
    made.run("apply", "-f", "-", "--wait", stdin=json.dumps(pod))
    program = (
        "from kubernetes import client, config\n"
        "config.load_incluster_config()\n"
        "print([p.metadata.name for p in client.CoreV1Api().list_namespaced_pod('default').items])"
    )
    found = made.exec("python", os.path.realpath(sys.executable), "-c", program)
    assert found == "['nobody', 'plain', 'python', 'reader']\n"
    made("delete", "pod", "python")


def test_an_account_that_is_missing_is_said_when_the_pod_is_made(cluster):
    made, _ = cluster
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lost"},
           "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "pause"}]}}  # fmt: skip
    done = made.run("apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert done.returncode != 0
    assert 'error looking up service account default/robot: serviceaccount "robot" not found' in done.stderr


def test_a_new_namespace_has_all_of_it_at_once(cluster):
    made, _ = cluster
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "fresh"},
           "spec": {"containers": [{"name": "c", "image": "busybox", "command": ["sleep", "1000"]}],
                    "terminationGracePeriodSeconds": 0}}  # fmt: skip
    made.run("apply", "-f", "-", "--wait", stdin=json.dumps(pod))
    assert made("exec", "-n", "fresh", "p", "--", "cat", f"{AT}/namespace") == "fresh"
    assert [each["metadata"]["name"] for each in made.get("sa", "-n", "fresh")["items"]] == ["default"]


def test_tokens_outlive_the_agent_and_new_ones_come_with_the_next(cluster):
    made, _ = cluster
    before = in_pod(made, "reader", f"cat {AT}/token")
    os.kill(made.pid, signal.SIGKILL)
    made.run("up")
    now = wait_until(lambda: (text := in_pod(made, "reader", f"cat {AT}/token")) != before and text)
    for token in (before, now):
        asked = f'curl -s --cacert {AT}/ca.crt -H "Authorization: Bearer {token}" https://kubernetes.default/api/v1/namespaces/default/pods'
        assert json.loads(in_pod(made, "plain", asked))["kind"] == "PodList"


def test_a_token_ends_with_its_pod(cluster):
    made, _ = cluster
    token = in_pod(made, "reader", f"cat {AT}/token")
    made("delete", "pod", "reader")
    asked = f'curl -s --cacert {AT}/ca.crt -H "Authorization: Bearer {token}" https://kubernetes.default/api'
    assert wait_until(lambda: json.loads(in_pod(made, "plain", asked)).get("code")) == 401


def test_the_service_comes_back_when_somebody_deletes_it(cluster):
    made, address = cluster
    made("delete", "svc", "kubernetes")
    again = wait_until(lambda: made.run("get", "svc", "kubernetes", "-o", "json", check=False).stdout)
    assert json.loads(again)["spec"]["clusterIP"] == address
