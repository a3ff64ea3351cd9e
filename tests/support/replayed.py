"""Recorded cases of a real API server, asked of ours: the answers, normalised as in the recordings."""

import http.client
import json
import re
import socket
import threading
import time
import urllib.parse

import yaml

from support.recorded_names import MissingError, Names

AGENT = "netproxy-cases/1.0"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
HUGE = 200_000
PATIENCE_S = 30.0
TRIES, PAUSE_S = 50, 0.1


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def asked(connection, step):
    """Send the request of a step; the response."""
    url = urllib.parse.quote(step["path"], safe="/:<>@!$&'()*+,;=~%")
    if step.get("query"):
        pairs = [
            (key, item)
            for key, value in step["query"].items()
            for item in (value if isinstance(value, list) else [value])
        ]
        url += "?" + urllib.parse.urlencode(pairs)
    headers, body = {"User-Agent": AGENT, "Accept": "application/json"}, None
    if "raw" in step or "body" in step:
        body = step["raw"].encode() if "raw" in step else json.dumps(step["body"]).encode()
        headers["Content-Type"] = "application/json"
    for key, value in (step.get("headers") or {}).items():
        headers.pop(key, None)
        if value is not None:
            headers[key] = value
    connection.request(step["method"], url, body=body, headers=headers)
    return connection.getresponse()


class Run:
    """One case against the server behind a Unix socket."""

    def __init__(self, socket_path):
        self._socket = str(socket_path)
        self._names = Names()
        self._connection = UnixConnection(self._socket, PATIENCE_S)
        self._streams = {}

    def answers(self, steps):
        """The answer of each step, in order."""
        names = self._names
        if "<ns>" in json.dumps(steps):
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.namespace}}
            self._plain({"method": "POST", "path": "/api/v1/namespaces", "body": made})
        for step in steps:
            try:
                answer = self._answer(step)
            except (MissingError, OSError, ValueError, KeyError, http.client.HTTPException) as error:
                answer = {"id": step["id"], "error": f"{type(error).__name__}: {error}"}
            if answer:
                yield answer
        self._plain({"method": "DELETE", "path": f"/api/v1/namespaces/{names.namespace}/services"})
        self._connection.close()

    def _answer(self, step):
        if "sleep" in step:
            time.sleep(step["sleep"])
            return None
        if "join" in step:
            asked_then, stream = self._streams.pop(step["join"])
            return self._shape({**asked_then, "id": step["id"]}, *stream.result())
        words = ("path", "query", "headers", "body", "raw")
        real = {key: self._names.filled(value) if key in words else value for key, value in step.items()}
        if not step.get("watch"):
            return self._shape(real, *self._until(real))
        stream = Stream(self._socket, real)
        if step["watch"].get("background"):
            stream.started.wait(10)
            self._streams[step["id"]] = real, stream
            return None
        return self._shape(real, *stream.result())

    def _until(self, step):
        """Ask; again, for a while, until the status is the one that is waited for."""
        response, data = self._plain(step)
        for _ in range(TRIES):
            if response.status == step.get("until", response.status):
                break
            time.sleep(PAUSE_S)
            response, data = self._plain(step)
        return response, data

    def _plain(self, step):
        response = asked(self._connection, step)
        data = response.read()
        if response.will_close:
            self._connection.close()
        return response, data

    def _shape(self, step, response, data):
        media = response.getheader("Content-Type") or ""
        headers = {"Content-Type": media} if media != "application/json" else {}
        warned = response.msg.get_all("Warning")
        if warned:
            headers["Warning"] = [self._names.text(text) for text in warned]
        answer = {"id": step["id"], "status": response.status, **({"headers": headers} if headers else {})}
        if step.get("watch") and response.status == 200:
            return {**answer, "frames": list(self._frames(step["id"], data))}
        if step.get("match"):
            text = data.decode(errors="replace")
            return {
                **answer,
                "match": {pattern: bool(re.search(pattern, text, re.MULTILINE)) for pattern in step["match"]},
            }
        return {**answer, "body": self._body(step, media, data, is_good=response.status < 300)}

    def _frames(self, step, data):
        names = self._names
        names.step = step
        for line in data.decode().splitlines():
            frame = json.loads(line)
            if frame.get("type") == "BOOKMARK" and "k8s.io/initial-events-end" not in line:
                continue
            names.collect(frame)
            if "type" not in frame:  # it is no stream, but one object
                yield names.walk(frame)
                continue
            yield {"type": frame["type"], "object": names.walk(frame["object"], bookmark=frame["type"] == "BOOKMARK")}

    def _body(self, step, media, data, *, is_good):
        if "protobuf" in media or "cbor" in media:
            return "<binary>"
        if "json" not in media:
            self._names.step = step["id"]
            return self._names.text(re.sub(r'(resourceVersion: ")\d+(")', r"\1<rv>\2", data.decode(errors="replace")))
        if not data:
            return ""
        document = json.loads(data)
        chosen = step.get("pick") if is_good else None
        if chosen and len(data) > HUGE:
            document = {path: picked(document, path) for path in chosen}
        for key in step.get("ignore") or ():
            document.pop(key, None)
        document = self._names.answer(step["id"], document)
        return {path: picked(document, path) for path in chosen} if chosen and len(data) <= HUGE else document


