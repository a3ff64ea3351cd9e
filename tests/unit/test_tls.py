"""The API over HTTPS: who vouches for whom, who comes in, and what becomes of a connection whose certificates change."""

import asyncio
import os
import re
import socket
import ssl
import stat
import struct
import subprocess
from contextlib import asynccontextmanager
from random import Random

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from support.apiserver import ApiServer
from support.build import FixedClock, service_object
from support.etcd import Etcd

from netproxy.client.cache import Cache
from netproxy.client.credentials import Credentials
from netproxy.client.http import HttpApi
from netproxy.client.kubeconfig import Connection, Plugin, Token, TokenFile, load
from netproxy.client.port import Selector
from netproxy.client.tcp import proxy_of_environment
from netproxy.client.tls import ClientTls
from netproxy.core.errors import ApiError, ManifestError, UnavailableError
from netproxy.core.names import NamespacedName
from netproxy.core.user import User
from netproxy.objects.kinds import SERVICES
from netproxy.serve.certificates import (
    ADMIN,
    ADMINS,
    LOCAL,
    Pair,
    certificates,
    issue,
    kubeconfig_text,
    make_authority,
    write_private,
)
from netproxy.serve.tls import add_https_site, server_context
from netproxy.serve.who import TOKEN_USER, authenticated, user_of

WEB = NamespacedName("default", "web")
NOW = 1_800_000_000.0
AUTHORITY = make_authority("netproxy", now=NOW - 3600)
OTHER = make_authority("netproxy", now=NOW - 3600)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def real_now() -> float:
    """Certificates are checked against the machine's own clock."""
    import time

    return time.time()


@pytest.fixture(scope="module")
def pki():
    """An authority, a server's pair, an admin's."""
    now = real_now()
    authority = make_authority("netproxy", now=now)
    server = issue(authority, "netproxy", now=now, hosts=("127.0.0.1", "localhost"))
    admin = issue(authority, ADMIN, now=now, organization=ADMINS)
    return authority, server, admin


@asynccontextmanager
async def a_server(authority: Pair, pair: Pair):
    """A server that lets in who has a certificate of the authority; stopped at the end."""
    world = Etcd()
    world.put(service_object())
    server = ApiServer(world)
    url = await server.start(tls=server_context(authority, pair), middlewares=(authenticated,))
    try:
        yield server, url
    finally:
        await server.stop()


async def ask(connection, **more):
    """One question; the object's name."""
    api = HttpApi.of(connection, clock=FixedClock(), random=Random(1), **more)
    try:
        return (await api.get(SERVICES, WEB))["metadata"]["name"]
    finally:
        await api.close()


def asked(pki, **connection):
    async def all_of_it():
        authority, server, _ = pki
        async with a_server(authority, server) as (_, url):
            return await ask(Connection(connection.pop("server", url), **connection))

    return asyncio.run(all_of_it())


# --- who comes in


def test_the_admins_certificate_comes_in(pki):
    authority, _, admin = pki
    assert asked(pki, ca=authority.certificate, client_certificate=admin.certificate, client_key=admin.key) == "web"


def test_the_name_of_the_server_may_be_another_one(pki):
    authority, _, admin = pki
    more = {"ca": authority.certificate, "client_certificate": admin.certificate, "client_key": admin.key}
    assert asked(pki, server_name="localhost", **more) == "web"
    with pytest.raises(UnavailableError, match=r"certificate is not good: .*not valid for 'elsewhere'"):
        asked(pki, server_name="elsewhere", **more)


def test_without_a_certificate_nobody_comes_in(pki):
    with pytest.raises(ApiError, match="Unauthorized") as raised:
        asked(pki, ca=pki[0].certificate)
    assert raised.value.code == 401


def test_a_token_does_not_help(pki):
    with pytest.raises(ApiError, match="Unauthorized"):
        asked(pki, ca=pki[0].certificate, credential=Token("guess"))


def test_a_certificate_of_another_authority_does_not_come_in(pki):
    other = make_authority("netproxy", now=real_now())
    mine = issue(other, ADMIN, now=real_now(), organization=ADMINS)
    with pytest.raises(UnavailableError, match="does not accept our client-certificate"):
        asked(pki, ca=pki[0].certificate, client_certificate=mine.certificate, client_key=mine.key)


