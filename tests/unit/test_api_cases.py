"""What a real API server answered (tests/cases/api*), asked of ours: every step is the same, but for those that are listed.

All cases run at once against one server; cases of Services, which ask for fixed addresses and ports, one after the other. The
cases of writes and of custom resources have a server of their own, so that lists of all namespaces have of each what its recording has.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.replayed import Run, difference, loaded
from support.served import served

CASES = Path(__file__).parents[1] / "cases"
NAMES = sorted(
    f"{base}/{folder.name}"
    for base in ("api", "api-crd", "api-writes")
    for folder in (CASES / base).iterdir()
    if folder.is_dir()
)
WORKERS = 12

_PROTOBUF = "answers are never in protobuf"
_GROUPS = "only groups that have a resource here are served"
_LABELS = "labels that a status write takes away are there again at once, by default"
DIFFERENT = {
    "api/c-content-types/accept-pb": _PROTOBUF,
    "api/c-content-types/accept-pb-json": _PROTOBUF,
    "api/e-self-subject/whoami": "who comes by the Unix socket shows no certificate",
    "api/f-aggregated/apis": _GROUPS,
    "api/f-api-root/apis-post": _GROUPS,
    "api-writes/errors/s18": "a method that HTTP does not know is refused before it is a request",
    "api-writes/status/jobs-main": _LABELS,
    "api-writes/status/jobs-get": _LABELS,
    "api-writes/status/replicationcontrollers-main": _LABELS,
    "api-writes/status/replicationcontrollers-get": _LABELS,
}
"""Steps that differ on purpose, with why (docs/api.md)."""


UNFINISHED: frozenset[str] = frozenset()
"""Cases of which not all steps are the same yet."""


def _take_turns(name):
    """Whether a case asks for addresses or ports that another one may ask for, too."""
    return "service" in name or name.startswith("api/b-") or name == "api/d-table-network"


@pytest.fixture(scope="session")
def answers():
    """The answers of our server to all cases, by case."""
    writes = [name for name in NAMES if name.startswith(("api-crd/", "api-writes/"))]
    turns = [name for name in NAMES if _take_turns(name) and name not in writes]
    at_once = sorted((name for name in NAMES if name not in (*turns, *writes)), key=lambda name: "watch" not in name)
    with served() as socket, served() as other, ThreadPoolExecutor(WORKERS) as pool:

        def ran(server, *names):
            return {name: list(Run(server).answers(loaded(CASES / name / "steps.yaml"))) for name in names}

        running = [pool.submit(ran, other, *writes), pool.submit(ran, socket, *turns)]
        running += [pool.submit(ran, socket, name) for name in at_once]
        return {name: found for each in running for name, found in each.result().items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_answers_are_those_of_a_real_api_server(name, answers):
    wanted, got = loaded(CASES / name / "answers.yaml"), {answer["id"]: answer for answer in answers[name]}
    wrong = {}
    for step in wanted:
        found = difference(step, got.get(step["id"], {}))
        if found and f"{name}/{step['id']}" not in DIFFERENT:
            wrong[step["id"]] = found
    if wrong and name in UNFINISHED:
        pytest.xfail(f"{len(wrong)} steps: {str(wrong)[:100]}")
    assert not wrong


def test_steps_that_differ_do(answers):
    for listed in DIFFERENT:
        name, _, step = listed.rpartition("/")
        (wanted,) = (answer for answer in loaded(CASES / name / "answers.yaml") if answer["id"] == step)
        (got,) = (answer for answer in answers[name] if answer["id"] == step)
        assert difference(wanted, got), listed
