"""What is refused and warned of: what a real kube-apiserver 1.36.2 answered when one thing of an object was another."""

import copy
import json
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from support.api import Client, a_registry

from netproxy.apiserver.request import Request

CASES = Path(__file__).parents[1] / "cases" / "refusals"
BASES = yaml.safe_load((CASES / "bases.yaml").read_text())
ANSWERS = json.loads((CASES / "answers.json").read_text())


def with_change(obj, answer):
    """The object with another value at one place, or without what was there."""
    obj = copy.deepcopy(obj)
    *way, last = answer["at"] or [None]
    if last is None:
        return obj
    here = obj
    for step in way:
        here = here[step]
    if "to" in answer:
        here[last] = answer["to"]
    else:
        del here[last]
    return obj


def asked(ask, method, path, body):
    answer = ask.api.handle(Request(method, path, {}, json.dumps(body).encode()))
    said = json.loads(answer.body)
    causes = [
        [cause["field"], cause["message"], cause["reason"]] for cause in (said.get("details") or {}).get("causes", ())
    ]
    return answer.status, causes, [value for name, value in answer.headers if name == "Warning"]


@pytest.mark.parametrize("number", range(len(BASES)), ids=lambda number: f"{number}-{BASES[number]['obj']['kind']}")
def test_refusals_are_those_of_a_real_api_server(number):
    base, ask = BASES[number], Client(a_registry(ipFamilies=["IPv4", "IPv6"]))
    for namespace in ("fz", "fz2"):
        ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    for index, answer in enumerate(answer for answer in ANSWERS if answer["base"] == number):
        name = base.get("name", "mN").replace("N", str(index))
        obj = {**base["obj"], "metadata": {**base["obj"]["metadata"], "name": name}}
        path = base["path"]
        if answer["method"] == "PUT":
            assert asked(ask, "POST", path, obj)[0] == 201
            path += f"/{quote(name, safe='')}"
        found = asked(ask, answer["method"], path, with_change(obj, answer))
        wanted = (answer["status"], answer["causes"], answer.get("warnings", []))
        assert found == wanted, answer