def test_a_servers_certificate_is_no_clients(pki):
    authority, server, _ = pki
    with pytest.raises(UnavailableError, match="does not accept our client-certificate"):
        asked(pki, ca=authority.certificate, client_certificate=server.certificate, client_key=server.key)


@pytest.mark.parametrize("reset", [False, True], ids=["an end", "a reset"])
def test_a_server_that_hangs_up_is_told_alike_however_that_is_heard(pki, reset):
    authority, server, admin = pki

    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        if reset:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        else:
            writer.close()

    async def all_of_it():
        listening = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=server_context(authority, server))
        port = listening.sockets[0].getsockname()[1]
        mine = {"client_certificate": admin.certificate, "client_key": admin.key}
        async with listening:
            await ask(Connection(f"https://127.0.0.1:{port}", ca=authority.certificate, **mine))

    with pytest.raises(
        UnavailableError, match=r":\d+: Server disconnected; perhaps it does not accept our client-certificate$"
    ):
        asyncio.run(all_of_it())


def test_a_client_does_not_trust_another_server(pki):
    with pytest.raises(UnavailableError, match="look at certificate-authority and tls-server-name"):
        asked(pki, ca=make_authority("other", now=real_now()).certificate)
    with pytest.raises(UnavailableError, match="certificate is not good"):
        asked(pki)
    with pytest.raises(ApiError, match="Unauthorized"):
        asked(pki, insecure=True)


def test_an_expired_certificate_does_not_come_in(pki):
    authority = pki[0]
    old = issue(authority, ADMIN, now=real_now() - 86400 * 3, days=1)
    with pytest.raises(UnavailableError, match="does not accept our client-certificate"):
        asked(pki, ca=authority.certificate, client_certificate=old.certificate, client_key=old.key)


