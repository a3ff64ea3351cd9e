"""Which fields of a Pod do something here, and which give it more than its own view of this machine. Pure.

What is set and does nothing is named, so that nothing is ignored in silence.

Source: kubernetes api/openapi-spec (v1.PodSpec, v1.Container).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.kubelet.image import is_ours
from netproxy.kubelet.security import DEFAULT, capability_name
from netproxy.objects.meta import Object, spec

ALL: dict[str, Any] = {}
"""The field does what it says, with all that is in it."""
_SECURITY: dict[str, Any] = {
    "runAsUser": ALL, "runAsGroup": ALL, "runAsNonRoot": ALL, "privileged": ALL, "readOnlyRootFilesystem": ALL,
    "allowPrivilegeEscalation": ALL, "capabilities": ALL,
}  # fmt: skip
_PROBE: dict[str, Any] = {
    **dict.fromkeys(("httpGet", "tcpSocket", "exec", "initialDelaySeconds", "periodSeconds", "timeoutSeconds",
                     "successThreshold", "failureThreshold", "terminationGracePeriodSeconds"), ALL),
    "httpGet": {"path": ALL, "port": ALL, "host": ALL, "httpHeaders": ALL, "scheme": ("HTTP",)},
}  # fmt: skip
_VALUE = {"fieldRef": ALL, "configMapKeyRef": ALL, "secretKeyRef": ALL}
_CONTAINER: dict[str, Any] = {
    **dict.fromkeys(("name", "image", "command", "args", "workingDir", "envFrom", "stdin", "stdinOnce", "tty"), ALL),
    "imagePullPolicy": ALL, "terminationMessagePath": ("/dev/termination-log",), "terminationMessagePolicy": ("File",),
    "env": {"name": ALL, "value": ALL, "valueFrom": _VALUE},
    "ports": {"name": ALL, "containerPort": ALL, "protocol": ALL},
    "volumeMounts": {"name": ALL, "mountPath": ALL, "readOnly": ALL, "subPath": ALL, "subPathExpr": ALL},
    "securityContext": _SECURITY, "readinessProbe": _PROBE, "livenessProbe": _PROBE, "startupProbe": _PROBE,
}  # fmt: skip
_PROJECTED = {
    "defaultMode": ALL,
    "sources": {"configMap": ALL, "secret": ALL, "downwardAPI": ALL, "serviceAccountToken": ALL},
}
_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for state in ("not-ready", "unreachable")
]
"""What every Pod gets from the API server."""
_POD: dict[str, Any] = {
    **dict.fromkeys(("nodeName", "nodeSelector", "restartPolicy", "terminationGracePeriodSeconds", "dnsPolicy", "dnsConfig",
                     "hostname", "subdomain", "hostAliases", "hostNetwork", "hostPID", "hostIPC", "enableServiceLinks"), ALL),
    "containers": _CONTAINER, "initContainers": _CONTAINER, "ephemeralContainers": _CONTAINER,
    "volumes": {"name": ALL, "emptyDir": {}, "hostPath": ALL, "configMap": ALL, "secret": ALL, "downwardAPI": ALL,
                "projected": _PROJECTED, "persistentVolumeClaim": ALL},
    "securityContext": {"runAsUser": ALL, "runAsGroup": ALL, "runAsNonRoot": ALL, "supplementalGroups": ALL, "fsGroup": ALL,
                        "sysctls": ALL},
    "schedulerName": ("default-scheduler",), "serviceAccountName": ALL, "serviceAccount": ALL,
    "automountServiceAccountToken": ALL, "shareProcessNamespace": (False,), "priority": (0,),
    "preemptionPolicy": ("PreemptLowerPriority",), "imagePullSecrets": ALL, "tolerations": (_TOLERATIONS,),
}  # fmt: skip
"""Field → what of it does something: everything, some fields, or (a tuple) only that the values are these."""


def ignored(pod: Object) -> tuple[str, ...]:
    """The fields of a Pod that are set and do nothing here, sorted, without the places in lists.

    >>> ignored({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}], "tolerations": []}})
    ('spec.containers.resources',)
    """
    return tuple(sorted(set(_ignored(spec(pod), _POD, "spec"))))


def _ignored(value: Any, known: Any, path: str) -> Iterator[str]:
    if value in (None, [], {}, ""):
        return
    if isinstance(known, tuple):
        if value not in known:
            yield path
    elif isinstance(value, list) and known is not ALL:
        for item in value:
            yield from _ignored(item, known, path)
    elif isinstance(value, Mapping) and known is not ALL:
        for field, inner in value.items():
            if field in known:
                yield from _ignored(inner, known[field], f"{path}.{field}")
            elif inner not in (None, [], {}, "", False):
                yield f"{path}.{field}"


def powers(pod: Object) -> tuple[str, ...]:
    """What a Pod asks for that reaches further than its own view of this machine, sorted.

    >>> powers({"spec": {"hostPID": True, "volumes": [{"name": "v", "hostPath": {"path": "/etc"}}],
    ...     "containers": [{"securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CAP_CHOWN"]}}}]}})
    ('capability SYS_ADMIN', 'hostPID', 'hostPath /etc')
    """
    found = {field for field in ("hostPID", "hostIPC") if spec(pod).get(field)}
    found |= {
        f"hostPath {each['hostPath'].get('path')}" for each in spec(pod).get("volumes") or () if each.get("hostPath")
    }
    for container in _containers(pod):
        asked = container.get("securityContext") or {}
        if asked.get("privileged"):
            found.add("privileged")
        added = set(map(capability_name, (asked.get("capabilities") or {}).get("add") or ()))
        found |= {f"capability {word}" for word in added - {*DEFAULT}}
    return tuple(sorted(found))


def runs_programs(pod: Object) -> bool:
    """Whether a Pod runs programs of this machine, not only servers that netproxy brings."""
    return not all(is_ours(str(each.get("image") or ""), each.get("command") or ()) for each in _containers(pod))


def _containers(pod: Object) -> Iterator[Mapping[str, Any]]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec(pod).get(group) or ()
