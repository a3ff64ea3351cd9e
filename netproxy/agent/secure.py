"""The API over HTTPS, for who has the cluster's credentials: certificates, address and kubeconfig are kept."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from netproxy.agent.begin import UNSPECIFIED, hosts
from netproxy.agent.paths import Paths
from netproxy.objects.cluster import ClusterSpec
from netproxy.serve import certificates, tls


def vouch(folder: Path, cluster: ClusterSpec, sock: socket.socket, *, now: float) -> certificates.Certificates:
    """The cluster's certificates, which FOLDER keeps: of a server that is called at SOCK, and from inside of the cluster."""
    return certificates.certificates(folder, hosts(cluster, sock.getsockname()[0]), now=now)


async def serve_inside(runner: web.AppRunner, socks: Iterable[socket.socket], made: certificates.Certificates) -> None:
    """Serve on sockets that are bound to addresses inside of the cluster."""
    context = tls.server_context(made.authority, made.server)
    for sock in socks:
        await tls.add_https_site(runner, sock, context)


async def serve_https(
    runner: web.AppRunner, sock: socket.socket, paths: Paths, cluster: ClusterSpec, *, now: float
) -> str:
    """Serve on a socket that listens, and write the kubeconfig that leads there (mode 0600); the certificate that vouches for it.

    The folder `tls` keeps the certificates and which port it was, so that a kubeconfig outlives its agent.
    """
    host, port = sock.getsockname()[:2]
    folder = paths.tls
    made = vouch(folder, cluster, sock, now=now)
    await tls.add_https_site(runner, sock, tls.server_context(made.authority, made.server))
    certificates.write_private(folder / "port", f"{port}\n".encode())
    shown = UNSPECIFIED.get(host, host)
    text = certificates.kubeconfig_text(shown, port, made.authority, made.admin, name=f"netproxy-{cluster.name}")
    certificates.write_private(paths.kubeconfig, text.encode())
    return made.authority.certificate.decode()