class Stream:
    """A watch, read until the server ends it or its time is over."""

    def __init__(self, socket_path, step):
        self.started = threading.Event()
        self._found = None
        self._thread = threading.Thread(target=self._read, args=(socket_path, step), daemon=True)
        self._thread.start()

    def _read(self, socket_path, step):
        seconds = step["watch"].get("seconds", 10)
        end, data = time.monotonic() + seconds, b""
        connection = UnixConnection(socket_path, seconds)
        response = asked(connection, step)
        self.started.set()
        try:
            while time.monotonic() < end and (line := response.readline()):
                data += line
        except (OSError, http.client.HTTPException):  # its time is over
            pass
        finally:
            self._found = response, data
            connection.close()

    def result(self):
        """The response and everything that came."""
        self._thread.join()
        if self._found is None:
            raise OSError("the watch was not answered")
        return self._found


def picked(document, path):
    """`a.b[key=value].c`, `a[*].b`: the matching parts of a document."""
    found = [document]
    for name, key, value, star in re.findall(r"([^.\[\]]+)|\[([^=\]]+)=([^\]]*)\]|\[(\*)\]", path):
        after = []
        for item in found:
            if name:
                name = name.replace("\\", ".")
                if isinstance(item, dict) and name in item:
                    after.append(item[name])
            elif isinstance(item, list):
                after += (
                    item if star else [part for part in item if isinstance(part, dict) and str(part.get(key)) == value]
                )
        found = after
    return found


def difference(wanted, got, path=""):
    """The first difference, or None."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in sorted(set(wanted) | set(got)):
            if key not in wanted:
                return f"{path}.{key}: not expected: {json.dumps(got[key])[:300]}"
            if key not in got:
                return f"{path}.{key}: missing, expected {json.dumps(wanted[key])[:300]}"
            if found := difference(wanted[key], got[key], f"{path}.{key}"):
                return found
        return None
    if isinstance(wanted, list) and isinstance(got, list):
        for index, (one, other) in enumerate(zip(wanted, got, strict=False)):
            if found := difference(one, other, f"{path}[{index}]"):
                return found
        return None if len(wanted) == len(got) else f"{path}: {len(got)} items, expected {len(wanted)}"
    if wanted != got or type(wanted) is not type(got):
        return f"{path}: {json.dumps(got)[:400]}, expected {json.dumps(wanted)[:400]}"
    return None


def loaded(path):
    """A YAML file."""
    return yaml.load(path.read_text(), LOADER)
