"""An agent that is killed while many write: what was acknowledged is there, versions go on, and who watches loses nothing."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import ssl
import threading
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.cluster import Cluster, wait_until

MAPS = "/api/v1/namespaces/default/configmaps"
WRITERS = 4
NAMES = 25
"""Of each writer."""


class Client:
    """Asks over HTTPS as the kubeconfig says, with one connection until it breaks."""

    def __init__(self, folder: Path) -> None:
        config = (folder / "tls" / "kubeconfig").read_text()
        host, port = re.search(r"server: ['\"]?https://([^\s'\"]+):(\d+)", config).groups()
        context = ssl.create_default_context(cafile=str(folder / "tls" / "ca.crt"))
        context.load_cert_chain(folder / "tls" / "admin.crt", folder / "tls" / "admin.key")
        self._line = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        """Raises OSError or HTTPException when nobody answers (any more)."""
        self._line.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
        answer = self._line.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        self._line.close()

    def events(self, path: str) -> list[Any]:
        """All events of a watch that ends by itself."""
        self._line.request("GET", path)
        return [json.loads(line) for line in self._line.getresponse().read().splitlines()]


class Writer(threading.Thread):
    """Writes until nobody answers; knows what was acknowledged of each of its objects, and what was under way at the end."""

    def __init__(self, folder: Path, number: int, known: dict[str, Any], begun: int) -> None:
        super().__init__()
        self._client, self._number, self._random = Client(folder), number, Random(begun * WRITERS + number)
        self.known = dict(known)
        """The text in each object that there is."""
        self.under_way: tuple[str, Any] = ("", None)
        self.last, self.acknowledged = begun, 0

    def run(self) -> None:
        while True:
            name = f"w{self._number}-{self._random.randrange(NAMES)}"
            wanted = None if name in self.known and self._random.random() < 0.3 else f"{self._random.random()}"
            self.under_way = name, wanted
            try:
                self._write(name, wanted)
            except (OSError, http.client.HTTPException):
                self._client.close()
                return
            self.under_way = "", None
            self.acknowledged += 1

    def _write(self, name: str, wanted: str | None) -> None:
        obj = {"metadata": {"name": name}, "data": {"a": wanted}}
        if wanted is None:
            code, said = self._client("DELETE", f"{MAPS}/{name}")
            assert code == 200, said
            del self.known[name]
            return
        if name not in self.known:
            code, said = self._client("POST", MAPS, obj)
        elif self._random.random() < 0.5:
            code, said = self._client("PUT", f"{MAPS}/{name}", obj)
        else:
            code, said = self._client(
                "PATCH", f"{MAPS}/{name}", {"data": {"a": wanted}}, "application/merge-patch+json"
            )
        assert code in (200, 201), said
        version = int(said["metadata"]["resourceVersion"])
        assert version > self.last
        self.last = version
        self.known[name] = wanted


@pytest.mark.parametrize(("options", "rounds"), [(["--api-only"], 2), ([], 1)], ids=["an API alone", "a whole cluster"])
def test_what_was_acknowledged_survives_kill_nine(cluster: Cluster, options: list[str], rounds: int, request):
    cluster("up", *options)
    known: dict[str, Any] = {}
    begun = 0
    for number in range(rounds):
        with closing(Client(cluster.folder)) as client:
            _, before = listed(client)
        writers = [
            Writer(cluster.folder, at, {n: v for n, v in known.items() if n.startswith(f"w{at}-")}, begun)
            for at in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        wait_until(lambda writers=writers, number=number: sum(w.acknowledged for w in writers) > 60 * (number + 1))
        os.kill(cluster.pid, signal.SIGKILL)
        for writer in writers:
            writer.join(30)
            assert not writer.is_alive()
        cluster("up")
        client = Client(cluster.folder)
        request.addfinalizer(client.close)
        found, version = listed(client)
        begun = max(writer.last for writer in writers)
        assert version >= begun
        for writer in writers:
            mine = {name: text for name, text in found.items() if name.startswith(f"w{writer._number}-")}
            name, wanted = writer.under_way
            done = (
                {**writer.known, name: wanted}
                if wanted is not None
                else {n: v for n, v in writer.known.items() if n != name}
            )
            assert mine in (writer.known, done)
        known = {name: text for name, text in found.items() if name.startswith("w")}
        code, made = client("POST", MAPS, {"metadata": {"generateName": "after-"}})
        assert code == 201
        assert int(made["metadata"]["resourceVersion"]) > version
        watched_on(client, before, version)


def listed(client: Client) -> tuple[dict[str, str], int]:
    code, said = client("GET", MAPS)
    assert code == 200, said
    return {item["metadata"]["name"]: (item.get("data") or {}).get("a") for item in said["items"]}, int(
        said["metadata"]["resourceVersion"]
    )


def watched_on(client: Client, before: int, version: int) -> None:
    """Whoever watched before is told to list again; whoever has listed since then misses nothing."""
    (gone,) = client.events(f"{MAPS}?watch=1&resourceVersion={before}&timeoutSeconds=1")
    assert (gone["type"], gone["object"]["code"]) == ("ERROR", 410)
    events = client.events(f"{MAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1")
    assert [event["type"] for event in events] == ["ADDED"]
    assert events[0]["object"]["metadata"]["name"].startswith("after-")
