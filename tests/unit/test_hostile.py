"""What somebody sends who means harm: it is refused in time, and nobody else notices."""

import asyncio
import json
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from support.api import Client, a_registry, a_store
from support.build import FixedClock

from netproxy.apiserver.request import Request, Response
from netproxy.apiserver.routes import Api
from netproxy.apiserver.yamlbody import yaml_value
from netproxy.core.numbers import MOST_DIGITS
from netproxy.objects.gojson import DEEPEST, SyntaxFaultError, parsed
from netproxy.registry.jsonpatch import json_patch
from netproxy.serve import http
from netproxy.serve.jwt import KeySigner
from netproxy.serve.patience import Patience

MAPS = "/api/v1/namespaces/default/configmaps"
REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
KINDS = {
    "list": ("[", "]", ""), "object": ('{"a":', "}", "1"), "both": ('[{"a":', "}]", "1"), "spaced": ('{"a" :', "}", "1"), "twice": ('{"a":1,"a":', "}", "1"),
}  # fmt: skip


def nested(kind: str, levels: int) -> bytes:
    begin, end, inner = KINDS[kind]
    levels //= len(end)
    return (begin * levels + inner + end * levels).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_json_is_as_deep_as_it_can_be_written_again(kind):
    assert parsed(nested(kind, DEEPEST))
    for levels in (DEEPEST + 2, 500, 1000, 1030, 5000, 20_000):
        with pytest.raises(SyntaxFaultError, match="exceeded max depth"):
            parsed(nested(kind, levels))


@pytest.mark.parametrize("kind", ["object", "both"])
@pytest.mark.parametrize("levels", [DEEPEST - 10, DEEPEST, 250, 253, 900, 1010, 4000])
def test_what_is_stored_can_be_listed(kind, levels):
    ask, deep = Client(), nested(kind, levels).decode()
    named = '"apiVersion":"%s","kind":"%s","metadata":{"name":"web"%s}'
    fields = f',"managedFields":[{{"manager":"a","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{deep}}}]'
    bodies = [
        (REVISIONS, "{" + named % ("apps/v1", "ControllerRevision", "") + f',"revision":1,"data":{{"a":{deep}}}}}', "application/json"),
        (MAPS, "{" + named % ("v1", "ConfigMap", fields) + "}", "application/json"),
        (f"{MAPS}/web", f'{{"x":{deep}}}', "application/merge-patch+json"), (f"{MAPS}/web", f'{{"x":{deep}}}', "application/strategic-merge-patch+json"),
        (f"{MAPS}/web", f'[{{"op":"add","path":"/x","value":{deep}}}]', "application/json-patch+json"),
        (f"{MAPS}/web?fieldManager=a&force=1", "{" + named % ("v1", "ConfigMap", "") + f',"x":{deep}}}', "application/apply-patch+yaml"),
    ]  # fmt: skip
    for path, body, content_type in bodies:
        at, _, query = path.partition("?")
        asked = dict(part.split("=") for part in query.split("&") if part)
        answer = ask.api.handle(Request("PATCH" if "/web" in path else "POST", at, asked, body.encode(), content_type))
        about = (path, content_type, answer.body[:300])
        assert answer.status < 500 or b"field not declared in schema" in answer.body, about
    for folder in (MAPS, REVISIONS):
        for accept in ("application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/yaml"):
            assert ask.api.handle(Request("GET", folder, {"includeObject": "Object"}, accept=accept)).status == 200


GROWING = [{"op": "add", "path": "/a", "value": "x" * 1000}] + [
    {"op": "copy", "from": "/a", "path": f"/b{at}"} for at in range(4000)
]
DOUBLING = [{"op": "add", "path": "/a", "value": ["x"]}] + [{"op": "copy", "from": "/a", "path": "/a/-"}] * 40
DEEPER = [{"op": "add", "path": "/a", "value": {}}] + [
    {"op": "add", "path": "/a" + "/b" * at, "value": {"b": {}}} for at in range(1, 400)
]


@pytest.mark.parametrize("operations", [
    pytest.param(GROWING, id="many copies"), pytest.param(DOUBLING, id="copies of copies"), pytest.param(DEEPER, id="deeper and deeper"),
    pytest.param([*DEEPER * 2, {"op": "test", "path": "/a", "value": 1}, *DEEPER], id="deeper"),
    pytest.param([{"op": "add", "path": "/a", "value": [1]}, {"op": "replace", "path": f"/a/{'9' * 5000}", "value": 1}], id="a long index"),
])  # fmt: skip
def test_a_patch_grows_nothing_without_end(operations):
    ask, begun = Client(), time.process_time()
    ask("POST", MAPS, {"metadata": {"name": "web"}})
    status, said = ask("PATCH", f"{MAPS}/web", operations, "application/json-patch+json")
    assert (status, said["message"]) == (422, "the server rejected our request due to an error in our request")
    assert time.process_time() - begun < 5


