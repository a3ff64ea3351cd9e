"""Where the objects come from: what the name server needs of them, and watches of the API that give it."""

from __future__ import annotations

import functools
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from netproxy.core.names import NamespacedName
from netproxy.nameserver.loops import Beat, Loops
from netproxy.objects.kinds import Resource
from netproxy.objects.meta import Object, key

RETRY_S = 0.2
NEVER_LATE_S = float("inf")


class Source(Protocol):
    """The objects that a zone is made of, kept up to date."""

    @property
    def synced(self) -> bool:
        """Whether everything has been seen once."""
        ...

    def objects(self) -> tuple[int, Mapping[Resource, Sequence[Object]]]:
        """A number that grows with each change, and all objects by resource as they are at that moment."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call CHANGED after each change, from any thread."""
        ...


class Watched:
    """Objects from watches of the API on a Unix socket."""

    def __init__(self, path: str, wanted: Iterable[Resource]) -> None:
        self._path = path
        self._objects: dict[Resource, dict[NamespacedName, Object]] = {resource: {} for resource in wanted}
        self._seen: set[Resource] = set()
        self._lock = threading.Lock()
        self._version = 0
        self._changed: list[Callable[[], None]] = []

    def start(self, loops: Loops) -> None:
        """Begin to watch. An API that is away ends nothing: what is known goes on being answered."""
        for resource in self._objects:
            loops.start(f"watch {resource.plural}", functools.partial(self._watch, resource), patience_s=NEVER_LATE_S)

    @property
    def synced(self) -> bool:
        """Whether everything has been seen once."""
        return len(self._seen) == len(self._objects)

    def objects(self) -> tuple[int, Mapping[Resource, Sequence[Object]]]:
        """A number that grows with each change, and all objects by resource as they are at that moment."""
        with self._lock:
            return self._version, {resource: tuple(objects.values()) for resource, objects in self._objects.items()}

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call CHANGED after each change, from the threads that watch."""
        self._changed.append(changed)

    def _watch(self, resource: Resource, beat: Beat) -> None:
        pause = threading.Event()
        while True:
            try:
                self._follow(resource)
            except (OSError, http.client.HTTPException) as error:
                beat.count(f"watch {type(error).__name__}")
            pause.wait(RETRY_S)

    def _follow(self, resource: Resource) -> None:
        connection = http.client.HTTPConnection("netproxy")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with connection.sock:
            connection.sock.connect(self._path)
            connection.request("GET", f"{resource.prefix}/{resource.plural}?watch=true&sendInitialEvents=true")
            initial: dict[NamespacedName, Object] | None = {}
            for line in connection.getresponse():
                event = json.loads(line)
                if event["type"] == "BOOKMARK":
                    if initial is not None:
                        self._replace(resource, initial)
                    initial = None
                elif initial is not None:
                    initial[key(event["object"])] = event["object"]
                else:
                    self._change(resource, event["type"], event["object"])

    def _replace(self, resource: Resource, objects: dict[NamespacedName, Object]) -> None:
        with self._lock:
            self._objects[resource] = objects
            self._version += 1
            self._seen.add(resource)
        self._tell()

    def _change(self, resource: Resource, what: str, obj: Object) -> None:
        with self._lock:
            if what == "DELETED":
                self._objects[resource].pop(key(obj), None)
            else:
                self._objects[resource][key(obj)] = obj
            self._version += 1
        self._tell()

    def _tell(self) -> None:
        for changed in self._changed:
            changed()
