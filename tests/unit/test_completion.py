"""What the shell is offered, by the protocol that bash, zsh and fish speak. No cluster runs."""

import os
import subprocess
import sys

import pytest
from support.cluster import REPO

from netproxy.cli.main import main


@pytest.fixture
def offered(monkeypatch, capfd):
    """What is offered for word AT of a command line; in zsh three lines an item, in bash and fish one."""
    monkeypatch.chdir(REPO)
    monkeypatch.setenv("NETPROXY_STATE", "/nowhere")

    def ask(words: str, at: int, *, shell: str = "bash") -> list[str]:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", words.split(" ")[at] if shell == "fish" else str(at))
        monkeypatch.setenv("_NETPROXY_COMPLETE", f"{shell}_complete")
        with pytest.raises(SystemExit) as ended:
            main([])
        found, complaint = capfd.readouterr()
        assert (ended.value.code in (0, 1), complaint) == (True, "")
        return found.splitlines() if found.strip() else []  # click says nothing by an empty line

    return ask


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
def test_what_is_offered_without_a_cluster(offered, words, wanted, shell):
    lines = offered(words, words.count(" "), shell=shell)
    assert [line.partition(",")[2].partition("\t")[0] for line in lines] == wanted


@pytest.mark.parametrize(
    "words", ["netproxy up -f ", "netproxy render ", "netproxy capture -o ", "netproxy verify --flows "]
)
def test_files_are_the_shells_own(offered, words):
    assert offered(words, words.count(" ")) == ["file,"]
    assert offered(words, words.count(" "), shell="zsh") == ["file", "", "_"]
