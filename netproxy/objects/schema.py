"""Unknown fields and wrong types, found with the official schema (Kubernetes 1.36, as generated data)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from netproxy.core.errors import Problem

_EXPECTED: dict[str, tuple[type, ...]] = {"s": (str,), "i": (int,), "n": (int, float), "b": (bool,)}
_EXACT: dict[str, type] = {"s": str, "i": int, "b": bool}
SMALLEST, LARGEST = -(1 << 63), (1 << 63) - 1
_WORDS = {"s": "string", "i": "integer", "n": "number", "b": "boolean"}

METADATA = "apis.meta.v1.ObjectMeta"
_KUBE_PROXY = "kubeproxy.config.k8s.io.KubeProxyConfiguration"

_OWN: dict[str, dict[str, str]] = {
    "netproxy.dev.Cluster": {
        "apiVersion": "s", "kind": "s", "metadata": ":" + METADATA, "spec": ":netproxy.dev.ClusterSpec",
    },
    "netproxy.dev.Image": {
        "apiVersion": "s", "kind": "s", "metadata": ":" + METADATA, "spec": ":netproxy.dev.ImageSpec",
    },
    "netproxy.dev.ImageSpec": {"image": "s", "command": "[]s"},
    "netproxy.dev.ClusterSpec": {
        "nodes": "*", "podCIDRs": "[]s", "serviceCIDRs": "[]s", "nodeCIDRs": "[]s", "dnsDomain": "s", "dnsPodsMode": "s",
        "proxyMode": "s", "kubeProxyVersion": "s", "nodePortRange": "s", "ipFamilies": "[]s", "iptables": "s",
        "dnsAddresses": "[]s", "scope": "s", "containerLogMaxSize": "s", "containerLogMaxFiles": "i",
    },
    _KUBE_PROXY: {
        "apiVersion": "s", "kind": "s", "metadata": ":" + METADATA, "bindAddress": "s", "bindAddressHardFail": "b",
        "clientConnection": ":kubeproxy.ClientConnection", "clusterCIDR": "s", "config": "*", "configSyncPeriod": "s",
        "conntrack": ":kubeproxy.Conntrack", "detectLocal": ":kubeproxy.DetectLocal", "detectLocalMode": "s",
        "enableProfiling": "b", "featureGates": "{}b", "healthzBindAddress": "s", "hostnameOverride": "s",
        "iptables": ":kubeproxy.Rules", "ipvs": ":kubeproxy.Ipvs", "logging": "*", "metricsBindAddress": "s", "mode": "s",
        "nftables": ":kubeproxy.Rules", "nodePortAddresses": "[]s", "oomScoreAdj": "i", "portRange": "s",
        "showHiddenMetricsForVersion": "s", "udpIdleTimeout": "s", "winkernel": "*", "windowsRunAsService": "b",
    },
    "kubeproxy.ClientConnection": {
        "acceptContentTypes": "s", "burst": "i", "contentType": "s", "kubeconfig": "s", "qps": "n",
    },
    "kubeproxy.Conntrack": {
        "max": "i", "maxPerCore": "i", "min": "i", "tcpBeLiberal": "b", "tcpCloseWaitTimeout": "s", "tcpEstablishedTimeout": "s",
        "udpStreamTimeout": "s", "udpTimeout": "s",
    },
    "kubeproxy.DetectLocal": {"bridgeInterface": "s", "interfaceNamePrefix": "s"},
    "kubeproxy.Rules": {
        "localhostNodePorts": "b", "masqueradeAll": "b", "masqueradeBit": "i", "minSyncPeriod": "s", "syncPeriod": "s",
    },
    "kubeproxy.Ipvs": {
        "excludeCIDRs": "[]s", "minSyncPeriod": "s", "scheduler": "s", "strictARP": "b", "syncPeriod": "s", "tcpFinTimeout": "s",
        "tcpTimeout": "s", "udpTimeout": "s",
    },
}  # fmt: skip


@cache
def _data() -> dict[str, Any]:
    import json
    import lzma

    data: dict[str, Any] = json.loads(
        lzma.decompress(files("netproxy.objects").joinpath("schema.json.xz").read_bytes())
    )
    return data


@cache
def _schema() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    data = _data()
    kinds = {**data["kinds"], "netproxy.dev/v1alpha1/Cluster": "netproxy.dev.Cluster",
             "netproxy.dev/v1alpha1/Image": "netproxy.dev.Image",
             "kubeproxy.config.k8s.io/v1alpha1/KubeProxyConfiguration": _KUBE_PROXY}  # fmt: skip
    return kinds, {**data["types"], **_OWN}


def type_of(obj: Mapping[str, Any]) -> str:
    """The name of an object's type; empty for a kind that has no official schema.

    >>> type_of({"apiVersion": "v1", "kind": "Pod"})
    'core.v1.Pod'
    """
    return str(_data()["kinds"].get(f"{obj.get('apiVersion')}/{obj.get('kind')}", ""))


def type_of_field(of: str, field: str) -> str:
    """The type of a field's value, or of the items of its list or map; empty when it is no object.

    >>> type_of_field("core.v1.PodSpec", "containers"), type_of_field("core.v1.PodSpec", "nodeName")
    ('core.v1.Container', '')
    """
    return _schema()[1].get(of, {}).get(field, "").partition(":")[2]


def fields_of(of: str) -> Mapping[str, str]:
    """The fields of a type with the codes of their types; the root of a kind has the name that `root_of` tells.

    >>> fields_of("core.v1.ContainerPort")["containerPort"]
    'i'
    """
    return _schema()[1].get(of, {})


def encoding_of(of: str) -> Mapping[str, str]:
    """How Go writes those fields of a type that are not written the usual way (codes: see tools/go_types.py).

    >>> encoding_of("core.v1.EmptyDirVolumeSource")
    {'medium': '~v1.StorageMedium', 'sizeLimit': '&q'}
    """
    codes: Mapping[str, str] = _data()["go"].get(of, {})
    return codes


def internal_fields(kind: str) -> list[list[str]]:
    """The fields of a type of the API server's own form of Pods: Go's name, the name in JSON, a code (see tools/go_types.py).

    >>> internal_fields("PodOS")
    [['Name', 'name', 's']]
    """
    found: list[list[str]] = _data()["internal"][kind]
    return found


def root_of(obj: Mapping[str, Any]) -> str:
    """The name of the type of an object, of our own kinds, too; empty for a kind without a schema."""
    return _schema()[0].get(f"{obj.get('apiVersion')}/{obj.get('kind')}", "")


def decoded(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object as Go's decoder leaves it: a field that is null is not there, a scalar that is null in a list or map is empty.

    Times stay null, as Kubernetes writes them.

    >>> decoded({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": None}, "immutable": None})
    {'apiVersion': 'v1', 'kind': 'ConfigMap', 'data': {'a': ''}}
    """
    root = root_of(obj)
    types = _schema()[1]
    return obj if not root or _is_clean(obj, types[root], types) else _decoded(obj, ":" + root)


