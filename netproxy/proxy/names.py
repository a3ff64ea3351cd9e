"""kube-proxy's names for chains.

Source: kubernetes 1.30 pkg/proxy/iptables/proxier.go, portProtoHash and servicePortEndpointChainName.
"""

from __future__ import annotations

from hashlib import sha256

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