@pytest.mark.parametrize(("mine", "why"), [
    pytest.param({"client_certificate": AUTHORITY.certificate, "client_key": OTHER.key}, "must belong together", id="another's key"),
    pytest.param({"client_certificate": b"-----BEGIN nonsense", "client_key": b""}, "cannot be used", id="no certificate"),
    pytest.param({"ca": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "cannot be used", id="no authority"),
    pytest.param({"ca": b"-----BEGIN \xff"}, "cannot be used", id="no text"),
])  # fmt: skip
def test_certificates_that_cannot_be_used_are_the_users_mistake(mine, why):
    with pytest.raises(ManifestError, match=why):
        asyncio.run(ask(Connection("https://127.0.0.1:1", source="config", **mine)))


def test_a_key_with_a_passphrase_asks_nobody(tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(AUTHORITY.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(ManifestError, match="no passphrase"):
        asyncio.run(ask(Connection("https://127.0.0.1:1", client_certificate=AUTHORITY.certificate, client_key=locked)))


async def inside(request):
    return web.Response(text="inside")


async def status_of(url, path, authority):
    """The status of a GET without any credential."""
    import aiohttp

    context = ssl.create_default_context(cadata=authority.certificate.decode())
    async with aiohttp.ClientSession() as session, session.get(url + path, ssl=context) as response:
        return response.status


def test_only_the_health_of_the_server_is_told_to_anybody(pki):
    async def all_of_it():
        authority, pair, _ = pki
        app = web.Application(middlewares=[authenticated])
        app.router.add_get("/{path:.*}", inside)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            sock = socket.create_server(("127.0.0.1", 0))
            await add_https_site(runner, sock, server_context(authority, pair))
            url = f"https://127.0.0.1:{sock.getsockname()[1]}"
            paths = [
                "/healthz",
                "/livez",
                "/readyz",
                "/readyz/",
                "/",
                "/api",
                "/healthz/../api",
                "/healthz/etcd",
                "/netproxy/mode",
            ]
            return {path: await status_of(url, path, authority) for path in paths}
        finally:
            await runner.cleanup()

    found = asyncio.run(all_of_it())
    assert {path for path, status in found.items() if status == 200} == {"/healthz", "/livez", "/readyz", "/readyz/"}
    assert set(found.values()) == {200, 401}


def test_a_token_comes_in_when_it_is_somebodys(pki):
    bot = User("bot")

    async def is_bot(request):
        return web.json_response(user_of(request) == bot)

    async def all_of_it():
        import aiohttp

        app = web.Application(middlewares=[authenticated])
        app[TOKEN_USER] = {"good": bot}.get
        app.router.add_get("/{path:.*}", is_bot)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            sock = socket.create_server(("127.0.0.1", 0))
            await add_https_site(runner, sock, server_context(pki[0], pki[1]))
            url = f"https://127.0.0.1:{sock.getsockname()[1]}"
            context = ssl.create_default_context(cadata=pki[0].certificate.decode())
            async with aiohttp.ClientSession() as session:
                for header, path, status in (("Bearer good", "/api", 200), ("bearer  good", "/api", 200),
                                             ("Bearer bad", "/api", 401), ("Bearer bad", "/healthz", 401),
                                             ("Basic good", "/api", 401), ("Basic good", "/healthz", 200)):  # fmt: skip
                    async with session.get(url + path, ssl=context, headers={"Authorization": header}) as response:
                        assert response.status == status, (header, path)
                        assert status != 200 or await response.json() is (path == "/api")
        finally:
            await runner.cleanup()

    asyncio.run(all_of_it())


def test_by_plain_tcp_nobody_comes_in():
    async def all_of_it():
        server = ApiServer(Etcd())
        url = await server.start(middlewares=(authenticated,))
        try:
            await ask(Connection(url))
        finally:
            await server.stop()

    with pytest.raises(ApiError, match="Unauthorized"):
        asyncio.run(all_of_it())


def test_by_the_unix_socket_its_owner_comes_in(tmp_path):
    async def all_of_it():
        world = Etcd()
        world.put(service_object())
        server = ApiServer(world)
        await server.start(path=tmp_path / "s", middlewares=(authenticated,))
        try:
            return await HttpApi.on_socket(tmp_path / "s", clock=FixedClock(), random=Random(1)).get(SERVICES, WEB)
        finally:
            await server.stop()

    assert asyncio.run(all_of_it())["metadata"]["name"] == "web"


def test_an_application_that_lets_anybody_in_is_not_served(pki):
    async def all_of_it():
        runner = web.AppRunner(web.Application())
        await runner.setup()
        with socket.socket() as sock, pytest.raises(ValueError, match="would let anybody in"):
            await add_https_site(runner, sock, server_context(pki[0], pki[1]))
        await runner.cleanup()

    asyncio.run(all_of_it())


def test_a_server_knows_who_asks(pki):
    seen = []

    @web.middleware
    async def note(request, handler):
        seen.append(user_of(request))
        return await handler(request)

    async def all_of_it():
        authority, pair, admin = pki
        world = Etcd()
        world.put(service_object())
        server = ApiServer(world)
        url = await server.start(tls=server_context(authority, pair), middlewares=(note, authenticated))
        try:
            await ask(
                Connection(url, authority.certificate, client_certificate=admin.certificate, client_key=admin.key)
            )
        finally:
            await server.stop()

    asyncio.run(all_of_it())
    (user,) = seen
    assert (user.name, user.groups) == ("kubernetes-admin", ("system:masters", "system:authenticated"))
    (credential,) = user.extra["authentication.kubernetes.io/credential-id"]
    assert re.fullmatch("X509SHA256=[0-9a-f]{64}", credential)


# --- what a cluster keeps


def names_of(pair: Pair) -> list[str]:
    """The addresses and names that a certificate vouches for."""
    extensions = x509.load_pem_x509_certificate(pair.certificate).extensions
    return [str(name.value) for name in extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_certificates_are_made_once_and_only_for_their_owner(tmp_path):
    folder = tmp_path / "pki"
    made = certificates(folder, ["10.0.0.1", "node1"], now=NOW)
    assert certificates(folder, ["node1"], now=NOW + 1) == made
    assert names_of(made.server) == [*LOCAL, "10.0.0.1", "node1"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert sorted(file.name for file in folder.iterdir()) == [
        "admin.crt",
        "admin.key",
        "ca.crt",
        "ca.key",
        "server.crt",
        "server.hosts",
        "server.key",
    ]


def test_a_server_with_more_names_gets_another_certificate_of_the_same_authority(tmp_path):
    made = certificates(tmp_path, [], now=NOW)
    again = certificates(tmp_path, ["192.168.0.2"], now=NOW)
    assert (again.authority, again.admin) == (made.authority, made.admin)
    assert names_of(again.server) == [*LOCAL, "192.168.0.2"]


def test_a_server_whose_names_are_not_known_any_more_gets_another_certificate(tmp_path):
    made = certificates(tmp_path, [], now=NOW)
    (tmp_path / "server.hosts").write_text("no json")
    assert certificates(tmp_path, [], now=NOW).server != made.server


def test_a_private_file_takes_the_place_of_one_that_anybody_reads(tmp_path):
    (tmp_path / "config").write_text("old")
    (tmp_path / "config").chmod(0o644)
    write_private(tmp_path / "config", b"new")
    assert (tmp_path / "config").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "config").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["config"]


def test_the_kubeconfig_says_all_that_a_client_needs(pki, tmp_path):
    async def all_of_it():
        authority, server, admin = pki
        async with a_server(authority, server) as (made, _):
            write_private(tmp_path / "config", kubeconfig_text("127.0.0.1", made.port, authority, admin).encode())
            api = HttpApi.from_kubeconfig(tmp_path / "config", clock=FixedClock(), random=Random(1))
            try:
                return await api.list(SERVICES)
            finally:
                await api.close()

    assert [obj["metadata"]["name"] for obj in asyncio.run(all_of_it()).items] == ["web"]
    text = kubeconfig_text("fd00::1", 6443, pki[0], pki[2], name="lab")
    assert yaml.safe_load(text)["clusters"][0]["cluster"]["server"] == "https://[fd00::1]:6443"
    (tmp_path / "other").write_text(text)
    assert load(tmp_path / "other").client_key == pki[2].key


def test_openssl_finds_nothing_wrong_with_the_certificates(tmp_path):
    made = certificates(tmp_path, ["10.0.0.1"], now=real_now())
    for name, purpose in (("server", "sslserver"), ("admin", "sslclient")):
        done = subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", tmp_path / "ca.crt", tmp_path / f"{name}.crt"],
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert made.authority.certificate in (tmp_path / "ca.crt").read_bytes()


# --- what changes while a client lives


class Pauses(list):
    async def __call__(self, seconds):
        self.append(seconds)
        await asyncio.sleep(0)


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_server_with_a_new_authority_is_trusted_when_the_file_says_so(pki, tmp_path):
    """The whole PKI is renewed under a client: authority, server, the client's own pair, one file after the other."""

    async def live():
        authority, server, admin = pki
        for name, data in (("ca", authority.certificate), ("crt", admin.certificate), ("key", admin.key)):
            (tmp_path / name).write_bytes(data)
        async with a_server(authority, server) as (made, url):
            connection = Connection(
                url, tmp_path / "ca", client_certificate=tmp_path / "crt", client_key=tmp_path / "key"
            )
            pauses = Pauses()
            api = HttpApi.of(connection, clock=FixedClock(), random=Random(1), pause=pauses)
            cache = Cache(api, {SERVICES: Selector()}, clock=FixedClock(), random=Random(1), pause=pauses)
            running = asyncio.create_task(cache.run())
            try:
                await cache.synced()
                await made.stop()
                now = real_now()
                fresh = make_authority("netproxy", now=now)
                pair = issue(fresh, "netproxy", now=now, hosts=("127.0.0.1",))
                await made.start(tls=server_context(fresh, pair), middlewares=(authenticated,))
                made.world.put(service_object("new"))
                await until(lambda: "certificate is not good" in cache.state(SERVICES).last_error)
                renewed = issue(fresh, ADMIN, now=now, organization=ADMINS)
                for name, data in (("ca", fresh.certificate), ("crt", renewed.certificate), ("key", renewed.key)):
                    (tmp_path / name).write_bytes(data)
                    await asyncio.sleep(0)
                await until(lambda: cache.count(SERVICES) == 2 and not cache.is_stale)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await api.close()

    asyncio.run(live())


def test_half_renewed_files_are_not_used(tmp_path):
    (tmp_path / "crt").write_bytes(AUTHORITY.certificate)
    (tmp_path / "key").write_bytes(AUTHORITY.key)
    connection = Connection("https://x", client_certificate=tmp_path / "crt", client_key=tmp_path / "key")
    credentials, tls = Credentials(connection, clock=FixedClock()), ClientTls(connection)

    def now():
        return tls.context(asyncio.run(credentials.current()))

    old = now()
    (tmp_path / "crt").write_bytes(OTHER.certificate)
    os.utime(tmp_path / "crt", ns=(1, 1))
    assert now() is old
    (tmp_path / "key").write_bytes(OTHER.key)
    os.utime(tmp_path / "key", ns=(1, 1))
    assert now() is not old


def test_a_token_that_was_renewed_on_disk_is_used(tmp_path):
    async def live():
        world = Etcd()
        world.put(service_object())
        server = ApiServer(world)
        server.tokens = {"one"}
        (tmp_path / "token").write_text("one\n")
        url = await server.start()
        api = HttpApi.of(
            Connection(url, credential=TokenFile(tmp_path / "token")), clock=FixedClock(), random=Random(1)
        )
        try:
            await api.get(SERVICES, WEB)
            server.tokens = {"two"}
            with pytest.raises(ApiError, match="Unauthorized"):
                await api.get(SERVICES, WEB)
            assert len(server.requests) == 2, "the same token again would not help"
            (tmp_path / "token").write_text("two\n")
            os.utime(tmp_path / "token", ns=(1, 1))
            await api.get(SERVICES, WEB)
        finally:
            await api.close()
            await server.stop()

    asyncio.run(live())


def test_a_plugin_is_asked_again_after_a_401_and_the_request_is_sent_again():
    async def live():
        world = Etcd()
        world.put(service_object())
        server = ApiServer(world)
        server.tokens = {"two"}
        url = await server.start()
        tokens = iter(["one", "two", "three", "four"])
        version = "client.authentication.k8s.io/v1"

        def run(argv, env):
            return f'{{"kind":"ExecCredential","apiVersion":"{version}","status":{{"token":"{next(tokens)}"}}}}'

        api = HttpApi.of(
            Connection(url, credential=Plugin(version, ("login",))), clock=FixedClock(), random=Random(1), run=run
        )
        try:
            await api.get(SERVICES, WEB)
            server.tokens = {"nobody's"}
            with pytest.raises(ApiError, match="Unauthorized"):
                await api.get(SERVICES, WEB)
            assert next(tokens) == "four", "once is enough"
        finally:
            await api.close()
            await server.stop()

    asyncio.run(live())


# --- proxies


@pytest.mark.parametrize(("environ", "server", "proxy"), [
    pytest.param({"https_proxy": "http://p:1"}, "https://api:6443", "http://p:1", id="a proxy"),
    pytest.param({"https_proxy": "http://p:1"}, "http://api:80", "", id="a proxy for others"),
    pytest.param({"https_proxy": "http://p:1"}, "https://127.0.0.1:6443", "", id="never for this machine"),
    pytest.param({"https_proxy": "http://p:1", "no_proxy": "api"}, "https://api:6443", "", id="not for this server"),
])  # fmt: skip
def test_the_proxy_of_the_environment(environ, server, proxy, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert proxy_of_environment(server) == proxy


def test_a_proxy_that_does_not_speak_http(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://p:1")
    with pytest.raises(ManifestError, match=r"HTTPS_PROXY: .*or add api to NO_PROXY"):
        proxy_of_environment("https://api:6443")


def test_a_connection_through_a_proxy(pki):
    """A proxy sees a CONNECT and bytes; the TLS is between client and server."""
    connected = []

    async def pipe(reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def proxy(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        connected.append(head.split()[:2])
        host, _, port = head.split()[1].decode().rpartition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)

    async def live():
        authority, pair, admin = pki
        listening = await asyncio.start_server(proxy, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with a_server(authority, pair) as (made, server):
            name = await ask(
                Connection(
                    server,
                    authority.certificate,
                    client_certificate=admin.certificate,
                    client_key=admin.key,
                    proxy_url=url,
                )
            )
            port = made.port
        listening.close()
        return name, port

    name, port = asyncio.run(live())
    assert name == "web"
    assert connected == [[b"CONNECT", f"127.0.0.1:{port}".encode()]]