_ZERO: dict[str, Any] = {"s": "", "i": 0, "n": 0, "b": False}


def _decoded(value: Any, code: str) -> Any:
    if code.startswith("[]") and isinstance(value, list):
        return [_ZERO.get(code[2:]) if item is None else _decoded(item, code[2:]) for item in value]
    if code.startswith("{}") and isinstance(value, dict):
        return {key: _ZERO.get(code[2:]) if item is None else _decoded(item, code[2:]) for key, item in value.items()}
    if code.startswith(":") and isinstance(value, dict):
        fields = fields_of(code[1:])
        return {
            field: _decoded(item, fields.get(field, "*"))
            for field, item in value.items()
            if item is not None or field.endswith(("Time", "Timestamp"))
        }
    return value


def merge_key(of: str, field: str) -> str | None:
    """By which key a strategic merge patch merges a list; empty for a list of scalars, None for one that is replaced.

    >>> merge_key("core.v1.ServiceSpec", "ports"), merge_key("core.v1.Container", "args")
    ('port', None)
    """
    how = _data()["merge"].get(of, {}).get(field)
    return None if how in (None, "=") else str(how).removeprefix("=")


def list_type(of: str, field: str) -> str:
    """How server-side apply owns a list: `atomic`, `set`, or by the keys of its items.

    >>> list_type("core.v1.ServiceSpec", "ports"), list_type("core.v1.Container", "args")
    ('port,protocol', 'atomic')
    """
    return str(_data()["lists"].get(of, {}).get(field, "atomic"))


def is_atomic(of: str, field: str) -> bool:
    """Whether server-side apply owns an object or a map as a whole.

    >>> is_atomic("core.v1.ServiceSpec", "selector"), is_atomic("core.v1.ServiceSpec", "sessionAffinityConfig")
    (True, False)
    """
    return field in _data()["atomic"].get(of, ())


@cache
def atomic_types() -> frozenset[str]:
    """The types that server-side apply owns as a whole wherever they are.

    >>> "core.v1.LocalObjectReference" in atomic_types()
    True
    """
    data = _data()
    codes = {data["types"][of][field] for of, fields in data["atomic"].items() for field in fields}
    return frozenset({code[1:] for code in codes if code.startswith(":")} | {"apis.meta.v1.OwnerReference"})


def key_defaults(of: str, keys: Iterable[str]) -> Mapping[str, str | int]:
    """What the keys of a list's items of this type are when an item does not say; those that are left out are just not there.

    >>> key_defaults("core.v1.ContainerPort", ("containerPort", "protocol"))
    {'containerPort': 0, 'protocol': 'TCP'}
    """
    if of == "core.v1.ObjectReference":
        return {}
    fields = fields_of(of)
    return {key: "TCP" if key == "protocol" else 0 if fields.get(key) == "i" else "" for key in keys}


