"""Who is an endpoint, seen with packets: a Pod that gets another label, addresses that somebody writes by hand."""

import json

import pytest
from support.cluster import Cluster, wait_until

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: web, image: agnhost, args: [netexec, --http-port=8080]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: byhand}
spec: {clusterIP: 10.96.0.77, ports: [{port: 80, targetPort: 8080}]}
"""


@pytest.fixture(scope="module")
def web(shared_cluster: Cluster) -> Cluster:
    shared_cluster("up", "-f", "-", stdin=WEB)
    return shared_cluster


def ready_pods(cluster: Cluster) -> set[str]:
    found = {
        pod["metadata"]["name"]: any(
            c["type"] == "Ready" and c["status"] == "True" for c in pod["status"]["conditions"]
        )
        for pod in cluster.get("pods")["items"]
    }
    return {name for name, is_ready in found.items() if is_ready}


def answering(cluster: Cluster, url: str, times: int = 20) -> set[str]:
    return {
        cluster.exec("client", "curl", "-s", "--max-time", "3", f"{url}/hostname", check=False) for _ in range(times)
    }


def test_a_pod_with_another_label_is_replaced_and_gets_no_packets_any_more(web: Cluster):
    left, stays = sorted(ready_pods(web))
    assert answering(web, "http://web.default.svc.cluster.local") == {left, stays}
    pod = web.get("pods", left)
    pod["metadata"] = {"name": left, "namespace": "default", "labels": {"app": "looked-at"}}
    web("apply", "-f", "-", stdin=json.dumps({key: pod[key] for key in ("apiVersion", "kind", "metadata", "spec")}))
    labels = web.get("pods", left)["metadata"]["labels"]
    assert labels["app"] == "looked-at"
    wait_until(lambda: len(ready_pods(web)) == 3)
    (new,) = ready_pods(web) - {left, stays}
    wait_until(lambda: answering(web, "http://web.default.svc.cluster.local", 10) == {new, stays})
    assert "ownerReferences" not in web.get("pods", left)["metadata"]
    assert "ownerReferences" in web.get("pods", new)["metadata"]


def test_endpoints_that_somebody_writes_lead_packets_and_so_do_their_changes(web: Cluster):
    one, other = sorted(ready_pods(web))[:2]
    url = "http://10.96.0.77"
    for pod in (one, other):
        endpoints = {
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "byhand"},
            "subsets": [{"addresses": [{"ip": web.get("pods", pod)["status"]["podIP"]}], "ports": [{"port": 8080}]}],
        }  # fmt: skip
        web("apply", "-f", "-", stdin=json.dumps(endpoints))
        wait_until(lambda pod=pod: answering(web, url, 4) == {pod})
    web("delete", "endpoints", "byhand")
    wait_until(lambda: answering(web, url, 1) == {""})
    assert "byhand" not in web("get", "endpointslices")
