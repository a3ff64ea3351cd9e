"""Patches: JSON, merge, strategic."""

import pytest

from netproxy.core.errors import ManifestError
from netproxy.registry.patch import json_patch, merge, strategic


def test_patches():
    assert merge({"a": {"b": 1}}, {"a": {"c": None, "d": 2}}) == {"a": {"b": 1, "d": 2}}
    target = {
        "containers": [{"name": "a", "ports": [{"containerPort": 1}]}, {"name": "b"}],
        "ports": [{"port": 1, "name": "x"}],
    }
    patch = {"containers": [{"name": "a", "ports": [{"containerPort": 2}]}, {"name": "b", "$patch": "delete"}, {"name": "c"}],
             "ports": [{"port": 1, "name": "y"}], "$setElementOrder/ports": []}  # fmt: skip
    assert strategic(target, patch) == {
        "containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}, {"name": "c"}], "ports": [{"port": 1, "name": "y"}],
    }  # fmt: skip
    assert strategic({"a": {"b": 1}, "l": [1]}, {"a": {"$patch": "replace", "c": 2}, "l": [2], "x": None}) == {
        "a": {"c": 2},
        "l": [2],
    }
    operations = [
        {"op": "test", "path": "/a", "value": 1}, {"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/l/0", "value": 0},
        {"op": "replace", "path": "/l/1", "value": 9}, {"op": "remove", "path": "/l/2"}, {"op": "copy", "from": "/a", "path": "/m~1n"},
        {"op": "move", "from": "/a", "path": "/d/e"}, {"op": "remove", "path": "/d/x"}, {"op": "replace", "path": "/o/0/p", "value": 2},
        {"op": "remove", "path": "/o/0/q"},
    ]  # fmt: skip
    start = {"a": 1, "l": [1, 2], "d": {"x": 1}, "o": [{"p": 1, "q": 1}]}
    assert json_patch(start, operations) == {"l": [0, 9, 3], "d": {"e": 1}, "m/n": 1, "o": [{"p": 2}]}
    assert json_patch({}, [{"op": "add", "path": "", "value": 7}]) == 7
    for bad in (
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/zz"}],
        [{"op": "fly", "path": "/a"}],
    ):
        with pytest.raises(ManifestError):
            json_patch({"a": 1}, bad)
