"""Kubeconfig files and a Pod's own service account: how to reach an API server, and as whom.

Source: kubernetes client-go tools/clientcmd (loader.go, client_config.go, validation.go), rest/config.go InClusterConfig.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netproxy.core.errors import ManifestError, Problem
from netproxy.core.net import join_host_port
from netproxy.linux.files import limited_bytes
from netproxy.objects.limits import MOST_BYTES

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
PROXY_SCHEMES = ("http", "https")

Pem = bytes | Path
"""A certificate or a key: itself, or the file that has it (read again when it changes); empty bytes for none."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that stays."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A bearer token in a file that somebody renews."""

    path: Path


@dataclass(frozen=True, slots=True)
class Password:
    """A name and a password."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """A program that hands out credentials."""

    api_version: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = None
    """What it is told of the cluster, when it asks to be told."""


Credential = Token | TokenFile | Password | Plugin | None


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that a client needs to know to talk to one API server as one user."""

    server: str
    """`https://host:port`, maybe with a path below which the API lies; no slash at its end."""
    ca: Pem = b""
    """Who vouches for the server; empty for the system's own authorities."""
    insecure: bool = False
    """Take whatever certificate the server shows."""
    server_name: str = ""
    """The name that the server's certificate must have, when it is not the host of `server`."""
    client_certificate: Pem = b""
    client_key: Pem = b""
    credential: Credential = None
    headers: tuple[tuple[str, str], ...] = ()
    """Headers to send with each request (impersonation)."""
    proxy_url: str = ""
    namespace: str = "default"
    source: str = ""
    """Where this comes from, for messages."""


def load(
    path: Path | None = None, *, context: str = "", environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
) -> Connection:  # fmt: skip
    """The connection of one context: of the file PATH, else of KUBECONFIG's files, else of ~/.kube/config, else a Pod's own.

    Raises ManifestError that names file, field, value and the way out.
    """
    if path is not None:
        return _of_files([path], context)
    named = [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if named:
        there = [part for part in named if part.exists()]
        if not there:
            raise _mistake("KUBECONFIG", ":".join(map(str, named)), "none of these files exists", "the environment")
        return _of_files(there, context)
    usual = Path(environ.get("HOME", "/nonexistent")) / ".kube" / "config"
    if usual.exists():
        return _of_files([usual], context)
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environ, service_account)
    raise ManifestError([Problem(
        "--kubeconfig", f"Required value: there is no KUBECONFIG, no {usual}, and this is no Pod of a cluster; name a file",
    )])  # fmt: skip


