"""A mistyped word of the command line is answered with the one that is like it."""

import pytest
from click.testing import CliRunner

from netproxy.cli.get import kind_named
from netproxy.cli.main import root
from netproxy.core.errors import ManifestError
from netproxy.labkit.shelf import found


@pytest.mark.parametrize(("word", "meant"), [("pdos", "pods"), ("Servcies", "services"), ("deploymnet", "deployment")])
def test_a_resource_that_is_meant(word, meant):
    with pytest.raises(ManifestError, match=f'did you mean "{meant}"'):
        kind_named(word)


def test_a_resource_that_is_like_none_names_each_once():
    with pytest.raises(ManifestError) as refused:
        kind_named("xyzzy")
    listed = str(refused.value).partition("there are ")[2].rstrip(")").split(", ")
    assert "did you mean" not in str(refused.value)
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(("word", "said"), [("gte", "Did you mean 'get'?"), ("xyzzy", "No such command 'xyzzy'.\n")])
def test_a_command_that_is_meant(word, said):
    done = CliRunner().invoke(root, [word])
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mode", "nftabels"], "Did you mean 'nftables'?"),
        (["mode", "IPTables"], "Did you mean 'iptables'?"),
        (["mode", "--diff", "ipvs", "iptabels@1.30"], "Did you mean 'iptables'?"),
        (["mode", "--layout", "flta"], "Did you mean 'flat'?"),
        (["render", "--mode", "ivps"], "Did you mean 'ipvs'?"),
        (["get", "pods", "-o", "yml"], "Did you mean 'yaml'?"),
        (["lab", "up", "--variant", "brokn", "1"], "Did you mean 'broken'?"),
        (["mode", "xyzzy"], "'userspace'.\n"),
    ],
)
def test_a_choice_that_is_meant(words, said):
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("clsterip", '(did you mean "01-clusterip"? there are 01-clusterip, 02-'),
        ("06-nftabels", 'did you mean "06-nftables"?'),
        ("xyzzy", "(there are 01-clusterip, "),
    ],
)
def test_a_lab_that_is_meant(word, said):
    with pytest.raises(ManifestError) as refused:
        found(word)
    assert said in str(refused.value)


def test_a_cluster_that_cannot_be_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("NETPROXY_STATE", str(tmp_path))
    for name in ("TYPO", "../default", "typo", ""):
        done = CliRunner().invoke(root, ["down", "--cluster", name])
        assert str(done.exception) == f"there is no cluster {name}; there is none"


def test_nothing_to_apply_or_to_name_is_said(tmp_path):
    done = CliRunner().invoke(root, ["apply", "-f", "-"], input="# nothing\n")
    assert "no objects passed to apply" in str(done.exception)
    done = CliRunner().invoke(
        root, ["delete", "-f", "-"], input="{apiVersion: v1, kind: ConfigMap, metadata: {generateName: a-}}"
    )
    assert "metadata.name: Required value" in str(done.exception)
