"""The file of `verify --flows`: docs/flows.md has one that is read, and what is wrong in one is named."""

import re
from pathlib import Path

import pytest

from netproxy.cli.inspect import verify
from netproxy.core.errors import ManifestError
from netproxy.labkit.flows import RESULTS, Expect, FlowCheck, load_flows

PAGE = (Path(__file__).parents[2] / "docs" / "flows.md").read_text()


def flows_of(text: str | bytes, folder: Path) -> list[FlowCheck]:
    file = folder / "flows.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_flows(file)


def test_the_documented_file_is_read(tmp_path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0]
    first, outside, name, nobody, other = flows_of(example, tmp_path)
    both = ("10.244.0.2:8080", "10.244.1.2:8080")
    assert first == FlowCheck(
        "a Pod calls the Service", "caller", "svc/web", 80, "tcp", Expect("accept", both, masquerade=False)
    )
    assert outside.expect == Expect("accept", masquerade=True)
    assert name.protocol == "udp"
    assert nobody.expected("ipvs") == Expect("reject")
    assert [other.expected(mode).result for mode in ("iptables", "ipvs", "nftables")] == ["pass", "reject", "reject"]


def test_the_example_of_the_help_is_read(tmp_path) -> None:
    text = (verify.help or "").partition("\b\n")[2].partition("\n")[2]
    assert [(flow.source, flow.expect.endpoints) for flow in flows_of(text, tmp_path)] == [
        ("caller", ("10.244.0.2:8080",))
    ]


def test_every_result_is_documented() -> None:
    assert set(re.findall(r"`(\w+)`: ", PAGE)) >= set(RESULTS)


def test_json_is_read_and_what_is_left_out_has_a_default(tmp_path) -> None:
    text = '\ufeff{"flows": [{"from": "a", "to": "b", "port": 1, "expect": {"result": "drop"}, "by_mode": null}]}'
    assert flows_of(text, tmp_path) == [FlowCheck("0", "a", "b", 1, "tcp", Expect("drop"))]


@pytest.mark.parametrize(
    ("flow", "paths"),
    [
        pytest.param("5", [""], id="no object"),
        pytest.param("{}", ["from", "to", "port", "expect"], id="empty"),
        pytest.param("{from: a, to: b, port: 70000, expect: {result: maybe}}", ["port", "expect.result"], id="values"),
        pytest.param("{from: a, to: b, port: true, expect: {result: drop}}", ["port"], id="a port that is a truth"),
        pytest.param("{from: a, to: b, port: 1, proto: SCTP, expect: {result: drop}}", ["proto"], id="protocol"),
        pytest.param("{from: a, to: b, port: 1, expect: accept}", ["expect"], id="an end that is a word"),
        pytest.param("{from: a, to: b, port: 1, expect: {result: accept, endpoints: x, masq: 5}}",
                     ["expect.endpoints", "expect.masq"], id="parts of an end"),
        pytest.param("{from: a, to: b, port: 1, expect: {result: [accept], endpoints: [1]}}",
                     ["expect.result", "expect.endpoints"], id="lists"),
        pytest.param("{from: a, to: b, port: 1, expect: {result: drop}, by_mode: ipvs}", ["by_mode"], id="modes"),
        pytest.param("{from: a, to: b, port: 1, expect: {result: drop}, by_mode: {ip: {result: drop}, ipvs: 1}}",
                     ["by_mode.ip", "by_mode.ipvs"], id="a mode that there is not, and an end that is none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(flow, paths, tmp_path) -> None:
    with pytest.raises(ManifestError) as found:
        flows_of(f"flows: [{flow}]", tmp_path)
    assert [problem.path for problem in found.value.problems] == [f"flows[0].{path}".rstrip(".") for path in paths]


@pytest.mark.parametrize("text", ["", "flows: 5", "[1]", "a: [", b"flows: \xff\xfe"])
def test_what_is_no_such_file_is_refused(text, tmp_path) -> None:
    with pytest.raises(ManifestError):
        flows_of(text, tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(ManifestError, match=r"nothing\.yaml"):
        load_flows(tmp_path / "nothing.yaml")
