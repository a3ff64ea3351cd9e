"""What is deleted takes along what it owned: objects, and what runs for them on the nodes."""

from support.cluster import Cluster, wait_until

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
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
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
CONTENT = ("deployments", "replicasets", "pods", "services", "endpointslices", "configmaps", "events")


def left(cluster: Cluster) -> list[str]:
    found = [item for kind in CONTENT for item in cluster.get(kind, "-n", "shop")["items"]]
    return [f"{item['kind']}/{item['metadata']['name']}" for item in found]


def running(cluster: Cluster) -> list[str]:
    return [name for name in cluster.namespaces() if f"{cluster.name}-shop." in name]


def test_a_deployment_takes_its_pods_along_and_a_namespace_everything(cluster: Cluster):
    cluster("up", "-f", "-", stdin=SHOP)
    assert len(running(cluster)) == 2
    cluster("delete", "deployment", "web", "-n", "shop")
    wait_until(lambda: not running(cluster))
    wait_until(lambda: not [item for item in left(cluster) if item.startswith(("ReplicaSet/", "Pod/"))])
    assert "Service/web" in left(cluster)
    cluster("apply", "-f", "-", stdin=SHOP)
    wait_until(lambda: cluster("get", "pods", "-n", "shop").count("1/1") == 2)
    cluster("delete", "namespace", "shop")
    wait_until(lambda: "shop" not in cluster("get", "namespaces"))
    assert left(cluster) == []
    assert running(cluster) == []
