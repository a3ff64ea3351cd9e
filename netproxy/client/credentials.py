"""Who a client says it is, kept fresh: tokens that are renewed on disk, and programs that hand out credentials.

Source: kubernetes client-go plugin/pkg/client/auth/exec/exec.go, transport/token_source.go.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from netproxy.client.kubeconfig import Connection, Password, Pem, Plugin, Token, TokenFile
from netproxy.client.transport import Identity
from netproxy.core.clock import Clock
from netproxy.core.errors import NetproxyError, UnavailableError

log = logging.getLogger(__name__)

PLUGIN_S = 60.0
"""A plugin that takes longer has failed."""

Run = Callable[[Sequence[str], dict[str, str]], str]
"""Run a program with more environment and return what it printed; raises NetproxyError."""


def run_program(argv: Sequence[str], env: dict[str, str]) -> str:
    """Run a program where this process is; raises KernelError."""
    from netproxy.linux.command import run

    return run(argv, env=env, timeout_s=PLUGIN_S)


class FileText:
    """A file's bytes, read again whenever the file is another one than before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int, int] | None = None
        self._data: bytes | None = None

    def read(self) -> bytes:
        """The bytes; of a file that is away for a moment, the last ones. Raises UnavailableError when there were none."""
        try:
            found = self._path.stat()
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            if mark != self._mark:
                self._data, self._mark = self._path.read_bytes(), mark
        except OSError as error:
            if self._data is None:
                raise UnavailableError(0, "Unreadable", f"{self._path}: {error.strerror}") from error
        assert self._data is not None
        return self._data


class PemText:
    """A certificate or key, wherever it is."""

    def __init__(self, pem: Pem) -> None:
        self._read = FileText(pem).read if isinstance(pem, Path) else lambda: pem

    def read(self) -> bytes:
        """The bytes as they are now. Raises UnavailableError."""
        return self._read()


class Credentials:
    """The identity of one Connection's user, asked for before each request."""

    def __init__(self, connection: Connection, *, clock: Clock, run: Run = run_program) -> None:
        self._certificate = PemText(connection.client_certificate)
        self._key = PemText(connection.client_key)
        credential = connection.credential
        self._constant = _authorization(credential) if isinstance(credential, Token | Password) else ""
        self._token = FileText(credential.path) if isinstance(credential, TokenFile) else None
        self._plugin = _Cached(credential, clock, run) if isinstance(credential, Plugin) else None

    async def current(self) -> Identity:
        """Who we are now. Raises UnavailableError when a file or a plugin does not say."""
        certificate, key = self._certificate.read(), self._key.read()
        if self._plugin:
            given = await self._plugin.identity()
            return given if given.certificate else Identity(given.authorization, certificate, key)
        if self._token:
            return Identity(f"Bearer {self._token.read().decode(errors='replace').strip()}", certificate, key)
        return Identity(self._constant, certificate, key)

    def refused(self, identity: Identity) -> None:
        """The server did not accept IDENTITY (401): a plugin is to be asked again."""
        if self._plugin:
            self._plugin.forget(identity)


def _authorization(credential: Token | Password) -> str:
    if isinstance(credential, Token):
        return f"Bearer {credential.text}"
    both = f"{credential.name}:{credential.password}".encode()
    return f"Basic {base64.b64encode(both).decode()}"


class _Cached:
    """What a plugin handed out, until it expires or is refused; one run at a time."""

    def __init__(self, plugin: Plugin, clock: Clock, run: Run) -> None:
        self._plugin = plugin
        self._clock = clock
        self._run = run
        self._lock = asyncio.Lock()
        self._identity: Identity | None = None
        self._expires = float("inf")

    async def identity(self) -> Identity:
        async with self._lock:
            if self._identity is None or self._clock.now() >= self._expires:
                answer = await asyncio.to_thread(self._ask)
                self._identity, self._expires = _parsed(answer, self._plugin)
            return self._identity

    def forget(self, identity: Identity) -> None:
        mine = self._identity
        if mine and mine.authorization == identity.authorization and mine.certificate in (b"", identity.certificate):
            self._identity = None

    def _ask(self) -> str:
        plugin = self._plugin
        asked: dict[str, Any] = {
            "kind": "ExecCredential",
            "apiVersion": plugin.api_version,
            "spec": {"interactive": False},
        }
        if plugin.cluster is not None:
            asked["spec"]["cluster"] = plugin.cluster
        try:
            return self._run(plugin.argv, {**dict(plugin.env), "KUBERNETES_EXEC_INFO": json.dumps(asked)})
        except NetproxyError as error:
            hint = f"\n{plugin.install_hint}" if plugin.install_hint else ""
            raise UnavailableError(
                0, "ExecCredential", f"no credentials from {plugin.argv[0]}: {error}{hint}"
            ) from error


def _parsed(text: str, plugin: Plugin) -> tuple[Identity, float]:
    try:
        answer = json.loads(text)
        if answer["kind"] != "ExecCredential" or answer["apiVersion"] != plugin.api_version:
            raise ValueError(
                f"it answered with {answer['apiVersion']} {answer['kind']}, not {plugin.api_version} ExecCredential"
            )
        status = answer["status"]
        token, certificate = status.get("token") or "", status.get("clientCertificateData") or ""
        key, expires = status.get("clientKeyData") or "", status.get("expirationTimestamp")
        if not token and not (certificate and key):
            raise ValueError("there is neither a token nor a certificate with its key in its answer")
        until = datetime.fromisoformat(expires).timestamp() if expires else float("inf")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = str(error) if isinstance(error, ValueError) else f"its answer lacks {error}"
        raise UnavailableError(0, "ExecCredential", f"no credentials from {plugin.argv[0]}: {why}") from error
    return Identity(f"Bearer {token}" if token else "", certificate.encode(), key.encode()), until
