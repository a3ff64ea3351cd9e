"""What the shell is offered, by the protocol that bash, zsh and fish speak. No cluster runs."""

import os
import subprocess
import sys

import pytest
from support.cluster import REPO


def offered(words: str, at: int, *, shell: str = "bash", env: dict[str, str] | None = None) -> list[str]:
    """What is offered for word AT of a command line; in zsh three lines an item, in bash and fish one."""
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(at), "_NETPROXY_COMPLETE": f"{shell}_complete"}
    if shell == "fish":
        asked["COMP_CWORD"] = words.split(" ")[at]
    done = subprocess.run(
        [sys.executable, "-m", "netproxy"], capture_output=True, text=True, cwd=REPO,
        env={**os.environ, "NETPROXY_STATE": "/nowhere", **asked, **(env or {})},
    )  # fmt: skip
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
    return done.stdout.splitlines() if done.stdout.strip() else []  # click says nothing by an empty line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_the_script_that_switches_it_on(shell):
    env = {**os.environ, "_NETPROXY_COMPLETE": f"{shell}_source"}
    done = subprocess.run([sys.executable, "-m", "netproxy"], env=env, capture_output=True, text=True, cwd=REPO)
    assert f"_NETPROXY_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param("netproxy sta", ["status"], id="commands"),
        pytest.param("netproxy lab r", ["reset"], id="commands of lab"),
        pytest.param("netproxy verify --fl", ["--flows"], id="options"),
        pytest.param("netproxy mode nf", ["nftables"], id="modes"),
        pytest.param("netproxy mode --diff iptables us", ["userspace"], id="the second of two modes"),
        pytest.param("netproxy render --mode ip", ["iptables", "ipvs"], id="modes of render"),
        pytest.param("netproxy lab up 03", ["03-headless-dns"], id="labs by number"),
        pytest.param("netproxy lab check four", ["four-modes"], id="labs by name"),
        pytest.param("netproxy lab up 1 --variant so", ["solution"], id="variants"),
        pytest.param("netproxy get endpoints", ["endpoints", "endpointslices"], id="kinds"),
        pytest.param("netproxy get pods,svc,depl", ["pods,svc,deploy", "pods,svc,deployments"], id="several kinds"),
        pytest.param("netproxy get pods ", [], id="no cluster, no Pods"),
        pytest.param("netproxy get nonsense ", [], id="no kind, no names"),
        pytest.param("netproxy delete pod/", [], id="no cluster, no Pods behind their kind"),
        pytest.param("netproxy exec ", [], id="no machines"),
        pytest.param("netproxy exec --cluster NOT_A_NAME ", [], id="no name of a cluster"),
        pytest.param("netproxy lab exec nonsense ", [], id="no lab"),
        pytest.param("netproxy rules --node ", [], id="no nodes"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_what_is_offered_without_a_cluster(words, wanted, shell):
    lines = offered(words, words.count(" "), shell=shell)
    assert [line.partition(",")[2].partition("\t")[0] for line in lines] == wanted


@pytest.mark.parametrize(
    "words", ["netproxy up -f ", "netproxy render ", "netproxy capture -o ", "netproxy verify --flows "]
)
def test_files_are_the_shells_own(words):
    assert offered(words, words.count(" ")) == ["file,"]
    assert offered(words, words.count(" "), shell="zsh") == ["file", "", "_"]
