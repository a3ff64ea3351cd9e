"""A node's proxies over the real kernel, fed with a case's objects."""

import os
import subprocess

from netproxy.core.net import Family
from netproxy.linux.command import run
from netproxy.linux.host import KernelHost
from netproxy.linux.nftables import Generations
from netproxy.nodeproxy.choice import Choice
from netproxy.nodeproxy.family import FamilyProxy
from support.cases import Case, canonical

SAVE = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}


class Node:
    """A node's two proxies over the real kernel, fed with objects by hand."""

    def __init__(
        self, case: Case, namespace: str, flavour: str = "nft", *, mode: str = "iptables", layout: str = "kube-proxy"
    ) -> None:
        self.namespace, self.flavour, self.case = namespace, flavour, case
        self.objects = {
            (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in case.objects()
        }
        self.node = next(o for o in self.objects.values() if o["kind"] == "Node")
        generations = Generations(namespace)
        hosts = [KernelHost(namespace, family, generations=generations, flavour=flavour) for family in Family]
        self.proxies = [
            FamilyProxy(
                self.node,
                case.config(),
                host,
                choice=Choice(mode, layout, case.version),
                addresses=tuple(case.addresses()),
            )
            for host in hosts
        ]
        for obj in self.objects.values():
            self.feed(obj)

    @property
    def counts(self) -> bool:
        """Whether this machine's kernel has nfacct."""
        return not self.proxies[0].host.why_not_counted()

    def switch(self, mode: str, layout: str = "kube-proxy") -> None:
        """Into another mode; the next sync does it."""
        for proxy in self.proxies:
            proxy.reconfigure(self.node, self.case.config(), Choice(mode, layout, self.case.version))

    def become(self, node: dict) -> None:
        """The Node is another one now."""
        self.node = node
        for proxy in self.proxies:
            proxy.reconfigure(node, self.case.config(), proxy.choice)

    def close(self) -> None:
        for proxy in self.proxies:
            proxy.close()

    def feed(self, obj: dict, old: dict | None = None, *, deleted: bool = False) -> None:
        for proxy in self.proxies:
            proxy.observe(obj, old=old, deleted=deleted)

    def step(self, step: dict) -> bool:
        """Apply one step of change.yaml; true when the kernel was changed behind our back."""
        for obj in step.get("apply", ()):
            key = (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            if obj["kind"] == "Node":
                self.become(obj)
            self.feed(obj, self.objects.get(key))
            self.objects[key] = obj
        for path in step.get("delete", ()):
            plural, at, name = path.split("/")
            kind = {"services": "Service", "endpointslices": "EndpointSlice"}[plural]
            self.feed(self.objects.pop((kind, at, name)), deleted=True)
        for command in step.get("exec", ()):
            for program in SAVE.values():
                env = {**os.environ, "KP_IPT": f"{program}-{self.flavour}"}
                subprocess.run(["ip", "netns", "exec", self.namespace, "sh", "-c", command], env=env, check=True)
        return bool(step.get("exec"))

    def sync(self, *, check: bool = False) -> int:
        """One pass of both families; how much it changed."""
        return sum(proxy.sync(check=check).changed for proxy in self.proxies)

    def saved(self, family: Family) -> str:
        return canonical(run([f"{SAVE[family]}-{self.flavour}-save"], namespace=self.namespace))
