"""The folder of state is this user's alone, or nothing is kept in it."""

import os
from pathlib import Path

import pytest

from netproxy.agent.paths import check_private
from netproxy.cli.options import checked_paths
from netproxy.core.errors import KernelError


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o702, 0o720])
def test_a_folder_that_others_can_write_is_refused(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(KernelError, match=f"{tmp_path} can be written by others: chmod go-w {tmp_path}"):
        check_private(tmp_path)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750])
def test_a_folder_that_only_its_owner_can_write_is_good(tmp_path, mode):
    tmp_path.chmod(mode)
    check_private(tmp_path)


def test_a_folder_that_is_not_there_yet_is_made_by_whoever_needs_it(tmp_path):
    check_private(tmp_path / "none")


def test_what_is_no_folder_is_told_by_whoever_needs_one(tmp_path):
    (tmp_path / "file").touch(mode=0o666)
    check_private(tmp_path / "file")


def test_a_folder_of_another_user_is_refused(tmp_path):
    foreign = Path("/proc/1") if os.geteuid() else tmp_path
    if os.geteuid() == 0:
        os.chown(tmp_path, 4711, -1)
    with pytest.raises(KernelError, match="belongs to another user"):
        check_private(foreign)


@pytest.mark.parametrize("where", [".", "shop"])
def test_every_command_looks_at_the_folder_of_all_clusters_and_at_the_clusters_own(tmp_path, monkeypatch, where):
    monkeypatch.setenv("NETPROXY_STATE", str(tmp_path))
    (tmp_path / "shop").mkdir()
    assert checked_paths("shop").state == tmp_path / "shop"
    (tmp_path / where).chmod(0o777)
    with pytest.raises(KernelError, match="can be written by others"):
        checked_paths("shop")
