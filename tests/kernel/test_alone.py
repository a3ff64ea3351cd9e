"""A control plane alone: no root, no kernel; what is asked of it comes from programs that nobody here wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}
DEPLOYMENT = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
             "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}},
}  # fmt: skip


class Plane:
    """One control plane, by its command line."""

    def __init__(self, state: Path) -> None:
        self.env = {**os.environ, "NETPROXY_STATE": str(state)}

    def run(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "netproxy", *args]
        return subprocess.run(command, env=self.env, input=stdin, capture_output=True, text=True, timeout=60)

    def get(
        self, path: str, *, certificate: bool = True, token: str = "", body: dict | None = None
    ) -> tuple[int, dict]:
        """Ask (a POST of BODY, if there is one) over HTTPS, as the kubeconfig says, or with a bearer token."""
        file = Path(self.run("kubeconfig").stdout.strip())
        config = yaml.safe_load(file.read_text())
        context = ssl.create_default_context(cafile=str(file.with_name("ca.crt")))
        if certificate and not token:
            context.load_cert_chain(file.with_name("admin.crt"), file.with_name("admin.key"))
        url = config["clusters"][0]["cluster"]["server"] + path
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = json.dumps(body).encode() if body else None
        asked = urllib.request.Request(url, data, {**headers, **({"Content-Type": "application/json"} if body else {})})
        try:
            with opener.open(asked) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def plane(tmp_path):
    made = Plane(tmp_path / "state")
    (tmp_path / "state").mkdir(mode=0o700)
    yield made
    made.run("down", "--all")


def test_the_api_alone_is_served_over_https_and_nothing_happens_by_itself(plane):
    done = plane.run("up", "--api-only", "-f", "-", stdin=json.dumps(DEPLOYMENT))
    assert done.returncode == 0, done.stderr
    assert "cluster default: a Kubernetes API, no machines, in " in done.stderr
    path = plane.run("kubeconfig").stdout.strip()
    assert "export KUBECONFIG=$(netproxy kubeconfig)" in done.stderr
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert plane.get("/api/v1/namespaces", certificate=False)[0] == 401
    status, found = plane.get("/apis/apps/v1/namespaces/default/deployments/web")
    assert (status, found["spec"]["replicas"]) == (200, 2)
    assert plane.get("/api/v1/pods")[1]["items"] == []
    assert plane.run("status").stdout.splitlines()[0].endswith("a Kubernetes API, no machines")


def test_with_its_controllers_a_deployment_gets_pods_that_nobody_runs(plane):
    assert plane.run("up", "--control-plane-only", "-f", "-", stdin=json.dumps(DEPLOYMENT)).returncode == 0
    watched = plane.run("get", "pods", "-o", "json")
    while len(json.loads(watched.stdout)["items"]) < 2:
        watched = plane.run("get", "pods", "-o", "json")
    assert {pod["status"]["phase"] for pod in json.loads(watched.stdout)["items"]} == {"Pending"}


def test_workloads_are_scaled_and_objects_described(plane):
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"a": "b"}},
               "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.77", "ports": [{"port": 80, "targetPort": 8080}]}}  # fmt: skip
    slices = [{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": kind, "metadata": {
        "name": f"web-{kind.lower()}", "labels": {"kubernetes.io/service-name": "web"}}, "ports": [{"port": 8080}],
        "endpoints": [{"addresses": [address]}, {"addresses": [other], "conditions": {"ready": False}}]}
        for kind, address, other in (("IPv4", "10.1.2.3", "10.1.2.4"), ("IPv6", "fd00::3", "fd00::4"))]  # fmt: skip
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "reason": "Seen", "message": "somebody came",
             "type": "Normal", "source": {"component": "test"}, "lastTimestamp": "2026-01-01T00:00:00Z",
             "involvedObject": {"kind": "Service", "name": "web", "namespace": "default"}}  # fmt: skip
    plane.run("up", "--api-only", "-f", "-", stdin=json.dumps([DEPLOYMENT, service, *slices]))
    uid = json.loads(plane.run("get", "svc", "web", "-o", "json").stdout)["metadata"]["uid"]
    event["involvedObject"]["uid"] = uid
    assert plane.run("apply", "-f", "-", stdin=json.dumps(event)).returncode == 0
    assert plane.run("scale", "deploy/web", "--replicas", "5").stdout == "deployment.apps/web scaled\n"
    assert plane.run("scale", "deploy", "--replicas", "5").returncode == 2
    assert "Replicas:  5" in plane.run("describe", "deploy", "web").stdout
    assert "no objects" not in plane.run("describe", "svc", "-l", "a=c").stdout
    lines = plane.run("describe", "svc/web").stdout.splitlines()
    assert lines[:5] == [
        "Name:         web",
        "Namespace:    default",
        "Labels:       a=b",
        "Annotations:  <none>",
        "API Version:  v1",
    ]
    assert "  Cluster IP:  10.96.0.77" in lines
    assert lines[lines.index("  Ports:") :][1:3] == ["    - Port:  80", "      Target Port:  8080"]
    assert "Endpoints:    10.1.2.3:8080, [fd00::3]:8080" in lines
    assert lines[-3:-1] == ["Events:", "  Type     Reason   Age    From   Message"]
    assert lines[-1].startswith("  Normal   Seen     ")
    assert lines[-1].endswith("test   somebody came")
    missing = plane.run("describe", "svc", "nope")
    assert (missing.returncode, missing.stderr) == (1, 'error: services "nope" not found\n')


def test_its_kubeconfig_outlives_its_agent(plane):
    plane.run("up", "--api-only", "-f", "-", stdin=json.dumps(CONFIG_MAP))
    config = Path(plane.run("kubeconfig").stdout.strip()).read_text()
    os.kill(int(plane.run("status", "-o", "json").stdout.partition('"pid":')[2].partition(",")[0]), signal.SIGKILL)
    assert plane.run("up").returncode == 0
    assert Path(plane.run("kubeconfig").stdout.strip()).read_text() == config
    assert plane.get("/api/v1/namespaces/default/configmaps/settings")[1]["data"] == {"a": "b"}


def test_kubeconfigs_of_several_clusters_can_be_used_together(plane):
    configs = []
    for named in ("one", "two"):
        assert plane.run("up", "--api-only", "--cluster", named).returncode == 0
        configs.append(yaml.safe_load(Path(plane.run("kubeconfig", "--cluster", named).stdout.strip()).read_text()))
    for part in ("clusters", "users", "contexts"):
        names = [each["name"] for config in configs for each in config[part]]
        assert names == ["netproxy-one", "netproxy-two"], part
    gone = Path(plane.run("kubeconfig", "--cluster", "one").stdout.strip())
    assert plane.run("down", "--cluster", "one").returncode == 0
    assert not gone.exists()
    assert plane.run("get", "ns", "--cluster", "two").returncode == 0


def test_a_service_account_may_do_what_its_roles_say(plane):
    plane.run("up", "--api-only")
    accounts, rbac = (
        "/api/v1/namespaces/default/serviceaccounts",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default",
    )
    assert plane.get(accounts, body={"metadata": {"name": "bot"}})[0] == 201
    status, made = plane.get(f"{accounts}/bot/token", body={"spec": {"expirationSeconds": 600}})
    assert status == 201
    token = made["status"]["token"]
    status, refused = plane.get("/api/v1/namespaces/default/pods", token=token)
    assert (status, refused["message"]) == (
        403,
        (
            'pods is forbidden: User "system:serviceaccount:default:bot" cannot list resource "pods" in API group "" '
            'in the namespace "default"'
        ),
    )
    binding = {
        "metadata": {"name": "bot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "default"}],
    }
    assert plane.get(f"{rbac}/rolebindings", body=binding)[0] == 201
    assert plane.get("/api/v1/namespaces/default/pods", token=token)[0] == 200
    assert plane.get("/api/v1/namespaces/default/secrets", token=token)[0] == 403
    assert plane.get("/api/v1/namespaces/default/pods", token=token[:-4])[0] == 401
    asked = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
    reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert plane.get(reviews, token=token, body=asked)[1]["status"]["allowed"] is True


def test_what_needs_machines_is_refused_in_words(plane):
    plane.run("up", "--api-only")
    done = plane.run("rules", "web")
    assert done.returncode == 1
    assert "it was started with --api-only, so nothing runs in it" in done.stderr
    done = plane.run("up", "--control-plane-only")
    assert done.returncode == 2
    assert "cluster default was begun with --api-only: take it down first" in done.stderr


def test_it_leaves_nothing(plane):
    state = Path(plane.env["NETPROXY_STATE"])
    plane.run("up", "--api-only")
    assert plane.run("down").returncode == 0
    assert not (state / "default").exists()


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_kubectl_works(plane):
    plane.run("up", "--api-only")
    plane.env["KUBECONFIG"] = plane.run("kubeconfig").stdout.strip()
    done = subprocess.run(["kubectl", "get", "namespaces", "-o", "name"], env=plane.env, capture_output=True, text=True)
    assert "namespace/kube-system" in done.stdout.splitlines()
