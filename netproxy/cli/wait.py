"""What `up` and `apply --wait` do at their end: wait until all is ready, and say what is not, and why."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from typing import Any

import click

from netproxy.cli.client import Agent, on_terminal, progress
from netproxy.objects.messages import WaitAnswer, WaitRequest
from netproxy.objects.meta import describe, namespace, uid


def wait_and_tell(agent: Agent, wait_s: float) -> int:
    """Wait for Pods and rules, then print a line for each that is not as it should be; the exit status."""
    answer = _wait(agent, wait_s)
    for error in answer.errors:
        progress(f"error: {error}")
    events = functools.cache(lambda at: agent.ask("GET", f"/api/v1/namespaces/{at}/events")["items"])
    for pod in answer.not_ready:
        why = _why(pod) or _told(events(namespace(pod)), pod) or "it has not started yet"
        progress(f"error: {describe(pod)} is not ready: {why}")
    return 1 if answer.errors or answer.not_ready else 0


def _wait(agent: Agent, wait_s: float) -> WaitAnswer:
    """On a terminal, say how far it is."""
    end = time.monotonic() + wait_s
    shown = False
    while True:
        left = max(0.0, end - time.monotonic())
        answer = agent.look("wait", WaitRequest(min(left, 0.5) if on_terminal() else left), WaitAnswer)
        if answer.settled or left <= 0:
            break
        shown = True
        click.echo(f"\rwaiting for {len(answer.not_ready)} of the Pods …\033[K", err=True, nl=False)
    if shown:
        click.echo("\r\033[K", err=True, nl=False)
    return answer


def _why(pod: dict[str, Any]) -> str:
    for item in (pod.get("status") or {}).get("containerStatuses") or ():
        state = item.get("state") or {}
        if state.get("waiting"):
            return f"{state['waiting'].get('reason')}: {state['waiting'].get('message', '')}"
        if not item.get("ready"):
            return f"container {item['name']} is not ready"
    conditions = (pod.get("status") or {}).get("conditions") or [{}]
    return str(conditions[0].get("message") or "")


def _told(events: Iterable[dict[str, Any]], pod: dict[str, Any]) -> str:
    """The last warning about a Pod among the EVENTS of its namespace."""
    about = [e for e in events if (e.get("involvedObject") or {}).get("uid") == uid(pod) and e.get("type") == "Warning"]
    last = max(about, key=lambda event: str(event.get("lastTimestamp") or ""), default=None)
    return f"{last['reason']}: {last['message']}" if last else ""
