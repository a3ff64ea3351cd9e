"""A Pod's volumes: folders of its own, filled from ConfigMaps, Secrets and the Pod itself; folders of this machine.

What is filled is filled once, when the Pod starts; only tokens are renewed.

Source: kubernetes pkg/volume (configmap, secret, downwardapi, projected, emptydir, hostpath).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from netproxy.kubelet.container import Sources, expand
from netproxy.kubelet.security import CREATE_ERROR, NOT_MOUNTED, HeldError
from netproxy.kubelet.tokens import TOKEN, token_of
from netproxy.objects.choices import FILLED_VOLUMES
from netproxy.objects.meta import Object, spec

Files = dict[str, tuple[bytes, int]]
"""Path inside of the volume → content and mode."""
OURS = ("emptyDir", "configMap", "secret", "downwardAPI", "projected", "hostPath")
"""The kinds that there are here."""
_MODE = 0o644
_SOURCES = {"configMap": "ConfigMap", "secret": "Secret", "downwardAPI": ""}
"""What can fill a volume, or a part of a projected one → whose content it is; empty for the Pod's own."""
PROJECTED = (*_SOURCES, TOKEN)
"""What can be in a projected volume."""


def write(pod: Object, folder: Path, sources: Sources) -> None:
    """Make the Pod's volumes below FOLDER/volumes. Raises HeldError when one cannot be made now, OSError."""
    group = (spec(pod).get("securityContext") or {}).get("fsGroup")
    for volume in spec(pod).get("volumes") or ():
        at = folder / "volumes" / volume["name"]
        if volume.get("hostPath"):
            _look_at_host(volume)
            continue
        try:
            files = content(volume, sources)
        except HeldError as error:
            raise HeldError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}', NOT_MOUNTED) from error
        at.mkdir(parents=True, exist_ok=True)
        at.chmod(0o777 if volume.get("emptyDir") is not None else 0o755)
        for path, (data, mode) in files.items():
            _put(at / _safe(path), data, mode)
        if group is not None and os.geteuid() == 0:
            _give(at, int(group))


def renew(pod: Object, folder: Path, sources: Sources) -> None:
    """Put new tokens in the place of those in the Pod's volumes: whoever reads finds a whole one at any time. Raises OSError."""
    for volume in spec(pod).get("volumes") or ():
        given = volume.get("projected") or {}
        for path, (data, _) in _projected(given, sources, only=(TOKEN,)).items():
            file = folder / "volumes" / volume["name"] / path
            before = file.stat()
            _put(file, data, stat.S_IMODE(before.st_mode))
            if file.stat().st_gid != before.st_gid:
                os.chown(file, -1, before.st_gid)