def test_a_copy_is_no_part_of_what_it_was_copied_from():
    operations = [
        {"op": "add", "path": "/a/x", "value": 1}, {"op": "copy", "from": "/a", "path": "/b"}, {"op": "add", "path": "/b/y", "value": [2]},
        {"op": "copy", "from": "/b", "path": "/b/z"}, {"op": "add", "path": "/b/z/y/-", "value": 3},
    ]  # fmt: skip
    assert json_patch({"a": {}}, operations) == {"a": {"x": 1}, "b": {"x": 1, "y": [2], "z": {"x": 1, "y": [2, 3]}}}


LAUGHS = b"a0: &a0 [x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (at, at, b", ".join([b"*a%d" % (at - 1)] * 9)) for at in range(1, 12)
)


@pytest.mark.parametrize("text", [
    pytest.param(LAUGHS, id="laughs"), pytest.param(b"d: 1\nd: 2\n" + LAUGHS, id="laughs, and a key twice"),
    pytest.param(b"d: 1\nd: 2\na: &a [*a]\n", id="itself"), pytest.param(b"d: 1\nd: 2\na: &a {b: *a}\n", id="itself in a map"),
    pytest.param(b"d: 1\nd: 2\na: " + b"[" * 5000, id="deep"), pytest.param(b"d: 1\nd: 2\n\x01", id="no character of YAML"),
])  # fmt: skip
def test_yaml_that_is_much_more_than_it_seems(text):
    begun = time.process_time()
    for method, kind, path in (
        ("POST", "application/yaml", MAPS),
        ("PATCH", "application/apply-patch+yaml", f"{MAPS}/web"),
    ):
        answer = Client().api.handle(Request(method, path, {"fieldManager": "a"}, text, kind))
        assert answer.status == 400
    with pytest.raises(ValueError, match="yaml: "):
        yaml_value(text)
    assert time.process_time() - begun < 5


LONG = ("9" * 5000, "-" + "9" * 5000, "0" * 5000, "0" * 5000 + "1", "+" * 5000, "9" * (MOST_DIGITS + 1))


@pytest.mark.parametrize("number", LONG, ids=lambda text: f"{text[:2]}…{text[-1]}")
def test_numbers_of_any_length_are_read(number):
    ask = Client()
    ask("POST", MAPS, {"metadata": {"name": "web", "labels": {"a": "1"}}})
    queries = [{name: number} for name in ("limit", "timeoutSeconds", "resourceVersion")]
    queries += [{"labelSelector": f"a>{number}"}, {"labelSelector": f"a in ({number})"}, {"continue": number}]
    for query in queries:
        for method, more in (("GET", {}), ("GET", {"watch": "1"}), ("DELETE", {"dryRun": "All"})):
            answer = ask.api.handle(Request(method, MAPS, {**query, **more}))
            refused = not isinstance(answer, Response) or answer.status < 500 or "resourceVersion" in query
            assert refused or b"Too large resource version" in answer.body, (method, query, answer)
    grace = ask.api.handle(Request("DELETE", f"{MAPS}/web", {"gracePeriodSeconds": number, "dryRun": "All"}))
    assert grace.status < 500
    for part in ("log", "portforward"):
        asked = dict.fromkeys(("tailLines", "limitBytes", "sinceSeconds", "ports"), number)
        assert ask.api.handle(Request("GET", f"/api/v1/namespaces/default/pods/web/{part}", asked)).status < 500


# --- the server


