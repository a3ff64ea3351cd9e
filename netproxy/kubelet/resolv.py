"""A Pod's resolv.conf, hosts and host name, as the kubelet writes them.

Source: kubernetes pkg/kubelet/network/dns, pkg/kubelet/kubelet_pods.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from netproxy.core.net import is_address
from netproxy.objects.cluster import ClusterSpec
from netproxy.objects.meta import Object, name, namespace, spec

MAX_NAMESERVERS = 3
MAX_SEARCH = 32
MAX_SEARCH_CHARACTERS = 2048
_COMMENTS = ("#", ";")


def resolv_conf(pod: Object, cluster: ClusterSpec, host: str) -> str:
    """The text for a Pod; HOST is the text of this machine's own resolv.conf."""
    servers, search, options = _parsed(host)
    policy = spec(pod).get("dnsPolicy", "ClusterFirst")
    if policy == "ClusterFirst" and spec(pod).get("hostNetwork"):
        policy = "Default"
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        servers = list(cluster.dns_addresses)
        search = [*cluster_search(namespace(pod), cluster), *search]
        options = ["ndots:5"]
    elif policy == "None":
        servers, search, options = [], [], []
    return render(*_with_config(spec(pod).get("dnsConfig") or {}, servers, search, options))


def cluster_search(in_namespace: str, cluster: ClusterSpec) -> list[str]:
    """The search list of a namespace."""
    zone = cluster.dns_domain
    return [f"{in_namespace}.svc.{zone}", f"svc.{zone}", zone]


def render(servers: list[str], search: list[str], options: list[str]) -> str:
    """Write a resolv.conf, within the kubelet's limits."""
    domains = list(dict.fromkeys(search))[:MAX_SEARCH]
    while len(" ".join(domains)) > MAX_SEARCH_CHARACTERS:
        domains.pop()
    lines = ["search " + " ".join(domains)] if domains else []
    lines += [f"nameserver {server}" for server in list(dict.fromkeys(servers))[:MAX_NAMESERVERS]]
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _parsed(text: str) -> tuple[list[str], list[str], list[str]]:
    """Servers, search list and options. Of several `search` and `domain` lines the last one holds.

    Source: glibc resolv/res_init.c (domain, comments, what is no address); kubernetes pkg/kubelet/network/dns/dns.go,
    parseResolvConf (white space, trailing dots, options).
    """
    servers: list[str] = []
    search: list[str] = []
    options: list[str] = []
    for line in text.split("\n"):
        word, *rest = _words(line) or [""]
        if word == "nameserver":
            servers += [server for server in rest[:1] if is_address(server.partition("%")[0])]
        elif word in ("search", "domain"):
            found = [item.removesuffix(".") for item in rest if item != "."]
            search = found[:1] if word == "domain" else found
        elif word == "options":
            options += rest
    return servers, search, options


def _words(line: str) -> list[str]:
    """The words of a line, up to a comment."""
    words = line.split()
    end = next((at for at, word in enumerate(words) if word.startswith(_COMMENTS)), len(words))
    return [re.split("[#;]", word, maxsplit=1)[0] for word in words[:end]]


def nameservers(text: str) -> list[str]:
    """The servers that a resolv.conf names: addresses, with a scope or without.

    >>> nameservers("\\tnameserver\\t10.0.0.2 # ours\\nnameserver fe80::1%eth0\\n; nameserver 10.0.0.3\\noptions edns0")
    ['10.0.0.2', 'fe80::1%eth0']
    """
    return _parsed(text)[0]


def _with_config(
    config: Mapping[str, Any], servers: list[str], search: list[str], options: list[str]
) -> tuple[list[str], list[str], list[str]]:
    merged = {option.partition(":")[0]: option for option in options}
    for option in config.get("options") or ():
        value = option.get("value")
        merged[option["name"]] = f"{option['name']}:{value}" if value not in (None, "") else option["name"]
    return (
        [*servers, *(config.get("nameservers") or ())],
        [*search, *(config.get("searches") or ())],
        list(merged.values()),
    )


def pod_hostname(pod: Object) -> str:
    """`spec.hostname`, else the Pod's name cut to 63 characters."""
    return str(spec(pod).get("hostname") or name(pod)[:63].rstrip("-."))


def pod_fqdn(pod: Object, cluster: ClusterSpec) -> str:
    """The Pod's own name in DNS, when it has a subdomain; else empty."""
    subdomain = spec(pod).get("subdomain")
    return f"{pod_hostname(pod)}.{subdomain}.{namespace(pod)}.svc.{cluster.dns_domain}" if subdomain else ""


def hosts(pod: Object, ips: tuple[str, ...], cluster: ClusterSpec) -> str:
    """The Pod's /etc/hosts."""
    lines = [
        "# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::\tip6-localnet", "fe00::\tip6-mcastprefix", "fe00::1\tip6-allnodes", "fe00::2\tip6-allrouters",
    ]  # fmt: skip
    names = "\t".join(filter(None, (pod_fqdn(pod, cluster), pod_hostname(pod))))
    lines += [f"{ip}\t{names}" for ip in ips]
    for alias in spec(pod).get("hostAliases") or ():
        lines.append("\t".join((alias["ip"], *(alias.get("hostnames") or ()))))
    return "\n".join(lines) + "\n"
