"""An operator on kopf: writes a greeting into a ConfigMap for each Greeting, a kind of its own."""

from __future__ import annotations

from typing import Any

import kopf
from kubernetes import client, config


@kopf.on.startup()
def ready(settings: kopf.OperatorSettings, **_: Any) -> None:
    config.load_kube_config()
    settings.networking.error_backoffs = [0.1, 0.2, 0.5, 1, 1, 1, 1, 1, 1, 1, 1]


@kopf.on.create("example.com", "v1", "greetings")
@kopf.on.update("example.com", "v1", "greetings", field="spec")
def greeted(
    spec: kopf.Spec, name: str | None, namespace: str | None, patch: kopf.Patch, meta: kopf.Meta, **_: Any
) -> Any:
    words = ", ".join([spec["word"]] * spec["times"])
    made = {"metadata": {"name": f"{name}-says"}, "data": {"words": words}}
    kopf.adopt(made)
    core = client.CoreV1Api()
    try:
        core.create_namespaced_config_map(namespace, made)
    except client.ApiException as error:
        if error.status != 409:
            raise
        core.patch_namespaced_config_map(f"{name}-says", namespace, made)
    patch.status["observedGeneration"] = meta["generation"]
    patch.status["phase"] = "Said"
    return {"words": words}


@kopf.on.delete("example.com", "v1", "greetings")
def farewell(name: str | None, namespace: str | None, body: kopf.Body, **_: Any) -> None:
    client.CoreV1Api().create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-bye"}})
    kopf.info(body, reason="Farewell", message="good-bye")
