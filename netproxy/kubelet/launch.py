"""What a container of a Pod is started with: environment, command, files, log. Values and files; nothing is started here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from netproxy.core import programs
from netproxy.kubelet import image, resolv
from netproxy.kubelet.container import command_of, environment
from netproxy.kubelet.logs import run_file
from netproxy.kubelet.ports import Objects, Place
from netproxy.linux.command import find, run
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.meta import Object, key, name, namespace, spec, uid

Message = dict[str, Any]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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

    def write_etc(self, pod: Object, ips: tuple[str, ...]) -> None:
        """Write the files that the Pod sees in /etc."""
        folder = self.folder(pod) / "etc"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(resolv.resolv_conf(pod, self._cluster, self._place.host_resolv_conf))
        (folder / "hosts").write_text(resolv.hosts(pod, ips, self._cluster))
        (folder / "hostname").write_text(resolv.pod_hostname(pod) + "\n")

    # --- what is started

    def start(
        self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...], restarts: int
    ) -> Message | image.Unknown:
        """What the shim is asked for, or why the container's image cannot be run."""
        env = self.environment(pod, container, ips)
        command, args = command_of(container, env)
        loaded = image.loaded_images(list(self._objects.images()))
        what = image.resolve(
            container["image"], command, args, loaded=loaded, installed=lambda program: bool(find(program))
        )
        if isinstance(what, image.Unknown):
            return what
        log = {"path": str(run_file(self.log_folder(pod, container["name"]), restarts)),
               "maxBytes": self._cluster.log_bytes, "maxFiles": self._cluster.log_files}  # fmt: skip
        return {**self._message(pod, container, env, what), "log": log}

    def command(self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...], argv: list[str]) -> Message:
        """The same for a command that is run inside of a container."""
        env = self.environment(pod, container, ips)
        return {
            **self._message(pod, container, env, image.Run(tuple(argv))), "inside": f"{uid(pod)}/{container['name']}"
        }  # fmt: skip

    def entry(self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...]) -> Message:
        """What somebody needs to enter a Pod: namespace, host name, files, environment."""
        return {
            "namespace": self.network(pod), "hostname": resolv.pod_hostname(pod), "etc": str(self.folder(pod) / "etc"),
            "env": self.environment(pod, container, ips), "cwd": container.get("workingDir") or "/",
        }  # fmt: skip

    def environment(self, pod: Object, container: Mapping[str, Any], ips: tuple[str, ...]) -> dict[str, str]:
        """A container's variables."""
        base = {
            "PATH": _PATH, "HOSTNAME": resolv.pod_hostname(pod), "HOME": os.environ.get("HOME", "/"),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }  # fmt: skip
        return environment(
            pod, container, ips=ips, services=list(self._objects.services(namespace(pod))),
            config_map=self._objects.config_map, base=base,
        )  # fmt: skip

    def _message(self, pod: Object, container: Mapping[str, Any], env: Mapping[str, str], what: image.Run) -> Message:
        argv, builtin = list(what.argv), what.builtin
        if builtin == "nginx":
            argv, builtin = self._nginx(pod), ""
        elif not builtin and find(argv[0]) is None and argv[0] in _applets():
            argv = ["busybox", *argv]
        dns = {"entry": programs.NAME_SERVER, "dns": dict(self._place.dns)} if builtin == "dns" else {}
        hostname = spec(pod)["nodeName"] if spec(pod).get("hostNetwork") else resolv.pod_hostname(pod)
        return {
            "namespace": self.network(pod), "hostname": hostname, "etc": str(self.folder(pod) / "etc"), "argv": argv,
            "builtin": builtin, "flags": list(what.flags), "env": dict(env), "cwd": container.get("workingDir") or "/", **dns,
        }  # fmt: skip

    def _nginx(self, pod: Object) -> list[str]:
        """nginx with a configuration of its own, so that every Pod has one and this machine's stays untouched."""
        folder = self.folder(pod) / "nginx"
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / "index.html"
        index.write_text("<!DOCTYPE html>\n<title>Welcome to nginx!</title>\n<h1>Welcome to nginx!</h1>\n")
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
            f"events {{ worker_connections 256; }}\n"
            f"http {{ access_log /dev/stdout; default_type text/html;\n  client_body_temp_path {folder}; proxy_temp_path {folder};"
            f" fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
            f"  server {{ listen 80; root {folder}; }} }}\n"
        )
        return ["nginx", "-c", str(config), "-p", str(folder)]
