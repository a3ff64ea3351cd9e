"""Workloads, and what they are made of: what a real kube-apiserver 1.36.2 answered to odd ones, and to changes of them."""

import json
import re
from pathlib import Path

import pytest
from support.api import Client, a_registry

from netproxy.apiserver.request import Request

TEXT = (Path(__file__).parents[1] / "cases" / "refusals" / "workloads.json").read_text()
STEPS = json.loads(TEXT.replace("<zeros>", "0," * 40_000))
"""In order, by collection: what is kept is there for the steps after it; all others are only tried."""

COLLECTIONS = list(dict.fromkeys(step["at"].partition("/")[0] for step in STEPS))
ROOTS = {
    "pods": "/api/v1", "podtemplates": "/api/v1", "replicationcontrollers": "/api/v1", "persistentvolumeclaims": "/api/v1",
    "jobs": "/apis/batch/v1", "cronjobs": "/apis/batch/v1", "leases": "/apis/coordination.k8s.io/v1",
    "horizontalpodautoscalers": "/apis/autoscaling/v2",
}  # fmt: skip
TYPES = {"PATCH": "application/strategic-merge-patch+json"}
OWN = re.compile("uid-[0-9]{5}")
NOW = "2026-01-01T00:00:00Z"


def answered(ask, step):
    """The answer as it is recorded: what is filled in, or what is wrong, and what is warned of."""
    collection = step["at"].partition("/")[0]
    path = f"{ROOTS.get(collection, '/apis/apps/v1')}/namespaces/fz/{step['at']}"
    query = {} if "keep" in step else {"dryRun": "All"}
    body = json.dumps(step["body"]).encode()
    answer = ask.api.handle(Request(step["method"], path, query, body, TYPES.get(step["method"], "application/json")))
    said = json.loads(OWN.sub("<uid>", answer.body.decode()).replace(NOW, "<time>"))
    causes = [[c.get("field"), c["message"], c.get("reason")] for c in (said.get("details") or {}).get("causes", ())]
    found = {
        "answer": {field: value for field, value in said.items() if field not in ("kind", "apiVersion", "metadata")},
        "causes": causes,
        "message": said.get("message"),
        "warnings": [value for name, value in answer.headers if name == "Warning"],
    }
    return {"status": answer.status, **{field: found[field] for field in step.keys() & found.keys()}}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_workloads_are_answered_as_by_a_real_api_server(collection):
    ask = Client(a_registry(ipFamilies=["IPv4", "IPv6"]))
    ask("POST", "/api/v1/namespaces", {"metadata": {"name": "fz"}})
    steps = [step for step in STEPS if step["at"].partition("/")[0] == collection]
    found = [{**step, **answered(ask, step)} for step in steps]
    assert [pair for pair in zip(found, steps, strict=True) if pair[0] != pair[1]] == []
