"""kube-proxy's names for chains, and a service port's name as comments have room for it.

Source: kubernetes 1.30 pkg/proxy/iptables/proxier.go, portProtoHash and servicePortEndpointChainName.
"""

from __future__ import annotations

from hashlib import sha256

from netproxy.ruleset.limits import IPTABLES_COMMENT, NFT_COMMENT, cut

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


def short_hash(text: str) -> str:
    """The first 16 characters of the base32 text of SHA-256.

    >>> short_hash("ns1/web:httptcp")
    '4LVCYZMTA5CQO6SX'
    """
    bits = int.from_bytes(sha256(text.encode()).digest()[:10], "big")
    return (
        _PAIRS[bits >> 70] + _PAIRS[bits >> 60 & 1023] + _PAIRS[bits >> 50 & 1023] + _PAIRS[bits >> 40 & 1023]
        + _PAIRS[bits >> 30 & 1023] + _PAIRS[bits >> 20 & 1023] + _PAIRS[bits >> 10 & 1023] + _PAIRS[bits & 1023]
    )  # fmt: skip


def service_hash(name: str, protocol: str) -> str:
    """The part of a service port's chain names behind `KUBE-SVC-`; PROTOCOL in lower case.

    >>> service_hash("ns1/svc1:p80", "tcp")
    'XPGD46QRK7WJZT7O'
    """
    return short_hash(name + protocol)


def endpoint_chain(name: str, protocol: str, target: str) -> str:
    """Name the chain of one endpoint of a service port.

    >>> endpoint_chain("ns1/web:http", "tcp", "10.244.0.5:8080")
    'KUBE-SEP-KUQYPTOKTZAERVSK'
    """
    return "KUBE-SEP-" + short_hash(name + protocol + target)


WORDS_AROUND_A_NAME = 64
"""Room for what an iptables comment says beside a name: at most 56 bytes. Legal names have 191 at most."""


def iptables_about(name: str) -> str:
    """The name of a service port as iptables comments say it: with the words around it they stay whole."""
    return cut(name, IPTABLES_COMMENT - WORDS_AROUND_A_NAME)


def nft_about(name: str) -> str:
    """The name of a service port as an nftables comment has room for it: nft refuses a longer one, and all with it.

    Source: kubernetes 1.37 pkg/proxy/nftables/proxier.go (kube-proxy up to 1.36.2 writes all of it, and fails).
    """
    return cut(name, NFT_COMMENT)


NFT_NAME_LENGTH = 240
"""Longest name of a chain or set behind its prefix: nftables allows 255 characters in all."""


def nft_service(namespace: str, service: str, protocol: str, port_name: str) -> str:
    """Name a service port in nftables, behind `service-`, `external-`, `local-` or `firewall-`.

    >>> nft_service("ns1", "web", "tcp", "http")
    'DK7ABAZC-ns1/web/tcp/http'

    Source: kubernetes pkg/proxy/nftables/proxier.go, servicePortChainNameBase and hashAndTruncate.
    """
    return _hashed(f"{namespace}/{service}/{protocol}/{port_name}")


def nft_endpoint(namespace: str, service: str, protocol: str, port_name: str, address: str, port: int) -> str:
    """Name an endpoint of a service port in nftables, behind `endpoint-` or `affinity-`.

    >>> nft_endpoint("ns1", "web", "tcp", "http", "10.244.0.5", 8080)
    'CDKGID2H-ns1/web/tcp/http__10.244.0.5/8080'
    """
    return _hashed(f"{namespace}/{service}/{protocol}/{port_name}__{address.replace(':', '.')}/{port}")


def _hashed(text: str) -> str:
    bits = int.from_bytes(sha256(text.encode()).digest()[:5], "big")
    name = f"{_PAIRS[bits >> 30]}{_PAIRS[bits >> 20 & 1023]}{_PAIRS[bits >> 10 & 1023]}{_PAIRS[bits & 1023]}-{text}"
    return name if len(name) <= NFT_NAME_LENGTH else name[: NFT_NAME_LENGTH - 3] + "..."
