"""How a process of the command line gets into a container: its namespaces, its control group, its user."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from netproxy.kubelet.spawn import join
from netproxy.linux import libc, privileges

_TOLD = (
    signal.SIGCHLD,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_FROM_A_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)


def visit(pid: int, namespace: str, user: Mapping[str, Any], group: str, env: dict[str, str], cwd: str) -> None:
    """Return as a process inside of the container whose first process is PID; this one waits for it and ends as it does.

    NAMESPACE, USER and GROUP are the container's network, user and control group (an empty text is none); ENV is the new
    process's environment, CWD where it is. Raises KernelError when the container does not run any more.
    """
    privileges.be_unreadable()
    members = -1
    with suppress(OSError):  # none, or of another user
        members = os.open(f"{group}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) if group else -1
    terminal = {"TERM": os.environ["TERM"]} if "TERM" in os.environ and sys.stdin.isatty() else {}
    join(pid, namespace)
    signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
    child = os.fork()
    if child:
        _wait(child)
    if members >= 0:
        with suppress(OSError):
            os.write(members, b"0")
    os.environ.clear()
    os.environ.update(env | terminal)
    os.chdir(cwd if os.path.isdir(cwd) else "/")
    os.closerange(3, 1 << 16)
    privileges.become_user(user)
    libc.die_with_parent()
    for number in _TOLD:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)


def _wait(child: int) -> NoReturn:
    """Hand on what was sent to this process alone (a terminal tells the child itself), until the child has ended."""
    while True:
        told = signal.sigwaitinfo(_TOLD)
        if told.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                _end_like(os.waitstatus_to_exitcode(status))
        elif told.si_signo not in _FROM_A_TERMINAL or told.si_code <= 0:
            with suppress(ProcessLookupError):
                os.kill(child, told.si_signo)


def _end_like(code: int) -> NoReturn:
    if code < 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        with suppress(OSError):  # not to be caught
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)
