"""What a real API server answered (tests/cases/api), asked of ours: every step is the same, but for those that are listed.

All cases run at once against one server; cases of Services, which ask for fixed addresses and ports, one after the other.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.replayed import Run, difference, loaded
from support.served import served

CASES = Path(__file__).parents[1] / "cases" / "api"
NAMES = sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())
WORKERS = 12

DIFFERENT = {}
"""Steps that differ on purpose, with why."""


UNFINISHED = frozenset((
    "a-invalid-deployment", "a-invalid-endpointslice", "a-invalid-hpa", "a-invalid-mixed", "a-invalid-namespace-node",
    "a-invalid-pod-containers", "a-invalid-workloads", "a-min-job", "a-rich-daemonset", "a-rich-secret", "c-content-types",
    "c-json-patch", "c-merge-patch", "c-smp-containers", "c-smp-directives", "c-ssa-basic", "c-ssa-migrate-csa",
    "d-table-services", "e-binding", "e-custom-resource", "e-field-validation", "e-immutable-updates",
    "e-scale", "e-self-subject", "e-status-subresource", "f-aggregated", "f-api-root",
))  # fmt: skip
"""Cases of which not all steps are the same yet."""


def _take_turns(name):
    """Whether a case asks for addresses or ports that another one may ask for, too."""
    return "service" in name or name.startswith("b-") or name == "d-table-network"


@pytest.fixture(scope="session")
def answers():
    """The answers of our server to all cases, by case."""
    turns = [name for name in NAMES if _take_turns(name)]
    with served() as socket, ThreadPoolExecutor(WORKERS) as pool:

        def ran(*names):
            return {name: list(Run(socket).answers(loaded(CASES / name / "steps.yaml"))) for name in names}

        watches_first = sorted((name for name in NAMES if name not in turns), key=lambda name: "watch" not in name)
        running = [pool.submit(ran, *turns), *(pool.submit(ran, name) for name in watches_first)]
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


def test_steps_that_differ_do():
    for listed in DIFFERENT:
        name, _, step = listed.partition("/")
        assert step in {answer["id"] for answer in loaded(CASES / name / "answers.yaml")}
