"""What the tools of iptables need of us."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from support.cluster import wait_until

from netproxy.core.net import Family
from netproxy.linux.iptables import IptablesKernel

CHAINS = [f"KUBE-{number}" for number in range(5000)]


def children() -> Iterator[Path]:
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            yield Path("/proc") / pid


def status(process: Path, field: str) -> str:
    lines = (process / "status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(field + ":"))


def holds(process: Path, file: Path) -> bool:
    return str(file) in [os.readlink(fd) for fd in (process / "fd").iterdir()]


def test_a_restore_that_has_to_wait_for_its_text_is_not_ended_by_an_alarm(namespace: str, tmp_path: Path) -> None:
    lock = tmp_path / "xtables.lock"
    kernel = IptablesKernel(namespace, Family.IPV4, flavour="legacy", lock_file=str(lock))
    caught = []

    def parts() -> Iterator[str]:
        yield "*nat\n" + "".join(f":{name} - [0:0]\n" for name in CHAINS)
        (restore,) = wait_until(lambda: [process for process in children() if holds(process, lock)])
        wait_until(lambda: status(restore, "State") == "S")
        caught.append(int(status(restore, "SigCgt"), 16))
        yield "COMMIT\n"

    kernel._restore(parts())
    assert set(CHAINS) < set(kernel.read().tables["nat"].chains)
    assert not caught[0] & 1 << signal.SIGALRM - 1