def b64(text: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


TOKENS = [
    "", ".", "..", "a.b.c", "\u00e9.\u00e9.\u00e9", "\udcff.\udcff.x", f"{b64(b'[' * 5000)}.{b64(b'{}')}.aa", f"{b64(b'[]')}.{b64(b'{}')}.aa",
    f"{b64(b'null')}.e30.aa", f"{b64(json.dumps({'alg': 'none'}).encode())}.e30.", f"{b64(json.dumps({'alg': ['ES256']}).encode())}.e30.aa",
    f"{b64(json.dumps({'alg': 'ES256', 'kid': 5}).encode())}.e30.aa", f"{b64(json.dumps({'alg': 'ES256', 'b64': False, 'crit': ['b64']}).encode())}.e30.aa",
    f"{b64(json.dumps({'alg': 'HS256'}).encode())}.e30.aa", f"{b64(b'{' + b'9' * 5000 + b'}')}.e30.aa", f"{b64(b'[' + b'9' * 5000 + b']')}.e30.aa",
]  # fmt: skip


@pytest.mark.parametrize("token", TOKENS, ids=range(len(TOKENS)))
def test_a_made_up_token_is_nobodys(token, tmp_path):
    assert KeySigner(tmp_path / "key", lambda: 0.0).claims(token) is None


class Served:
    """A server on a Unix socket, and the bytes that it answers."""

    def __init__(self, path):
        self.path = str(path)
        self.extra_bytes = 0

    async def begin(self):
        store = a_store()
        registry = a_registry(store)
        registry.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})

        async def extra(request):
            self.extra_bytes = len(request.body)
            return Response(200, b"{}")

        self.runner = await http.serve(self.path_of(), Api(registry, FixedClock()), store, FixedClock(), extra)

    def path_of(self):
        from pathlib import Path

        return Path(self.path)

    async def ask(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(data)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        body = await asyncio.wait_for(reader.readexactly(length), 10)
        writer.close()
        return head + body


def served(tmp_path, work):
    """What WORK gives with a server."""

    async def run():
        server = Served(tmp_path / "api.sock")
        await server.begin()
        try:
            return await work(server)
        finally:
            await server.runner.cleanup()

    return asyncio.run(run())


def a_request(line: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"{line} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


MAP = b'{"metadata": {"name": "a"}}'


@pytest.mark.parametrize(("data", "code"), [
    pytest.param(a_request(f"POST {MAPS}?fieldManager=%FF%FE", MAP), 201, id="no characters in a query"),
    pytest.param(a_request(f"POST {MAPS}", MAP, "User-Agent: \xff\xfe"), 201, id="no characters in the name of a program"),
    pytest.param(a_request(f"GET {MAPS}/%FF"), 404, id="no characters in a path"),
    pytest.param(a_request("GET /api/v1/namespaces/\xff/pods"), 400, id="no ASCII in a path"),
    pytest.param(a_request(f"GET {MAPS}", b"", "Impersonate-User: \xff"), 403, id="no characters in a name"),
    pytest.param(a_request(f"GET {MAPS}", b"", "Accept: \xff"), 406, id="no characters in what is accepted"),
    pytest.param(a_request(f"POST {MAPS}", MAP, "Content-Encoding: gzip"), 201, id="a body that only says that it is packed"),
    pytest.param(a_request(f"GET {MAPS}?labelSelector=a+in+({','.join('abcdefgh' for _ in range(2000))})"), 200, id="a long selector"),
    pytest.param(a_request(f"GET {MAPS}?labelSelector={'a,' * 40_000}"), 400, id="a longer selector"),
    pytest.param(a_request(f"POST {MAPS}", b"x" * (4 << 20)), 413, id="a large body"),
    pytest.param(a_request("POST /netproxy/x", b" " * (4 << 20)), 200, id="a large body where many manifests are sent"),
    pytest.param(a_request("GET /\x00"), 400, id="no path"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="two lengths"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, id="two other lengths"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400, id="an odd length"),
    pytest.param(b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400, id="a folded header"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2"), pytest.param(b"\x16\x03\x01\x02\x00\r\n\r\n", 400, id="TLS"),
])  # fmt: skip
def test_what_is_answered_to_odd_bytes(tmp_path, data, code, caplog):
    async def work(server):
        answer = await server.ask(data)
        again = await server.ask(a_request("GET /healthz"))
        return answer, again

    answer, again = served(tmp_path, work)
    assert int(answer.split()[1]) == code, answer[:500]
    assert again.endswith(b"ok")
    assert [record for record in caplog.records if record.exc_info] == []


def test_nothing_is_read_for_pages_that_anybody_may_ask(tmp_path):
    async def work(server):
        return await server.ask(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 1000
        )

    assert served(tmp_path, work).endswith(b"ok")


def test_who_sends_slowly_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "BODY_S", 0.05)

    async def work(server):
        return await server.ask(a_request(f"POST {MAPS}", MAP)[:-5])

    assert b"request did not complete within the allotted timeout" in served(tmp_path, work)


def test_who_says_nothing_is_shown_out():
    async def run():
        async def handler(request):
            return web.Response(text="ok")

        patience = Patience(lambda: server.connections, head_s=0.2)
        app = web.Application(middlewares=[patience.heard])
        app.router.add_route("*", "/{path:.*}", handler)
        app.cleanup_ctx.append(patience.work)
        front = TestServer(app)
        await front.start_server()
        server = front.runner.server
        lines = [await asyncio.open_connection("127.0.0.1", front.port) for _ in range(3)]
        lines[1][1].write(b"GET / HTTP/1.1\r\nHo")
        lines[2][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            async with asyncio.timeout(10):
                silent = [await reader.read() for reader, _ in lines[:2]]
            lines[2][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(10):
                said = b""
                while said.count(b"ok") < 2:
                    said += await lines[2][0].read(1000)
            return silent
        finally:
            for _, writer in lines:
                writer.close()
            await front.close()

    assert asyncio.run(run()) == [b"", b""]


def test_where_nobody_signs_no_token_is_given_and_no_key_shown():
    ask = Client()
    ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "bot"}})
    assert ask("POST", "/api/v1/namespaces/default/serviceaccounts/bot/token", {"spec": {}})[0] == 503
    assert json.loads(ask("GET", "/openid/v1/jwks").body) == {"keys": []}


@pytest.mark.parametrize("text", [
    pytest.param(b"d: 1\nd: 2\na: '\x01'", id="no character of YAML"), pytest.param(b"d: 1\nd: 2\n\xff\xff", id="no character at all"),
    pytest.param(b"d: 1\nd: 2\na: *x", id="an alias of nothing"), pytest.param(b"d: 1\nd: 2\na: [", id="no end"),
])  # fmt: skip
def test_yaml_with_a_key_twice_and_something_else(text):
    with pytest.raises(ValueError, match=r"^yaml: "):
        yaml_value(text)