def _put(file: Path, data: bytes, mode: int) -> None:
    """Make a file, or put another one in its place."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"..{file.name}")
    fresh.write_bytes(data)
    fresh.chmod(mode)
    fresh.replace(file)


def _give(folder: Path, group: int) -> None:
    """Let a group write to it, and have what is made in it."""
    for path in (folder, *(path for path in folder.rglob("*") if not path.is_symlink())):
        try:
            os.chown(path, -1, group, follow_symlinks=False)
        except OSError:  # no such group in this user namespace
            return
        path.chmod(path.stat().st_mode | (0o2770 if path.is_dir() else 0o060))


def _look_at_host(volume: Mapping[str, Any]) -> None:
    path, kind = Path(volume["hostPath"].get("path") or ""), volume["hostPath"].get("type") or ""
    if not path.exists():
        if kind in ("", "DirectoryOrCreate"):
            path.mkdir(parents=True, exist_ok=True, mode=0o755)
        elif kind == "FileOrCreate":
            path.touch(mode=0o644)
    right = {
        "Directory": path.is_dir, "DirectoryOrCreate": path.is_dir, "File": path.is_file, "FileOrCreate": path.is_file,
        "Socket": path.is_socket, "CharDevice": path.is_char_device, "BlockDevice": path.is_block_device,
    }.get(kind, path.exists)  # fmt: skip
    if not right():
        why = f"hostPath type check failed: {path} is not a {kind}"
        raise HeldError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {why}', NOT_MOUNTED)


def content(volume: Mapping[str, Any], sources: Sources) -> Files:
    """What a volume is filled with. Raises HeldError."""
    for field in _SOURCES:
        if volume.get(field) is not None:
            return _filled(field, volume[field], sources, _mode(volume[field], "defaultMode", _MODE))
    if volume.get("projected") is not None:
        return _projected(volume["projected"], sources)
    if volume.get("emptyDir") is not None or volume.keys() == {"name"}:
        return {}
    kinds = ", ".join(sorted(volume.keys() - {"name"}))
    raise HeldError(f"{kinds} is not here; there are {', '.join(OURS)}")


def _mode(given: Mapping[str, Any], field: str, usual: int) -> int:
    return usual if given.get(field) is None else int(given[field])


def _filled(field: str, given: Mapping[str, Any], sources: Sources, mode: int) -> Files:
    """From one source, by the field that names it."""
    kind = _SOURCES[field]
    return _chosen(sources.all(kind, given), given, mode, kind) if kind else _fields(given, sources, mode)


def _chosen(found: Mapping[str, bytes], given: Mapping[str, Any], mode: int, kind: str) -> Files:
    """All of it, or the keys in `items` under their paths."""
    if not given.get("items"):
        return {key: (data, mode) for key, data in found.items()}
    files: Files = {}
    for item in given["items"]:
        if item["key"] in found:
            files[_safe(item["path"])] = found[item["key"]], _mode(item, "mode", mode)
        elif not given.get("optional"):
            raise HeldError(f"{kind.lower()} references non-existent {kind.lower()} key: {item['key']}")
    return files


def _fields(given: Mapping[str, Any], sources: Sources, mode: int) -> Files:
    files: Files = {}
    for item in given.get("items") or ():
        path = str((item.get("fieldRef") or {}).get("fieldPath") or "")
        files[_safe(item["path"])] = (sources.field(path) or "").encode(), _mode(item, "mode", mode)
    return files


def _projected(given: Mapping[str, Any], sources: Sources, only: Iterable[str] = PROJECTED) -> Files:
    files: Files = {}
    mode = _mode(given, "defaultMode", _MODE)
    for source in given.get("sources") or ():
        for field in only:
            if source.get(field) and field == TOKEN:
                files[_safe(source[field]["path"])] = sources.tokens[token_of(source[field])].encode(), mode
            elif source.get(field):
                files |= _filled(field, source[field], sources, mode)
    return files


def _safe(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise HeldError(f"{path}: must be a relative path and may not contain '..'")
    return path


def mount(source: str, target: str, *, within: str = "", read_only: bool = False) -> dict[str, Any]:
    """What `confine.opened` takes. WITHIN is a path in the source, without symbolic links."""
    return {"source": source, "within": within, "target": target, "readOnly": read_only}


def mounts(pod: Object, container: Mapping[str, Any], folder: Path, env: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a container has mounted where. Raises HeldError."""
    volumes = {volume["name"]: volume for volume in spec(pod).get("volumes") or ()}
    result = []
    for wanted in container.get("volumeMounts") or ():
        volume = volumes.get(wanted["name"])
        if volume is None:
            raise HeldError(f'volume "{wanted["name"]}" is not one of the Pod', CREATE_ERROR)
        host = volume.get("hostPath")
        source = Path(host["path"]) if host else folder / "volumes" / wanted["name"]
        sub = _safe(expand(str(wanted.get("subPathExpr") or ""), env) or str(wanted.get("subPath") or ""))
        filled = any(volume.get(kind) for kind in FILLED_VOLUMES)
        result.append(
            mount(
                str(source),
                _target(str(wanted["mountPath"])),
                within=_within(source, sub),
                read_only=bool(wanted.get("readOnly")) or filled,
            )
        )
    return result


def _within(volume: Path, sub: str) -> str:
    """Where a path in a volume really leads to; whoever mounts it follows no links, so that nobody changes that meanwhile."""
    real = (volume / sub).resolve()
    if not real.is_relative_to(volume.resolve()):
        raise HeldError(f'subPath "{sub}" leads out of the volume', CREATE_ERROR)
    return str(real.relative_to(volume.resolve())) if sub else ""


def _target(path: str) -> str:
    target = os.path.normpath(f"/{path}").replace("//", "/")
    if target == "/" or f"{target}/".startswith("/proc/"):
        raise HeldError(f'nothing can be mounted at "{path}"', CREATE_ERROR)
    return target
