"""What is refused about a ConfigMap, a Secret and a ServiceAccount.

Source: kubernetes pkg/apis/core/validation/validation.go, pkg/registry/core/{secret,serviceaccount}/strategy.go (behaviour).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from netproxy.objects.meta import Object, annotations_of
from netproxy.objects.validation.names import config_key, size
from netproxy.objects.validation.rules import Found, Meta, Rules
from netproxy.objects.validation.words import (
    Problems,
    forbidden,
    invalid,
    invalids,
    required,
    too_long,
    unchanged_typed,
)

_MOST_BYTES = 1 << 20
_IMMUTABLE = "field is immutable when `immutable` is set"
_ACCOUNT = "kubernetes.io/service-account.name"
_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"
_DOCKER = {
    "kubernetes.io/dockercfg": ".dockercfg",
    "kubernetes.io/dockerconfigjson": ".dockerconfigjson",
}


def _config_map(obj: Object, meta: Found) -> Problems:
    yield from meta
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        yield from invalids(f"data[{key}]", key, config_key(key))
        if key in binary:
            yield invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binary:
        yield from invalids(f"binaryData[{key}]", key, config_key(key))
    if sum(size(text or "") for text in data.values()) + sum(map(_decoded_size, binary.values())) > _MOST_BYTES:
        yield too_long("[]", _MOST_BYTES)


def _decoded_size(text: str | None) -> int:
    return len(text or "") // 4 * 3 - (text or "").count("=")


def _config_map_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from _kept(new, old, "data", "binaryData")
    yield from _config_map(new, meta.whole)


def _kept(new: Object, old: Object, *fields: str) -> Problems:
    """What is immutable stays, and stays immutable."""
    if old.get("immutable"):
        if not new.get("immutable"):
            yield forbidden("immutable", _IMMUTABLE)
        for field in fields:
            if (new.get(field) or {}) != (old.get(field) or {}):
                yield forbidden(field, _IMMUTABLE)


def _secret(obj: Object, meta: Found) -> Problems:
    yield from meta
    data: Mapping[str, str] = obj.get("data") or {}
    for key in data:
        yield from invalids(f"data[{key}]", key, config_key(key))
    if sum(map(_decoded_size, data.values())) > _MOST_BYTES:
        yield too_long("data", _MOST_BYTES)
    yield from _secret_type(obj, str(obj.get("type") or ""), data)


def _secret_type(obj: Object, kind: str, data: Mapping[str, str]) -> Problems:
    """What the type of a Secret needs."""
    if kind == "kubernetes.io/service-account-token" and not annotations_of(obj).get(_ACCOUNT):
        yield required(f"metadata.annotations[{_ACCOUNT}]")
    if key := _DOCKER.get(kind):
        yield from _docker(key, data)
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        yield required("data[username]")
        yield required("data[password]")
    if kind == "kubernetes.io/ssh-auth" and not data.get("ssh-privatekey"):
        yield required("data[ssh-privatekey]")
    if kind == "kubernetes.io/tls":
        for key in ("tls.crt", "tls.key"):
            if key not in data:
                yield required(f"data[{key}]")


def _docker(key: str, data: Mapping[str, str]) -> Problems:
    if key not in data:
        yield required(f"data[{key}]")
    elif why := _no_object(data[key]):
        yield invalid(f"data[{key}]", "<secret contents redacted>", why)


def _no_object(encoded: str) -> str:
    """Why this is no JSON object, in Go's words; empty when it is one."""
    try:
        value = json.loads(base64.b64decode(encoded or "").decode(errors="replace") or " ")
    except (json.JSONDecodeError, binascii.Error) as error:
        text = error.doc[error.pos :] if isinstance(error, json.JSONDecodeError) else ""
        if not text.strip():
            return "unexpected end of JSON input"
        return f"invalid character '{text.lstrip()[0]}' looking for beginning of value"
    if isinstance(value, dict) or value is None:
        return ""
    kinds = {"bool": bool, "string": str, "array": list}
    kind = next((name for name, kind in kinds.items() if isinstance(value, kind)), "number")
    return f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"


def _secret_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from unchanged_typed("type", new.get("type"), old.get("type"))
    yield from _kept(new, old, "data")
    yield from _secret(new, meta.whole)


def _secret_warnings(new: Object, old: Object | None) -> Iterator[str]:
    """Whether a certificate and its key are some, as far as their armour tells."""
    if new.get("type") != "kubernetes.io/tls":
        return
    data = new.get("data") or {}
    for key, what, kinds in (("tls.crt", "certificate", _CERTIFICATES), ("tls.key", "key", _KEYS)):
        text = base64.b64decode(data.get(key) or "").decode(errors="replace")
        found = _PEM.findall(text)
        if not found:
            yield f"tls: failed to find any PEM data in {what} input"
            return
        if not any(kinds.fullmatch(kind) for kind in found):
            yield _skipped(what, found)
            return


def _skipped(what: str, found: list[str]) -> str:
    """What is there instead."""
    if found[0] == "CERTIFICATE" and len(found) == 1:
        return "tls: found a certificate rather than a key in the PEM for the private key"
    if found[0].endswith("PRIVATE KEY") and len(found) == 1:
        switched = "but did find a private key; PEM inputs may have been switched"
        return f"tls: failed to find certificate PEM data in certificate input, {switched}"
    skipped = f"after skipping PEM blocks of the following types: [{' '.join(found)}]"
    if what == "certificate":
        return f'tls: failed to find "CERTIFICATE" PEM block in certificate input {skipped}'
    return f'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input {skipped}'


_PEM = re.compile(r"-----BEGIN ([^-\n]*)-----\n.*?-----END \1-----", re.DOTALL)
_CERTIFICATES, _KEYS = re.compile("CERTIFICATE"), re.compile("(.* )?PRIVATE KEY")


def _account_update(new: Object, old: Object, meta: Meta) -> Problems:
    yield from meta.change
    yield from meta.whole


def _account_warnings(new: Object, old: Object | None) -> Iterator[str]:
    before: Mapping[str, Any] = annotations_of(old) if old else {}
    if _MOUNTABLE in annotations_of(new) and _MOUNTABLE not in before:
        yield (
            f"metadata.annotations[{_MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to "
            "mounted secrets"
        )


CONFIG_MAP = Rules(create=_config_map, update=_config_map_update)
SECRET = Rules(create=_secret, update=_secret_update, warnings=_secret_warnings)
SERVICE_ACCOUNT = Rules(update=_account_update, warnings=_account_warnings)
