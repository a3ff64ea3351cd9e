"""Whatever stands at whatever place of a manifest: it is rendered, or refused with a place, and never a trace back."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from support.objects import template

from netproxy.cli.render import FAMILIES, Spec
from netproxy.core.errors import NetproxyError
from netproxy.objects.cluster import cluster_spec
from netproxy.objects.kinds import RESOURCES
from netproxy.objects.manifest import Loaded, load, unknown_kind
from netproxy.objects.meta import Object
from netproxy.objects.schema import field_problems
from netproxy.objects.validate import problems
from netproxy.proxy.iptables import compile_iptables
from netproxy.proxy.ipvs import compile_ipvs
from netproxy.proxy.nftables import compile_nftables
from netproxy.registry.unaddressed import with_addresses

ODD = (
    None, 5, -1, 2**63, 1.5, True, "", " ", "x", "²", "a\x00b", "010.0.0.1", "10.0.0.1/31", "0.0.0.0/0", "fd00::1", "None",
    "1e99h", [], [None], [5], ["x"], [[]], ["10.0.0.0/31"], ["fd00::/127"], {}, {"a": 1}, {"a": None},
)  # fmt: skip
COMPILERS = {"iptables": compile_iptables, "nftables": compile_nftables, "ipvs": compile_ipvs}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a tree."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The tree with another value at one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def accepted(objects: list[Any]) -> list[Object]:
    """What the command line takes of the objects. Raises ManifestError."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    loaded: list[Loaded] = load([("x", text)], lambda obj: field_problems(obj)[0] or problems(obj))
    return [item.obj for item in loaded if unknown_kind(item.obj) == (None, None)]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: f"{resource.kind} {resource.version}")
def test_no_value_at_any_place_is_a_trace_back(resource):
    chance = Random(resource.plural)
    right = [
        template(kind)
        for kind in RESOURCES
        if kind.kind in ("Service", "EndpointSlice", "Node", "KubeProxyConfiguration")
    ]
    given = template(resource)
    every = [(place, value) for place in places(given) for value in ODD]
    for place, value in chance.sample(every, min(60, len(every))):
        odd = changed(given, place, value)
        others = [obj for obj in right if obj["kind"] != resource.kind]
        try:
            objects = accepted([odd, *others])
            cluster_spec(objects)
            spec = Spec.of(with_addresses(objects)[0], FAMILIES[chance.choice(sorted(FAMILIES))], node_name="web")
            COMPILERS[chance.choice(sorted(COMPILERS))](spec.snapshot, spec.view)
        except NetproxyError:
            continue
        except Exception as error:
            raise AssertionError(f"{resource.kind}: {place} = {value!r}") from error
