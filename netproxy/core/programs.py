"""Modules of ours that run as processes of their own, or are looked up by name; a test resolves them all."""

from __future__ import annotations

AGENT = "netproxy.agent.main"
"""`python -m`: one cluster's agent."""
SHIM = "netproxy.kubelet.shim"
"""`python -m`: the parent of a cluster's containers."""
USERSPACE = "netproxy.serve.userspace"
"""`python -m`: copies bytes for userspace mode, on one node."""
NAME_SERVER = "netproxy.nameserver.main:main"
"""`module:function`: what the coredns container becomes."""

MARK = "NETPROXY_MARK"
"""The environment variable of every process of a cluster; its value is the cluster's state folder."""

ALL = (AGENT, SHIM, USERSPACE, NAME_SERVER)