def in_cluster(environ: Mapping[str, str] = os.environ, service_account: Path = SERVICE_ACCOUNT) -> Connection:
    """The connection of a Pod: the server of its environment, its service account's token and authority."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not port.isdigit():
        raise _mistake(
            "KUBERNETES_SERVICE_HOST",
            f"{host}:{port}",
            "is no server; outside a Pod, name a kubeconfig",
            "the environment",
        )
    token, ca = service_account / "token", service_account / "ca.crt"
    for needed in (token, ca):
        if not needed.exists():
            raise _mistake(
                "file",
                str(needed),
                "is not there; give the Pod a service account, or name a kubeconfig",
                "service account",
            )
    at = service_account / "namespace"
    return Connection(
        f"https://{join_host_port(host, int(port))}", ca, credential=TokenFile(token),
        namespace=at.read_text().strip() if at.exists() else "default", source=str(service_account),
    )  # fmt: skip


def _mistake(path: str, value: str, message: str, source: str) -> ManifestError:
    return ManifestError([Problem(path, f'Invalid value: "{value}": {message}', source=source)])


# --- files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Fields:
    """A mapping of a file, with where it stands; its readers note what is wrong and go on."""

    value: Mapping[str, Any]
    path: str
    file: Path
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, name: str, message: str, value: object = None) -> None:
        shown = f'Invalid value: "{value}": ' if value is not None else ""
        self.problems.append(Problem(f"{self.path}.{name}".lstrip("."), shown + message, source=str(self.file)))

    def text(self, name: str) -> str:
        value = self.value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.wrong(name, "must be a string: put it in quotes", value)
            return ""
        return value

    def flag(self, name: str) -> bool:
        value = self.value.get(name)
        if not isinstance(value, bool | None):
            self.wrong(name, "must be true or false", value)
        return value is True

    def part(self, name: str) -> _Fields:
        value = self.value.get(name)
        if not isinstance(value, Mapping | None):
            self.wrong(name, "must be a mapping", value)
            value = None
        return _Fields(value or {}, f"{self.path}.{name}".lstrip("."), self.file, self.problems)

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.value.get(name) or ()
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
            self.wrong(name, "must be a list of strings", value)
            return ()
        return tuple(value)

    def beside(self, name: str) -> Path | None:
        """The file that NAME names, seen from the folder of this file."""
        text = self.text(name)
        return self.file.parent.absolute() / text if text else None

    def pem(self, name: str) -> Pem:
        """What `NAME-data` has, else the file that NAME names."""
        text = self.text(f"{name}-data")
        if text:
            try:
                return _pem(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError):
                self.wrong(
                    f"{name}-data", "must be a PEM block in base64 on one line; or name a file in " + name, text[:20]
                )
                return b""
        path = self.beside(name)
        if path is None:
            return b""
        try:
            _pem(path.read_bytes())
        except OSError as error:
            self.wrong(name, f"cannot be read: {error.strerror}", path)
        except ValueError:
            self.wrong(name, "is no PEM file (-----BEGIN …)", path)
        return path


def _pem(data: bytes) -> bytes:
    if b"-----BEGIN " not in data:
        raise ValueError("no PEM")
    return data


def _of_files(files: Sequence[Path], context: str) -> Connection:
    parsed = [_read(file) for file in files]
    current = context or next((name for top in parsed if (name := top.text("current-context"))), "")
    where = ", ".join(map(str, files))
    if not current:
        known = _names(parsed, "contexts")
        raise ManifestError(
            [Problem("current-context", f"Required value: choose one with --context ({known})", source=where)]
        )
    field_of_name = "--context" if context else "current-context"
    chosen = _entry(parsed, "contexts", "context", current, field_of_name, where)
    cluster = _entry(parsed, "clusters", "cluster", chosen.text("cluster"), f"{chosen.path}.cluster", where)
    name = chosen.text("user")
    nobody = _Fields({}, "users", files[0])
    user = _entry(parsed, "users", "user", name, f"{chosen.path}.user", where) if name else nobody
    made = _connection(chosen, cluster, user)
    problems = dict.fromkeys(problem for part in (chosen, cluster, user) for problem in part.problems)
    if problems:
        raise ManifestError(problems)
    return made


def _read(file: Path) -> _Fields:
    from netproxy.objects.document import document  # here: the name server has no kubeconfig, and 20 ms are many there

    try:
        value = document(limited_bytes(file, MOST_BYTES), str(file))
    except OSError as error:
        why = f"cannot be read: {error.strerror}; name another file"
        raise _mistake("--kubeconfig", str(file), why, str(file)) from error
    if not isinstance(value, Mapping) or value.get("kind", "Config") != "Config":
        raise ManifestError([Problem("kind", "must be Config (a kubeconfig file)", source=str(file))])
    return _Fields(value, "", file)


def _entry(parsed: Sequence[_Fields], lists: str, kind: str, name: str, referrer: str, where: str) -> _Fields:
    """The first entry NAME of one of the lists (`contexts`, `clusters`, `users`); the first file wins."""
    for top in parsed:
        for entry in _entries(top, lists):
            if entry.get("name") == name:
                return _Fields(entry, f"{lists}[{name}]", top.file, top.problems).part(kind)
    known = _names(parsed, lists)
    raise ManifestError(
        [Problem(referrer, f'Invalid value: "{name}": there is no {kind} of this name; {known}', source=where)]
    )


def _entries(top: _Fields, lists: str) -> list[Mapping[str, Any]]:
    value = top.value.get(lists) or ()
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else []


def _names(parsed: Sequence[_Fields], lists: str) -> str:
    known = sorted({str(entry.get("name")) for top in parsed for entry in _entries(top, lists)})
    return f"{lists} there: {', '.join(known)}" if known else f"there are no {lists}"


# --- one context -----------------------------------------------------------------------------------------------------


def _connection(context: _Fields, cluster: _Fields, user: _Fields) -> Connection:
    ca, insecure = cluster.pem("certificate-authority"), cluster.flag("insecure-skip-tls-verify")
    if insecure and ca:
        cluster.wrong(
            "insecure-skip-tls-verify", "cannot be true beside a certificate-authority: leave one of them out"
        )
    certificate, key = user.pem("client-certificate"), user.pem("client-key")
    if bool(certificate) is not bool(key):
        lacking = "client-key" if certificate else "client-certificate"
        user.wrong(lacking, "Required value: a client's certificate and its key go together")
    server = _server(cluster)
    return Connection(
        server, ca, insecure, cluster.text("tls-server-name"), certificate, key, _credential(user, cluster, server),
        _impersonation(user), _proxy(cluster), context.text("namespace") or "default", str(context.file),
    )  # fmt: skip


def _server(cluster: _Fields) -> str:
    server = cluster.text("server").rstrip("/")
    if not server:
        cluster.wrong("server", "Required value: the URL of the API server (https://host:port)")
        return ""
    url = server if "://" in server else f"https://{server}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        cluster.wrong("server", "must be a URL: https://host:port", server)
    return url


def _proxy(cluster: _Fields) -> str:
    url = cluster.text("proxy-url")
    if url and url.partition("://")[0] not in PROXY_SCHEMES:
        cluster.wrong("proxy-url", "only proxies that speak HTTP are supported: http://host:port", url)
    return url


def _impersonation(user: _Fields) -> tuple[tuple[str, str], ...]:
    headers = [("Impersonate-User", user.text("as")), ("Impersonate-Uid", user.text("as-uid"))]
    headers += [("Impersonate-Group", group) for group in user.texts("as-groups")]
    extra = user.part("as-user-extra")
    headers += [(f"Impersonate-Extra-{name}", value) for name in extra.value for value in extra.texts(name)]
    given = tuple((name, value) for name, value in headers if value)
    if given and not user.text("as"):
        user.wrong("as", "Required value: groups, uid and extra are those of somebody: name the user")
    return given


def _credential(user: _Fields, cluster: _Fields, server: str) -> Credential:
    if user.value.get("auth-provider"):
        user.wrong(
            "auth-provider", "is gone since Kubernetes 1.26: use an exec plugin (kubelogin, gke-gcloud-auth-plugin)"
        )
    token, token_file, name = user.text("token"), user.beside("tokenFile"), user.text("username")
    if name and (token or token_file):
        user.wrong("username", "there is a token, too: leave one of them out", name)
    if token_file:
        if not token_file.exists() and not token:
            user.wrong("tokenFile", "is not there", token_file)
        return TokenFile(token_file)
    if token:
        return Token(token)
    if name:
        return Password(name, user.text("password"))
    return _plugin(user.part("exec"), cluster, server) if user.value.get("exec") else None


def _plugin(given: _Fields, cluster: _Fields, server: str) -> Plugin:
    version, command = given.text("apiVersion"), given.text("command")
    if version not in EXEC_VERSIONS:
        given.wrong("apiVersion", f"must be one of {', '.join(EXEC_VERSIONS)}: update the plugin", version)
    if not command:
        given.wrong("command", "Required value: the program to run")
    elif os.sep in command:
        command = str(given.file.parent.absolute() / command)
    if given.text("interactiveMode") == "Always":
        given.wrong("interactiveMode", "there is nobody to ask: use a plugin that needs no terminal", "Always")
    told = _told(cluster, server) if given.flag("provideClusterInfo") else None
    return Plugin(version, (command, *given.texts("args")), _environment(given), given.text("installHint"), told)


def _environment(given: _Fields) -> tuple[tuple[str, str], ...]:
    entries = given.value.get("env") or ()
    if not isinstance(entries, Sequence) or not all(isinstance(e, Mapping) and e.get("name") for e in entries):
        given.wrong("env", "must be a list of {name, value}", entries)
        return ()
    return tuple((str(entry["name"]), str(entry.get("value") or "")) for entry in entries)


def _told(cluster: _Fields, server: str) -> dict[str, Any]:
    ca = cluster.pem("certificate-authority")
    data = ca if isinstance(ca, bytes) else ca.read_bytes() if ca.exists() else b""
    extensions = cluster.value.get("extensions") or ()
    config = [
        e.get("extension")
        for e in extensions
        if isinstance(e, Mapping) and e.get("name") == EXEC_VERSIONS[0].rpartition("/")[0] + "/exec"
    ]
    told = {
        "server": server, "tls-server-name": cluster.text("tls-server-name"), "proxy-url": cluster.text("proxy-url"),
        "insecure-skip-tls-verify": cluster.flag("insecure-skip-tls-verify"),
        "certificate-authority-data": base64.b64encode(data).decode(), "config": config[0] if config else None,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value}
