"""What is refused about volumes that are made of several sources.

Source: kubernetes pkg/apis/core/validation/validation.go (validateProjectionSources; behaviour).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netproxy.objects.validation.environment import VOLUME_FIELDS, field_problems, resource_problems
from netproxy.objects.validation.metadata import selector_problems
from netproxy.objects.validation.paths import file_mode, unreserved
from netproxy.objects.validation.podnames import bundle_name, signer_problems
from netproxy.objects.validation.words import Problems, forbidden, invalid, invalids, required, unsupported

_KEY_TYPES = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_SHORTEST_S, _LONGEST_S = 600, 1 << 32
_CERTIFICATE_S = (3600, 91 * 24 * 3600, 24 * 3600)

Part = Mapping[str, Any]
Taken = Callable[[str, str], Problems]
"""Told of a path and of what to show: whether something has this path already."""


def projected_problems(source: Part, path: str) -> Problems:
    """What is wrong with a volume of several sources."""
    yield from file_mode(source.get("defaultMode"), f"{path}.defaultMode")
    seen: set[str] = set()

    def taken(file: str, shown: str) -> Problems:
        if file in seen:
            yield invalid(path, shown, "conflicting duplicate paths")
        seen.add(file)

    for index, part in enumerate(source.get("sources") or ()):
        place = f"{path}.sources[{index}]"
        for kind, check in _CHECKS.items():
            if part.get(kind) is not None:
                yield from check(part[kind], f"{place}.{kind}", path, taken)
        if sum(part.get(kind) is not None for kind in _CHECKS) > 1:
            yield forbidden(place, "may not specify more than 1 volume type per source")


def _keys(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    name = source.get("name") or ""
    if not name:
        yield required(f"{path}.name")
    for index, item in enumerate(source.get("items") or ()):
        yield from key_problems(item, f"{path}.items[{index}]")
        if item.get("path"):
            yield from taken(item["path"], name)


def key_problems(item: Part, path: str) -> Problems:
    """What is wrong with a key that becomes a file."""
    for field in ("key", "path"):
        if not item.get(field):
            yield required(f"{path}.{field}")
    yield from unreserved(item.get("path") or "", f"{path}.path")
    yield from file_mode(item.get("mode"), f"{path}.mode")


def _downward(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    for item in source.get("items") or ():
        yield from file_problems(item, path)
        if item.get("path"):
            yield from taken(item["path"], item["path"])


def file_problems(item: Part, path: str) -> Problems:
    """What is wrong with a field of the Pod that becomes a file."""
    file, field, resource = item.get("path") or "", item.get("fieldRef"), item.get("resourceFieldRef")
    if not file:
        yield required(f"{path}.path")
    yield from unreserved(file, f"{path}.path")
    if field is not None:
        yield from field_problems(field, f"{path}.fieldRef", VOLUME_FIELDS)
        if resource is not None:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif resource is not None:
        yield from resource_problems(resource, f"{path}.resourceFieldRef", in_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from file_mode(item.get("mode"), f"{path}.mode")


def _token(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    seconds, place = source.get("expirationSeconds") or 0, f"{path}.expirationSeconds"
    if seconds < _SHORTEST_S:
        yield invalid(place, seconds, "may not specify a duration less than 10 minutes")
    if seconds > _LONGEST_S:
        yield invalid(place, seconds, "may not specify a duration larger than 2^32 seconds")
    if source.get("path"):
        yield from unreserved(source["path"], f"{whole}.path")
    else:
        yield required(f"{whole}.path")


def _bundle(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    name, signer, selector = source.get("name"), source.get("signerName"), source.get("labelSelector")
    if name is not None and signer is not None:
        yield invalid(path, _bundle_shown(source), "only one of name and signerName may be used")
    elif name is not None:
        if not name:
            yield required(f"{path}.name", "must be a valid object name")
        yield from invalids(
            f"{path}.name", name, (f"not a valid clustertrustbundlename: {w}" for w in bundle_name(name))
        )
        if selector is not None:
            yield invalid(f"{path}.labelSelector", selector, "labelSelector must be unset if name is specified")
    elif signer is not None:
        if not signer:
            yield required(f"{path}.signerName", "must be a valid signer name")
        yield from signer_problems(f"{path}.signerName", signer)
        yield from selector_problems(selector, f"{path}.labelSelector")
    else:
        yield required(path, "either name or signerName must be specified")
    file = source.get("path") or ""
    if not file:
        yield required(f"{path}.path")
    yield from unreserved(file, f"{path}.path")
    yield from taken(file, file)


def _bundle_shown(source: Part) -> dict[str, Any]:
    fields = {"Name": "name", "SignerName": "signerName", "LabelSelector": "labelSelector", "Optional": "optional"}
    return {**{shown: source.get(field) for shown, field in fields.items()}, "Path": source.get("path") or ""}


def _certificate(source: Part, path: str, whole: str, taken: Taken) -> Problems:
    signer, kind = source.get("signerName") or "", source.get("keyType") or ""
    yield from signer_problems(f"{path}.signerName", signer)
    if kind not in _KEY_TYPES:
        yield unsupported(f"{path}.keyType", kind, _KEY_TYPES)
    seconds = source.get("maxExpirationSeconds")
    if seconds is not None:
        yield from _expiry(seconds, signer, f"{path}.maxExpirationSeconds")
    files = [field for field in ("credentialBundlePath", "keyPath", "certificateChainPath") if source.get(field)]
    for field in files:
        yield from unreserved(source[field], f"{path}.{field}")
        yield from taken(source[field], source[field])
    if not files:
        yield required(path, "specify at least one of credentialBundlePath, keyPath, and certificateChainPath")


def _expiry(seconds: int, signer: str, path: str) -> Problems:
    least, most, most_of_own = _CERTIFICATE_S
    host = signer.partition("/")[0]
    if host == "kubernetes.io" or host.endswith(".kubernetes.io"):
        most = most_of_own
    if seconds < least:
        yield invalid(path, seconds, f"if provided, maxExpirationSeconds must be >= {least}")
    if seconds > most:
        yield invalid(path, seconds, f"if provided, maxExpirationSeconds must be <= {most}")


_CHECKS: dict[str, Callable[[Part, str, str, Taken], Problems]] = {
    "secret": _keys,
    "configMap": _keys,
    "downwardAPI": _downward,
    "serviceAccountToken": _token,
    "clusterTrustBundle": _bundle,
    "podCertificate": _certificate,
}
