"""A mistyped word of the command line is answered with the one that is like it."""

import pytest
from click.testing import CliRunner

from netproxy.cli.get import kind_named
from netproxy.cli.main import root
from netproxy.core.errors import ManifestError


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
