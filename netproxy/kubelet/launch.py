"""What a container of a Pod is started with: environment, command, files, log. Values and files; nothing is started here."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from netproxy.core import programs
from netproxy.kubelet import image, resolv, volumes
from netproxy.kubelet.cells import container_group
from netproxy.kubelet.container import API, Sources, command_of, environment
from netproxy.kubelet.logs import run_file
from netproxy.kubelet.needs import needed_by, needed_by_ours
from netproxy.kubelet.ports import Objects, Place
from netproxy.kubelet.security import IMAGE, HeldError, Security, security
from netproxy.kubelet.tokens import Token
from netproxy.linux.command import find, run
from netproxy.linux.files import remove_tree
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.meta import Object, key, name, namespace, spec, uid

Message = dict[str, Any]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_NGINX = "/run/nginx"
"""Where nginx sees its folder."""


@cache
def _applets() -> frozenset[str]:
    """The commands that this machine's busybox can be; none without it."""
    return frozenset(run(["busybox", "--list"]).split()) if find("busybox") else frozenset()


class Launch:
    """Knows a cluster's folders and objects, so that a Pod and a container are enough to ask for."""

    def __init__(self, objects: Objects, cluster: ClusterSpec, place: Place) -> None:
        self._objects = objects
        self._cluster = cluster
        self._place = place

    # --- where things are

    def network(self, pod: Object) -> str:
        """The name of the network namespace that a Pod's containers are in."""
        if spec(pod).get("hostNetwork"):
            return self._place.namespace_of(spec(pod)["nodeName"])
        return self._place.pod_namespace(key(pod))

    def folder(self, pod: Object) -> Path:
        """A Pod's own files."""
        return self._place.state / "pods" / uid(pod)

    def log_folder(self, pod: Object, container: str = "") -> Path:
        """Where the output of a container goes; of all of them, without one."""
        return self._place.state / "logs" / f"{namespace(pod)}_{name(pod)}_{uid(pod)}" / container

    def write_files(self, pod: Object, ips: tuple[str, ...], tokens: Mapping[Token, str]) -> None:
        """Write what the Pod sees in /etc, and its volumes. Raises OSError; HeldError when a volume's source is missing."""
        folder = self.folder(pod)
        for name_, mode in (("etc", 0o755), ("root", 0o755), ("shm", 0o1777)):
            (folder / name_).mkdir(parents=True, exist_ok=True)
            (folder / name_).chmod(mode)
        etc = folder / "etc"
        (etc / "resolv.conf").write_text(resolv.resolv_conf(pod, self._cluster, self._place.host_resolv_conf))
        (etc / "hosts").write_text(resolv.hosts(pod, ips, self._cluster))
        (etc / "hostname").write_text(self._hostname(pod) + "\n")
        volumes.write(pod, folder, replace(self._sources(pod, ips), tokens=tokens))

    def renew(self, pod: Object, tokens: Mapping[Token, str]) -> None:
        """Put new tokens into the Pod's volumes. Raises OSError."""
        volumes.renew(pod, self.folder(pod), replace(self._sources(pod, ()), tokens=tokens))

    def _sources(self, pod: Object, ips: tuple[str, ...], *, lenient: bool = False) -> Sources:
        return Sources(pod, ips, self._objects.config_map, self._objects.secret, lenient)

    def _hostname(self, pod: Object) -> str:
        return str(spec(pod)["nodeName"]) if spec(pod).get("hostNetwork") else resolv.pod_hostname(pod)

    # --- what is started

    def start(self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...], restarts: int) -> Message:
        """What the shim is asked for. Raises HeldError when that cannot be run now, OSError."""
        env = self.environment(pod, container, ips)
        command, args = command_of(container, env)
        loaded = image.loaded_images(list(self._objects.images()))
        what = image.resolve(
            container["image"], command, args, loaded=loaded, installed=lambda program: bool(find(program))
        )
        if isinstance(what, image.Unknown):
            raise HeldError(what.why, IMAGE)
        log = {"path": str(run_file(self.log_folder(pod, container["name"]), restarts)),
               "maxBytes": self._cluster.log_bytes, "maxFiles": self._cluster.log_files}  # fmt: skip
        terminal = bool(container.get("tty"))
        message = self._message(pod, container, {"TERM": "xterm", **env} if terminal else env, what)
        return {**message, "log": log, "stdin": bool(container.get("stdin")), "tty": terminal}

    def command(self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...], argv: list[str]) -> Message:
        """The same for a command that is run inside of a container. Raises HeldError."""
        env = self.environment(pod, container, ips, lenient=True)
        return {
            "inside": f"{uid(pod)}/{container['name']}", "argv": self._found(argv), "env": env,
            "cwd": container.get("workingDir") or "/", "user": _user(self._security(pod, container)),
        }  # fmt: skip

    def entry(self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...]) -> dict[str, Any]:
        """What somebody needs to enter a container: namespace, environment, user, control group."""
        at = f"{uid(pod)}/{container['name']}"
        return {
            "namespace": self.network(pod), "hostname": self._hostname(pod), "etc": str(self.folder(pod) / "etc"),
            "env": self.environment(pod, container, ips, lenient=True), "cwd": container.get("workingDir") or "/",
            "user": _user(self._security(pod, container)), "group": container_group(self._place.state / "cgroup", at),
        }  # fmt: skip

    def environment(
        self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...], *, lenient: bool = False
    ) -> dict[str, str]:  # fmt: skip
        """A container's variables. Raises HeldError when one's source is missing, unless LENIENT."""
        base = {
            "PATH": _PATH,
            "HOSTNAME": self._hostname(pod),
            "HOME": _home(self._security(pod, container).uid),
            "LANG": "C.UTF-8",
        }
        sources = self._sources(pod, ips, lenient=lenient)
        return environment(container, sources, services=self._services(pod), base=base)

    def _services(self, pod: Object) -> list[Object]:
        """The Services that a Pod's variables may tell of: the API's, and those of its namespace, which may have one of that name."""
        api = (each for each in self._objects.services(API.namespace) if key(each) == API)
        return [*api, *self._objects.services(namespace(pod))]

    def _security(self, pod: Object, container: Mapping[str, Any]) -> Security:
        return security(pod, container, _group, one_user=_one_user())

    def _message(self, pod: Object, container: Mapping[str, Any], env: Mapping[str, str], what: image.Run) -> Message:
        argv, builtin = list(what.argv), what.builtin
        wanted = self._security(pod, container)
        mounts = volumes.mounts(pod, container, self.folder(pod), env)
        if builtin == "dns":  # it keeps its rights and reads its modules where a volume could put others
            mounts = []
        if builtin == "nginx":
            argv, builtin = self._nginx(pod), ""
            mounts.append(volumes.mount(str(self.folder(pod) / "nginx"), _NGINX))
        argv = argv if builtin else self._found(argv)
        dns = {"entry": programs.NAME_SERVER, "dns": dict(self._place.dns)} if builtin == "dns" else {}
        cwd = container.get("workingDir") or "/"
        keep = needed_by_ours() if builtin else needed_by(argv, cwd, env)
        return {
            "namespace": self.network(pod), "hostname": self._hostname(pod), "etc": str(self.folder(pod) / "etc"), "argv": argv,
            "builtin": builtin, "flags": list(what.flags), "env": dict(env), "cwd": cwd, "mounts": mounts,
            "ownPids": wanted.own_pids, "ownIpc": wanted.own_ipc, "sysctls": [list(each) for each in wanted.sysctls],
            "user": _user(wanted), "view": None if wanted.privileged else self._view(pod, wanted, mounts, keep, cwd), **dns,
        }  # fmt: skip

    def _view(self, pod: Object, wanted: Security, mounts: list[Message], keep: list[str], cwd: str) -> Message:
        """What the container sees of this machine: see `confine.build`."""
        folder, clusters = self.folder(pod), self._place.state.parent
        return {
            "root": str(folder / "root"), "etc": str(folder / "etc"), "shm": str(folder / "shm"), "mounts": mounts, "keep": keep,
            "hidden": [str(self._place.state if clusters.parent == Path("/") else clusters)], "cwd": cwd, "readOnly": wanted.read_only_root,
        }  # fmt: skip

    def _found(self, argv: list[str]) -> list[str]:
        """The same; what only busybox has is asked of busybox."""
        return ["busybox", *argv] if find(argv[0]) is None and argv[0] in _applets() else argv

    def _nginx(self, pod: Object) -> list[str]:
        """nginx with a configuration of its own, so that every Pod has one and this machine's stays untouched."""
        folder = self.folder(pod) / "nginx"
        remove_tree(folder)  # what the container may have made of it, nobody follows
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        (folder / "index.html").write_text(
            "<!DOCTYPE html>\n<title>Welcome to nginx!</title>\n<h1>Welcome to nginx!</h1>\n"
        )
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {_NGINX}/pid; error_log stderr; worker_processes 1;\n"
            f"events {{ worker_connections 256; }}\n"
            f"http {{ access_log /dev/stdout; default_type text/html;\n  {' '.join(f'{path}_temp_path {_NGINX};' for path in paths)}\n"
            f"  server {{ listen 80; root {_NGINX}; }} }}\n"
        )
        return ["nginx", "-c", f"{_NGINX}/nginx.conf", "-p", _NGINX]


def _user(wanted: Security) -> Message:
    return {
        "uid": wanted.uid, "gid": wanted.gid, "groups": list(wanted.groups), "capabilities": list(wanted.capabilities),
        "gainNothing": wanted.gain_nothing,
    }  # fmt: skip


@cache
def _one_user() -> bool:
    """Whether there is no other user in this process's user namespace."""
    return [line.split()[2] for line in Path("/proc/self/uid_map").read_text().splitlines()] == ["1"]


def _home(user: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_dir
    return "/"


def _group(user: int) -> int:
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_gid
    return 0
