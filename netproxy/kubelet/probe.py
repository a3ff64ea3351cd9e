"""Probes, run from the node as the kubelet runs them: httpGet, tcpSocket, exec.

Source: kubernetes pkg/probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from netproxy.core.net import join_host_port
from netproxy.kubelet.dial import connect_from


def port_number(port: Any, container: Mapping[str, Any]) -> int:
    """A probe's port as a number; a name is looked up in the container's ports (0 when there is none)."""
    if isinstance(port, int):
        return port
    for item in container.get("ports") or ():
        if item.get("name") == port:
            return int(item["containerPort"])
    return int(port) if str(port).isdigit() else 0


async def http_get(node: str, address: str, port: int, probe: Mapping[str, Any]) -> tuple[bool, str]:
    """GET the path; 200 to 399 is success. Returns (success, what was seen)."""
    sock = await connect_from(node, probe.get("host") or address, port)
    try:
        loop = asyncio.get_running_loop()
        headers = {"Host": join_host_port(address, port), "User-Agent": "kube-probe/1.30", "Connection": "close"}
        headers |= {h["name"]: h["value"] for h in probe.get("httpHeaders") or ()}
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        path = "/" + str(probe.get("path") or "/").lstrip("/")
        await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        answer = b""
        while b"\r\n" not in answer:
            part = await loop.sock_recv(sock, 4096)
            if not part:
                return False, "the connection was closed without an answer"
            answer += part
        code = int(answer.split(b" ", 2)[1])
        return 200 <= code < 400, f"HTTP probe failed with statuscode: {code}"
    except (ValueError, IndexError):
        return False, "the answer is not HTTP"
    finally:
        sock.close()


async def attempt(
    probe: Mapping[str, Any], container: Mapping[str, Any], node: str, address: str,
    execute: Callable[[list[str], float], Awaitable[int]],
) -> tuple[bool, str]:  # fmt: skip
    """Try a probe once, within its time-out. Returns (success, why not)."""
    limit_s = float(probe.get("timeoutSeconds", 1))
    try:
        async with asyncio.timeout(limit_s):
            if probe.get("httpGet"):
                port = port_number(probe["httpGet"].get("port"), container)
                return await http_get(node, address, port, probe["httpGet"])
            if probe.get("tcpSocket"):
                (await connect_from(node, address, port_number(probe["tcpSocket"].get("port"), container))).close()
                return True, ""
            if probe.get("exec"):
                code = await execute([str(w) for w in probe["exec"].get("command") or ()], limit_s)
                return code == 0, f"command ended with {code}"
    except TimeoutError:
        return False, f"no answer within {limit_s:g} s"
    except OSError as error:
        return False, error.strerror or str(error)
    return True, ""
