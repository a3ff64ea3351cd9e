"""TLS contexts from certificates in memory, made anew when a certificate is another one."""

from __future__ import annotations

import os
import ssl

from netproxy.client.credentials import PemText
from netproxy.client.kubeconfig import Connection
from netproxy.client.transport import Identity
from netproxy.core.errors import ManifestError, Problem


class ClientTls:
    """The TLS context of one connection to an API server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ca = PemText(connection.ca)
        self._made_of: tuple[bytes, bytes, bytes] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self, identity: Identity) -> ssl.SSLContext:
        """The context for who we are now; the same one for as long as nothing has changed.

        Raises ManifestError when certificate, key or authority cannot be used.
        """
        made_of = (self._ca.read(), identity.certificate, identity.key)
        if self._context is None or made_of != self._made_of:
            try:
                self._context, self._made_of = self._fresh(*made_of), made_of
            except (ssl.SSLError, ValueError) as error:
                if self._context is None:  # else somebody is renewing the files, one after the other
                    raise self._unusable(error) from error
        return self._context

    def _fresh(self, ca: bytes, certificate: bytes, key: bytes) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=ca.decode("ascii") if ca else None)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters have authorities without key identifiers
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # whoever is named as authority is one, as in Go
        context.set_alpn_protocols(["http/1.1"])
        if self._connection.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            load_chain(context, certificate, key)
        return context

    def _unusable(self, error: Exception) -> ManifestError:
        what = "certificate-authority, client-certificate or client-key"
        why = f"cannot be used: {error}; certificate and key must belong together, and the key have no passphrase"
        return ManifestError([Problem(what, why, source=self._connection.source)])


def load_chain(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give CONTEXT a certificate (PEM, its chain may follow) and its key. Raises ssl.SSLError.

    `ssl` reads files only; these bytes never touch a disk.
    """
    fd = os.memfd_create("certificate-and-key")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{fd}", password="")
    finally:
        os.close(fd)
