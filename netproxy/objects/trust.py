"""How everybody in a namespace knows the API: the ConfigMap with the certificate that vouches for it."""

from __future__ import annotations

from netproxy.objects.meta import Object

ROOT_CA = "kube-root-ca.crt"
DESCRIPTION = "kubernetes.io/description"
USE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


def root_ca_object(in_namespace: str, certificate: str) -> Object:
    """What a Namespace has of CERTIFICATE (PEM), which vouches for the API."""
    meta = {"name": ROOT_CA, "namespace": in_namespace, "annotations": {DESCRIPTION: USE}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": certificate}}
