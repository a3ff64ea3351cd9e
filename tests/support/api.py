"""A store, a registry and a client of the API, in memory."""

import json

from netproxy.apiserver.connect import Stream
from netproxy.apiserver.proxied import Proxied
from netproxy.apiserver.request import Request
from netproxy.apiserver.routes import Api
from netproxy.apiserver.watch import Watch
from netproxy.core.errors import StorageError
from netproxy.objects.cluster import cluster_spec
from netproxy.registry.registry import Registry
from netproxy.store.store import Store
from support.build import FixedClock


def a_store(backing=None, clock=None):
    numbers = iter(range(1 << 20))
    return Store(clock or FixedClock(), lambda: f"uid-{next(numbers):05}", backing)


def a_registry(store=None, **cluster):
    return Registry(store or a_store(), cluster_spec([{"kind": "Cluster", "spec": cluster}]))


class Backing:
    """Rows in a dictionary; the next commits fail when told so."""

    def __init__(self):
        self.rows = {}
        self.version = 0
        self.failing = False

    def load(self):
        return list(self.rows.values())

    def latest(self):
        return self.version

    def commit(self, writes):
        if self.failing:
            raise StorageError("no space")
        for write in writes:
            self.rows[write.resource.stored, write.name] = write.obj
            if write.type == "DELETED":
                del self.rows[write.resource.stored, write.name]
        self.version = writes[-1].version


class Plain:
    """Signs nothing: what a token says is kept, under its number."""

    def __init__(self):
        self.said = {}

    def sign(self, claims):
        self.said[claims["jti"]] = claims
        return claims["jti"]

    def claims(self, token):
        return self.said.get(token)


class Client:
    """Asks the API; an answer is (status, JSON), a Watch, or a Response that is no JSON."""

    def __init__(self, registry=None, signer=None):
        self.registry = registry or a_registry()
        self.api = Api(self.registry, FixedClock(), signer)

    def __call__(self, method, path, body=None, content_type="application/json", accept="application/json", **query):
        data = json.dumps(body).encode() if body is not None else b""
        answer = self.api.handle(Request(method, path, query, data, content_type, accept))
        if isinstance(answer, Watch | Stream | Proxied) or answer.content_type != "application/json":
            return answer
        return answer.status, json.loads(answer.body)
