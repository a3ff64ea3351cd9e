"""The API on a TCP address, over HTTPS, for who has the cluster's credentials: certificates, port and kubeconfig are kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from netproxy.core.clock import Clock
from netproxy.core.errors import KernelError
from netproxy.core.net import join_host_port
from netproxy.objects.cluster import ClusterSpec
from netproxy.serve import tls

UNSPECIFIED = ("0.0.0.0", "::")


async def serve_https(
    runner: web.AppRunner, address: tuple[str, int], folder: Path, cluster: ClusterSpec, clock: Clock
) -> Path:
    """Listen, and write the kubeconfig that leads there (mode 0600); its path. Raises KernelError for a taken address.

    FOLDER keeps the certificates and which port it was, so that a kubeconfig outlives its agent.
    """
    host, port = address
    nodes = [address for node in cluster.nodes for address in node.addresses]
    hosts = [*nodes, *([] if host in UNSPECIFIED else [host]), "kubernetes", "kubernetes.default.svc"]
    made = await asyncio.to_thread(tls.certificates, folder, hosts, now=clock.now())
    kept = folder / "port"
    if port == 0 and kept.exists():
        port = int(kept.read_text())
    try:
        port = await tls.add_https_site(runner, host, port, tls.server_context(made.authority, made.server))
    except OSError as error:
        raise KernelError(f"the API cannot listen on {join_host_port(host, port)}: {error.strerror}") from error
    tls.write_private(kept, f"{port}\n".encode())
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    config = folder / "kubeconfig"
    text = tls.kubeconfig_text(shown, port, made.authority, made.admin, name=f"netproxy-{cluster.name}")
    tls.write_private(config, text.encode())
    return config
