"""What is refused and warned of: what a real kube-apiserver 1.36.2 answered when one thing of an object was another."""

import copy
import json
import re
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
        [cause.get("field"), cause["message"], cause.get("reason")]
        for cause in (said.get("details") or {}).get("causes", ())
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


OBJECTS = json.loads((CASES / "objects.json").read_text())

LENGTHS = re.compile('"(BIG|LONG)([0-9]+)"')
"""How long values are written in objects.json: so many letters, with a prefix or without one."""

GROWN = {
    '"XLONG"': json.dumps("X" * 300),
    '"B64BIG"': json.dumps("QUFB" * 400_000),
    '"LABEL70"': json.dumps("a" * 70 + ".b"),
    '"MANY101"': json.dumps([f"1.2.3.{number}" for number in range(101)]),
    '"KEYS513"': json.dumps({f"k{number}": "v" for number in range(513)}),
    '"NS1"': '"nsone1"',
    '"NS2"': '"nsone2"',
}


def grown(obj, index):
    text = LENGTHS.sub(
        lambda found: json.dumps(("a.b/" if found[1] == "LONG" else "") + "x" * int(found[2])), json.dumps(obj)
    )
    for short, long in {**GROWN, '"N"': f'"x{index}"'}.items():
        text = text.replace(short, long)
    return json.loads(text)


@pytest.mark.parametrize("index", range(len(OBJECTS)), ids=lambda index: f"{index}-{OBJECTS[index]['obj']['kind']}")
def test_whole_objects_are_refused_in_the_same_words(index):
    row, ask = OBJECTS[index], Client(a_registry(ipFamilies=["IPv4", "IPv6"]))
    for namespace in ("fz", "fz2"):
        ask("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    obj, path, method = grown(row["obj"], index), row["path"], "POST"
    if "old" in row:
        _, made = ask("POST", path, grown(row["old"], index))
        if "ver" in row:
            obj["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
        path, method = f"{path}/{quote(obj['metadata']['name'], safe='')}", "PUT"
        path += f"/{row['sub']}" if "sub" in row else ""
    found = asked(ask, method, path, obj)
    assert found == (row["status"], row["causes"], row["warnings"])


RUN = re.compile(r"~(.)\*([0-9]+)~")
"""How one letter many times is written in pods.json."""

PODS = json.loads(RUN.sub(lambda found: found[1] * int(found[2]), (CASES / "pods.json").read_text()))

PLACES = {
    "Pod": ("v1", "/api/v1/namespaces/fz2/pods"),
    "PodTemplate": ("v1", "/api/v1/namespaces/fz2/podtemplates"),
    "Job": ("batch/v1", "/apis/batch/v1/namespaces/fz2/jobs"),
}


@pytest.mark.parametrize("index", range(len(PODS)), ids=lambda index: f"{index}-{PODS[index]['kind']}")
def test_pods_are_refused_in_the_same_words(index):
    row, ask = PODS[index], Client(a_registry(ipFamilies=["IPv4", "IPv6"]))
    ask("POST", "/api/v1/namespaces", {"metadata": {"name": "fz2"}})
    version, path = PLACES[row["kind"]]
    answers = []
    for how, given in row["steps"]:
        method, *sub = how.split()
        obj = {
            "apiVersion": version,
            "kind": row["kind"],
            **given,
            "metadata": {"name": "x", **given.get("metadata", {})},
        }
        answers.append(asked(ask, method, "/".join([path, *["x"][: method == "PUT"], *sub]), obj))
    *made, last = answers
    assert all(status < 300 for status, _, _ in made)
    assert last == (row["status"], row.get("causes", []), row.get("warnings", []))
