"""An authority of the cluster's own, the certificates that it vouches for, and a kubeconfig with them.

`cryptography` takes 70 ms to import: only what makes certificates does.
"""

from __future__ import annotations

import ipaddress
import json
import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netproxy.core import user
from netproxy.core.net import join_host_port

if TYPE_CHECKING:
    from cryptography import x509

DAYS = 3650
"""How long certificates are good: a cluster on one machine does not live as long."""

BACKDATED = timedelta(hours=1)
"""Clocks of clients may be slow."""

LOCAL = ("127.0.0.1", "::1", "localhost")
ADMIN, ADMINS = user.ADMIN.name, user.MASTERS
"""The name and the group of whose cluster it is, in a certificate."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a cluster needs to serve HTTPS: the authority, the server's pair, the admin's."""

    authority: Pair
    server: Pair
    admin: Pair


def certificates(folder: Path, hosts: Sequence[str], *, now: float) -> Certificates:
    """The certificates that FOLDER keeps; what is not there yet is made, and written (mode 0600) before it is used.

    The server's is made anew when it does not vouch for all of HOSTS (addresses and names) and LOCAL.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = tuple(dict.fromkeys((*LOCAL, *hosts)))
    authority = _kept(folder, "ca") or _keep(folder, "ca", make_authority("netproxy", now=now))
    server = _kept(folder, "server")
    if server is None or not set(wanted) <= set(_vouched(folder)):
        server = _keep(folder, "server", issue(authority, "netproxy", now=now, hosts=wanted))
        write_private(folder / "server.hosts", json.dumps(wanted).encode())
    admin = _kept(folder, "admin") or _keep(folder, "admin", issue(authority, ADMIN, now=now, organization=ADMINS))
    return Certificates(authority, server, admin)


def new_key(file: Path) -> bytes:
    """The private key that FILE keeps, as PEM; it is made, and written (mode 0600), when it is not there."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        from cryptography.hazmat.primitives.asymmetric import ec

        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(file, _pem(ec.generate_private_key(ec.SECP256R1())))
        return file.read_bytes()


def _vouched(folder: Path) -> list[str]:
    """What the server's certificate vouches for, as it was written down: to read it would be to import a lot."""
    try:
        return list(json.loads((folder / "server.hosts").read_text()))
    except (FileNotFoundError, ValueError):
        return []


def _kept(folder: Path, name: str) -> Pair | None:
    try:
        return Pair((folder / f"{name}.crt").read_bytes(), (folder / f"{name}.key").read_bytes())
    except FileNotFoundError:
        return None


def _keep(folder: Path, name: str, pair: Pair) -> Pair:
    write_private(folder / f"{name}.key", pair.key)
    write_private(folder / f"{name}.crt", pair.certificate)
    return pair


def write_private(path: Path, data: bytes) -> None:
    """Put a file in its place at once, readable by its owner only from the first byte on."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    fresh.replace(path)


# --- certificates ----------------------------------------------------------------------------------------------------


def make_authority(name: str, *, now: float) -> Pair:
    """A new authority: it vouches for itself, and may vouch for others."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    builder = _builder(subject, subject, key.public_key(), now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _pair(builder, key, key)


def issue(
    authority: Pair, name: str, *, now: float, organization: str = "", hosts: Sequence[str] = (), days: int = DAYS
) -> Pair:
    """A certificate that AUTHORITY vouches for: a server's when there are HOSTS (addresses and names), else a client's.

    A client is known by NAME as user and ORGANIZATION as group.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = load_pem_private_key(authority.key, None)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name, organization), issuer.subject, key.public_key(), now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(), critical=True)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]  # it is EC
    builder = builder.add_extension(of_issuer, critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
    return _pair(builder, key, issuer_key)


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, now: float, days: int = DAYS) -> x509.CertificateBuilder:
    from cryptography import x509

    moment = datetime.fromtimestamp(now, UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(moment - BACKDATED).not_valid_after(moment + timedelta(days=days))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _name(name: str, organization: str = "") -> x509.Name:
    from cryptography import x509

    parts = [(x509.NameOID.ORGANIZATION_NAME, organization), (x509.NameOID.COMMON_NAME, name)]
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts if value])


def _general(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool = False) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _pair(builder: x509.CertificateBuilder, key: Any, issuer_key: Any) -> Pair:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Pair(certificate, _pem(key))


def _pem(key: Any) -> bytes:
    """A private key as text."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


# --- a way in


def kubeconfig_text(host: str, port: int, authority: Pair, client: Pair, *, name: str = "netproxy") -> str:
    """A kubeconfig for the API at this address, as the user of a client's pair; everything is in it, no other file.

    All in it has one NAME, so that those of several clusters can be used together.
    """

    def data(pem: bytes) -> str:
        return b64encode(pem).decode()

    import yaml

    cluster = {
        "server": f"https://{join_host_port(host, port)}",
        "certificate-authority-data": data(authority.certificate),
    }
    user = {"client-certificate-data": data(client.certificate), "client-key-data": data(client.key)}
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": name, "cluster": cluster}], "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }, sort_keys=False)  # fmt: skip
