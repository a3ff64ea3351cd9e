"""An operator on kopf: keeps a copy of every ConfigMap that asks for one, and gives LoadBalancers an address."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config

WANTED = {"copy": "wanted"}


@kopf.on.startup()
def ready(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config()
    settings.posting.enabled = True
    settings.watching.server_timeout = 10
    settings.networking.error_backoffs = [0.1, 0.2, 0.5, 1, 1, 1, 1, 1, 1, 1, 1]


@kopf.on.create("configmaps", labels=WANTED)
@kopf.on.update("configmaps", labels=WANTED)
def copied(body: kopf.Body, name: str | None, namespace: str | None, patch: kopf.Patch, **_: Any) -> None:
    core = client.CoreV1Api()
    copy = {"metadata": {"name": f"{name}-copy"}, "data": {k: v.upper() for k, v in body.get("data", {}).items()}}
    kopf.adopt(copy)
    try:
        core.create_namespaced_config_map(namespace, copy)
    except client.ApiException as error:
        if error.status != 409:
            raise
        core.patch_namespaced_config_map(f"{name}-copy", namespace, copy)
    kopf.info(body, reason="Copied", message=f"{len(copy['data'])} entries")
    patch.metadata.annotations["copied"] = str(len(copy["data"]))


@kopf.on.delete("configmaps", labels=WANTED)
def gone(name: str | None, namespace: str | None, **_: Any) -> None:
    """What was copied is said once more, as the last will of what goes."""
    will = {"metadata": {"name": f"{name}-was-here"}}
    client.CoreV1Api().create_namespaced_config_map(namespace, will)


@kopf.on.field("services", field="spec.type", value="LoadBalancer")
def addressed(patch: kopf.Patch, **_: Any) -> None:
    patch.status["loadBalancer"] = {"ingress": [{"ip": "192.0.2.7"}]}
