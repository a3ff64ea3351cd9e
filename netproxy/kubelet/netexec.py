"""The built-in server: answers like agnhost's `netexec` over HTTP, UDP and plain TCP.

HTTP: /hostname, /clientip, /echo?msg=…, /healthz, /header?key=…, /exit?code=…, /dial?host=…&port=…&protocol=…&request=… (asks
another such server), and anything else with the time.
Any path takes `delay` (2, 0.5, 300ms) and `code` (503) in its query: delays and failures on request; /unhealthy and
/healthy switch what /healthz answers. UDP and TCP: `hostname`, `clientip`, `echo TEXT`, one command a datagram or line.

Source: kubernetes test/images/agnhost/netexec (behaviour).
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

DIAL_S = 5.0
"""How long /dial waits for an answer."""


@dataclass(slots=True)
class Behaviour:
    """What the server answers to everybody."""

    healthy: bool = True
    text: str = ""  # http-echo's -text: the answer to every path


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: ClassVar[Behaviour] = Behaviour()
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        _wait(_seconds(query.get("delay", "")))
        code, text = self._answer(url.path, query)
        wanted = query.get("code", "")
        if url.path != "/exit" and wanted.isdigit() and 200 <= int(wanted) <= 599:
            code = int(wanted)
        self.reply(code, text)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815  # the library's names

    def reply(self, code: int, text: str) -> None:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _answer(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        if self.behaviour.text:
            return 200, self.behaviour.text + "\n"
        match path:
            case "/hostname" | "/hostName":
                return 200, socket.gethostname()
            case "/clientip":
                return 200, _spell(self.client_address)
            case "/echo":
                return 200, query.get("msg", "")
            case "/healthz":
                return (200, "ok") if self.behaviour.healthy else (503, "unhealthy on request")
            case "/healthy" | "/unhealthy":
                self.behaviour.healthy = path == "/healthy"
                return 200, f"/healthz answers {200 if self.behaviour.healthy else 503} from now on"
            case "/dial":
                return _dialled(query)
            case "/header":
                return 200, self.headers.get(query.get("key", ""), "")
            case "/exit":
                threading.Timer(0.05, os._exit, [int(query.get("code", "0") or 0)]).start()
                return 200, "exiting"
            case _:
                return 200, f"NOW: {datetime.now(UTC).isoformat()}"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
        sys.stdout.write(f"{_spell(self.client_address)} {format % args}\n")
        sys.stdout.flush()


class _HostnameHandler(_Handler):
    """agnhost serve-hostname: the host name for every path."""

    def _answer(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        return 200, socket.gethostname()


class _EchoHandler(_Handler):
    """echoserver, whoami: tell the caller what arrived."""

    def _answer(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        lines = [
            f"Hostname: {socket.gethostname()}", f"Client: {_spell(self.client_address)}",
            f"{self.command} {self.path} {self.request_version}", *(f"{k}: {v}" for k, v in self.headers.items()),
        ]  # fmt: skip
        return 200, "\n".join(lines) + "\n"


HANDLERS: dict[str, type[_Handler]] = {"netexec": _Handler, "hostname": _HostnameHandler, "echo": _EchoHandler}


def _dialled(query: dict[str, str]) -> tuple[int, str]:
    """What another server answers to `request`, `tries` times, and what went wrong, as JSON."""
    host, port, tries = query.get("host", ""), query.get("port", ""), query.get("tries", "1") or "1"
    protocol = query.get("protocol", "http").lower()
    if not host or not port.isdecimal() or not tries.isdecimal() or protocol not in _ASKED:
        return 400, "host, port, tries or protocol (http, udp) is missing or none\n"
    found: dict[str, list[str]] = {}
    for _ in range(int(tries)):
        try:
            answer = _ASKED[protocol](host, int(port), query.get("request", "hostname"))
        except (OSError, HTTPException) as error:
            found.setdefault("errors", []).append(str(error))
        else:
            found.setdefault("responses", []).append(answer)
    return 200, json.dumps(found)


def _ask_http(host: str, port: int, request: str) -> str:
    connection = HTTPConnection(host, port, timeout=DIAL_S)
    with closing(connection):
        connection.request("GET", f"/{request}")
        return connection.getresponse().read().decode(errors="replace")


def _ask_udp(host: str, port: int, request: str) -> str:
    where = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(where[0], socket.SOCK_DGRAM) as sock:
        sock.settimeout(DIAL_S)
        sock.connect(where[4])
        sock.send(request.encode())
        return sock.recv(1 << 16).decode(errors="replace")


_ASKED: dict[str, Callable[[str, int, str], str]] = {"http": _ask_http, "udp": _ask_udp}


def _spell(address: Any) -> str:
    host = str(address[0]).removeprefix("::ffff:")
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def _seconds(text: str) -> float:
    try:
        return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s") or 0)
    except ValueError:
        return 0.0


def _wait(seconds: float) -> None:
    if seconds > 0:
        threading.Event().wait(min(seconds, 600))


def _answer_line(line: str, client: Any) -> str:
    word, _, rest = line.strip().partition(" ")
    match word.lower():
        case "hostname":
            return socket.gethostname()
        case "clientip":
            return _spell(client)
        case "echo":
            return rest
        case _:
            return f"unknown command {word!r}: hostname, clientip, echo TEXT"


class _TcpHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write((_answer_line(line.decode(errors="replace"), self.client_address) + "\n").encode())


class _Threading(socketserver.ThreadingTCPServer):
    daemon_threads = True


def _bound(make: Callable[[int], socket.socket], port: int) -> socket.socket:
    """A socket on all addresses of both families; of IPv4 alone where there is no IPv6."""
    for family, host in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            sock = make(family)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((host, port))
        except OSError:
            if family == socket.AF_INET:
                raise
            continue
        return sock
    raise AssertionError("not reached")


def _serve_stream(
    server: type[socketserver.TCPServer], handler: type[socketserver.BaseRequestHandler], port: int
) -> None:
    sock = _bound(lambda family: socket.socket(family, socket.SOCK_STREAM), port)
    made = server(("", port), handler, bind_and_activate=False)
    made.socket.close()
    made.socket = sock
    sock.listen(1024)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 3600}, daemon=True).start()


def _serve_datagrams(ports: Sequence[int]) -> None:
    selector = selectors.DefaultSelector()
    for port in ports:
        selector.register(_bound(lambda family: socket.socket(family, socket.SOCK_DGRAM), port), selectors.EVENT_READ)
    while True:
        for ready, _ in selector.select():
            sock = ready.fileobj
            assert isinstance(sock, socket.socket)
            data, client = sock.recvfrom(1 << 16)
            sock.sendto(_answer_line(data.decode(errors="replace"), client).encode(), client)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the server listens; 0, and what is less, is nowhere."""

    http: int = 8080
    udp: int = 8081
    tcp: int = 0


def parse_flags(args: Sequence[str], defaults: dict[str, str]) -> dict[str, str]:
    """Read `--name=value`, `--name value` and `-name=value` into a copy of DEFAULTS; other words are passed over.

    >>> parse_flags(["netexec", "--http-port=80"], {"http-port": "8080"})
    {'http-port': '80'}
    """
    flags = dict(defaults)
    words = iter(args)
    for word in words:
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            if name in flags:
                flags[name] = value if equals else next(words, "")
    return flags


def serve(kind: str, ports: Ports, text: str = "") -> None:
    """Serve until the process ends."""
    handler = HANDLERS[kind]
    handler.behaviour = Behaviour(text=text)
    if ports.http > 0:
        ThreadingHTTPServer.daemon_threads = True
        _serve_stream(ThreadingHTTPServer, handler, ports.http)
    if ports.tcp > 0:
        _serve_stream(_Threading, _TcpHandler, ports.tcp)
    _serve_datagrams([port for port in (ports.udp,) if port > 0])


def pause() -> None:
    """Say so, and do nothing until the process is told to end."""
    os.write(1, b"Paused\n")
    threading.Event().wait()
