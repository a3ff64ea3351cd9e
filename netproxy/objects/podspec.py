"""What the API server refuses of a Pod's volumes, variables and users, and of what ConfigMaps and Secrets hold.

Source: kubernetes 1.36 pkg/apis/core/validation/validation.go (validateVolumes, ValidateVolumeMounts, ValidateEnv,
ValidateConfigMap, ValidateSecret), apimachinery pkg/util/validation (IsConfigMapKey).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Any

from netproxy.core.errors import Problem
from netproxy.core.names import is_dns_label
from netproxy.objects.meta import Object
from netproxy.objects.refusal import Problems, invalid, required

_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")
_WHAT_A_KEY_IS = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
_MOST_MODE = 0o777
_MOST_ID = 2**31 - 1
_IDS = ("runAsUser", "runAsGroup", "fsGroup")
FILLED = ("configMap", "secret", "downwardAPI", "projected")
"""The kinds of volumes that hold files of the cluster's; the first three may be in a projected one."""


def data_problems(obj: Object) -> Problems:
    """Of the keys, and in a Secret of the base64, of a ConfigMap or Secret."""
    for field in ("data", "binaryData", "stringData"):
        for key, value in (obj.get(field) or {}).items():
            yield from _key(f"{field}[{key}]", str(key))
            encoded = field == "binaryData" or (field == "data" and obj.get("kind") == "Secret")
            if encoded and not is_base64(value or ""):
                yield invalid(f"{field}[{key}]", value, "illegal base64 data")


def is_base64(text: str) -> bool:
    """Whether a text is base64; line breaks do not count.

    >>> is_base64("YWI="), is_base64("YW\\n I="), is_base64("a-b")
    (True, False, False)
    """
    try:
        from_base64(text)
    except ValueError:
        return False
    return True


def from_base64(text: str) -> bytes:
    """What a text of base64 says; line breaks do not count, as in Go. Raises ValueError."""
    return b64decode(text.replace("\n", "").replace("\r", ""), validate=True)


def _key(path: str, key: str) -> Problems:
    if len(key) > 253:
        yield invalid(path, key, "must be no more than 253 bytes")
    elif not _KEY.match(key):
        yield invalid(path, key, _WHAT_A_KEY_IS)
    elif key == ".":
        yield invalid(path, key, "must not be '.'")
    elif key.startswith(".."):
        yield invalid(path, key, "must not start with '..'")


def volume_problems(spec: Mapping[str, Any], path: str) -> Problems:
    """Of a Pod's volumes."""
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        place = f"{path}.volumes[{index}]"
        name = volume.get("name")
        if not name:
            yield required(f"{place}.name")
        elif not is_dns_label(name):
            yield invalid(f"{place}.name", name, "must be a lowercase RFC 1123 label")
        elif name in names:
            yield Problem(f"{place}.name", f'Duplicate value: "{name}"', reason="FieldValueDuplicate")
        names.add(name or "")
        if volume.get("hostPath") is not None:
            yield from _host_path(f"{place}.hostPath.path", volume["hostPath"].get("path"))
        for kind in FILLED:
            yield from _filled(f"{place}.{kind}", volume.get(kind) or {})


def _host_path(path: str, given: str | None) -> Problems:
    if not given:
        yield required(path)
    elif ".." in given.split("/"):
        yield invalid(path, given, "must not contain '..'")


def _filled(path: str, source: Mapping[str, Any]) -> Problems:
    """Of one source of files; those of a projected volume are each like it."""
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        place = f"{path}.items[{index}]"
        if "key" in item and not item["key"]:
            yield required(f"{place}.key")
        yield from _below(f"{place}.path", item.get("path"))
        yield from _mode(f"{place}.mode", item.get("mode"))
    for index, inner in enumerate(source.get("sources") or ()):
        for kind in FILLED[:-1]:
            yield from _filled(f"{path}.sources[{index}].{kind}", inner.get(kind) or {})


def _mode(path: str, mode: int | None) -> Problems:
    if mode is not None and not 0 <= mode <= _MOST_MODE:
        yield invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def _below(path: str, given: str | None) -> Problems:
    if not given:
        yield required(path)
    else:
        yield from _relative(path, given)


def _relative(path: str, given: str) -> Problems:
    if given.startswith("/"):
        yield invalid(path, given, "must be a relative path")
    elif ".." in given.split("/"):
        yield invalid(path, given, "must not contain '..'")


def mount_problems(container: Mapping[str, Any], volumes: Iterable[Mapping[str, Any]], path: str) -> Problems:
    """Of where a container has volumes; VOLUMES are the Pod's."""
    names, targets = {volume.get("name") for volume in volumes}, set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        place, target = f"{path}.volumeMounts[{index}]", mount.get("mountPath")
        if not mount.get("name"):
            yield required(f"{place}.name")
        elif mount["name"] not in names:
            yield Problem(f"{place}.name", f'Not found: "{mount["name"]}"', reason="FieldValueNotFound")
        if not target:
            yield required(f"{place}.mountPath")
        elif target in targets:
            yield invalid(f"{place}.mountPath", target, "must be unique")
        targets.add(target)
        for field in ("subPath", "subPathExpr"):
            yield from _relative(f"{place}.{field}", mount.get(field) or "")


def env_problems(container: Mapping[str, Any], path: str) -> Problems:
    """Of the names of a container's variables."""
    for index, item in enumerate(container.get("env") or ()):
        name = item.get("name")
        if not name:
            yield required(f"{path}.env[{index}].name")
        elif "=" in name or not name.isprintable() or not name.isascii():
            why = "a valid environment variable name must consist only of printable ASCII characters other than '='"
            yield invalid(f"{path}.env[{index}].name", name, why)


def user_problems(holder: Mapping[str, Any], path: str) -> Problems:
    """Of the numbers in the securityContext of a Pod or container."""
    given = holder.get("securityContext") or {}
    numbers = [(field, given.get(field)) for field in _IDS]
    numbers += [(f"supplementalGroups[{at}]", group) for at, group in enumerate(given.get("supplementalGroups") or ())]
    for field, number in numbers:
        if number is not None and not 0 <= number <= _MOST_ID:
            yield invalid(f"{path}.securityContext.{field}", number, f"must be between 0 and {_MOST_ID}, inclusive")