def field_problems(obj: Mapping[str, Any]) -> tuple[list[Problem], list[Problem]]:
    """Return (wrong types, unknown fields) of one object; of a kind without a schema, wrong types in its metadata.

    The unknown ones are warnings: the field is kept, and the message proposes the likely name.
    """
    kinds, types = _schema()
    root = kinds.get(f"{obj.get('apiVersion')}/{obj.get('kind')}")
    wrong: list[Problem] = []
    unknown: list[Problem] = []
    if root is None:
        checked = _check(obj.get("metadata") or {}, ":" + METADATA, "metadata")
        wrong += [problem for problem, is_type in checked if is_type]
    elif not _is_clean(obj, types[root], types):
        for problem, is_type in _walk(obj, root, ""):
            (wrong if is_type else unknown).append(problem)
    return wrong, unknown


def _is_clean(obj: Mapping[str, Any], fields: Mapping[str, str], types: Mapping[str, Mapping[str, str]]) -> bool:
    """A fast yes for the objects that have nothing to report, which are nearly all."""
    for field, value in obj.items():
        code = fields.get(field)
        if code is None:
            return False
        if code in _EXACT:
            if type(value) is not _EXACT[code] or (code == "i" and _is_far(value)):
                return False
        elif code != "*" and not _is_clean_tree(value, code, types):
            return False
    return True


def _is_clean_tree(value: Any, code: str, types: Mapping[str, Mapping[str, str]]) -> bool:
    if code[0] == ":":
        return type(value) is dict and _is_clean(value, types[code[1:]], types)
    if code[:3] == "[]:":
        fields = types[code[3:]]
        return type(value) is list and all([type(item) is dict and _is_clean(item, fields, types) for item in value])
    if code == "[]s":
        return type(value) is list and all([type(item) is str for item in value])
    if code[:2] == "{}":
        return type(value) is dict and (
            code == "{}*" or (code == "{}s" and all([type(item) is str for item in value.values()]))
        )
    return False


def _walk(obj: Mapping[str, Any], type_name: str, path: str) -> Iterator[tuple[Problem, bool]]:
    fields = _schema()[1][type_name]
    for field, value in obj.items():
        place = f"{path}.{field}" if path else field
        code = fields.get(field)
        if code is None:
            yield Problem(place, f"unknown field{_likely(field, fields)}", reason="FieldValueUnknown"), False
        elif value is not None:
            yield from _check(value, code, place)


def _check(value: Any, code: str, path: str) -> Iterator[tuple[Problem, bool]]:
    if code in _EXPECTED:
        if not isinstance(value, _EXPECTED[code]) or (code in "in" and isinstance(value, bool)):
            yield _wrong(path, value, _WORDS[code]), True
        elif code == "i" and _is_far(value):
            yield _too_far(path, value), True
    elif code.startswith("[]"):
        yield from _check_list(value, code[2:], path)
    elif code != "*":
        if not isinstance(value, Mapping):
            yield _wrong(path, value, "object"), True
        elif code.startswith("{}"):
            for key, item in value.items():
                yield from _check(item, code[2:], f"{path}.{key}")
        else:
            yield from _walk(value, code[1:], path)


def _check_list(value: Any, code: str, path: str) -> Iterator[tuple[Problem, bool]]:
    if not isinstance(value, list):
        yield _wrong(path, value, "array"), True
        return
    for index, item in enumerate(value):
        if item is not None:
            yield from _check(item, code, f"{path}[{index}]")
        elif code[0] in ":[{":  # a scalar that is null is the empty one
            yield Problem(f"{path}[{index}]", "Invalid value: null", reason="FieldValueTypeInvalid"), True


def _wrong(path: str, value: Any, wanted: str) -> Problem:
    shown = "an object" if isinstance(value, Mapping) else "an array" if isinstance(value, list) else repr(value)
    return Problem(path, f"Invalid value: {shown}: must be of type {wanted}", reason="FieldValueTypeInvalid")


def _is_far(value: Any) -> bool:
    return not SMALLEST <= value <= LARGEST


def _too_far(path: str, value: Any) -> Problem:
    why = f"must be an integer of 64 bits, between {SMALLEST} and {LARGEST}"
    return Problem(path, f"Invalid value: {value!r:.40}: {why}", reason="FieldValueTypeInvalid")


def _likely(field: str, fields: Mapping[str, str]) -> str:
    lower = {name.lower(): name for name in fields}
    close = [lower[field.lower()]] if field.lower() in lower else difflib.get_close_matches(field, fields, 1, 0.7)
    return f'; did you mean "{close[0]}"?' if close else ""
