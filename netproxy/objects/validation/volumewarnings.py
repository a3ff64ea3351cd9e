"""What is said about volumes of Pods that are taken all the same.

Source: kubernetes pkg/api/pod/warnings.go, pkg/api/persistentvolumeclaim/util.go (behaviour).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from netproxy.objects.amount import amount
from netproxy.objects.validation.words import quoted

_DEPRECATED = (
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("ephemeral", "", ""),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
)

Part = Mapping[str, Any]
Place = tuple[str, str]
"""A path, and what it comes from."""


def volume_warnings(volumes: Sequence[Part], path: str) -> Iterator[str]:
    """What is said about kinds of volumes that are gone, or going."""
    for index, item in enumerate(volumes):
        for kind, spelt, why in _DEPRECATED:
            if item.get(kind) is None:
                continue
            if kind != "ephemeral":
                yield f"{path}[{index}].{spelt}: {why}"
            else:
                template = item[kind].get("volumeClaimTemplate") or {}
                place = f"{path}[{index}].ephemeral.volumeClaimTemplate.spec"
                yield from claim_warnings(template.get("spec") or {}, place)


def claim_warnings(claim: Part, path: str) -> Iterator[str]:
    """What is said about the amounts that a claim asks for."""
    resources = claim.get("resources") or {}
    for side in ("requests", "limits"):
        text = (resources.get(side) or {}).get("storage")
        if text is not None and not amount(text).is_whole:
            place = f"{path}.resources.{side}[storage]"
            yield f"{place}: fractional byte value {quoted(text)} is invalid, must be an integer"


def overlap_warnings(volumes: Sequence[Part]) -> Iterator[str]:
    """What is said about files of one volume of which one would be in the place of another."""
    for item in volumes:
        name = quoted(item.get("name") or "")
        for kind, word, field in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
            source = item.get(kind) or {}
            what = f"{word} {quoted(source.get(field) or '')}"
            yield from _told(name, what, [(one.get("path") or "", "") for one in source.get("items") or ()])
        files = (item.get("downwardAPI") or {}).get("items") or ()
        yield from _told(name, "DownwardAPI", [(one.get("path") or "", "") for one in files])
        if item.get("projected") is not None:
            yield from _projected(name, item["projected"])


def _projected(name: str, source: Part) -> Iterator[str]:
    paths: list[Place] = []
    for part in source.get("sources") or ():
        if not part:
            yield f"volume {name} (Projected) has no sources provided"
        paths += _paths(part)
    yield from _told(name, "Projected", paths)


def _paths(part: Part) -> Iterable[Place]:
    for kind, word in (("configMap", "ConfigMap"), ("secret", "Secret")):
        source = part.get(kind) or {}
        if source.get("items"):
            what = f"{word} {quoted(source.get('name') or '')}"
            return [(item.get("path") or "", what) for item in source["items"]]
    if (part.get("downwardAPI") or {}).get("items"):
        return [(item.get("path") or "", "DownwardAPI") for item in part["downwardAPI"]["items"]]
    if part.get("serviceAccountToken") is not None:
        return [(part["serviceAccountToken"].get("path") or "", "ServiceAccountToken")]
    return []


def _told(name: str, what: str, paths: Sequence[Place]) -> Iterator[str]:
    seen: list[Place] = []
    for path, source in paths:
        one = (path.rstrip("/"), source)
        for other in seen:
            if one[0] and other[0] and _is_within(one[0], other[0]):
                yield f"volume {name} ({what}): overlapping paths: {_shown(one)} with {_shown(other)}"
        seen.append(one)


def _is_within(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")


def _shown(place: Place) -> str:
    return quoted(place[0]) + (f" ({place[1]})" if place[1] else "")
