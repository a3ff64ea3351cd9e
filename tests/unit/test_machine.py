"""What a machine tells of itself, and what it does not."""

from netproxy.linux.machine import this_machine


def test_a_machine_tells_what_it_is(tmp_path):
    for file, text in {
        "proc/meminfo": "MemTotal:       2048 kB\nMemFree: 1 kB\n",
        "etc/os-release": "NAME=x\nPRETTY_NAME='Some Linux 1'\n",
        "etc/machine-id": "abc\n",
        "proc/sys/kernel/random/boot_id": "b-1\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    found = this_machine(tmp_path)
    assert (found.memory_kib, found.system, found.machine_id, found.boot_id) == (2048, "Some Linux 1", "abc", "b-1")
    assert found.cpus >= 1


def test_what_it_does_not_tell_is_empty(tmp_path):
    found = this_machine(tmp_path)
    assert (found.memory_kib, found.system, found.machine_id, found.boot_id) == (0, "Linux", "", "")
    assert found.kernel
    assert this_machine().memory_kib > 0
