"""Signs and reads tokens with the cluster's key. The libraries take 90 ms to import: the first token waits for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ALGORITHM = "ES256"
LEEWAY_S = 5


class KeySigner:
    """The key of a cluster's service accounts, as PEM in FILE; it is made when it is not there."""

    def __init__(self, file: Path, now: Callable[[], float]) -> None:
        self._file = file
        self._now = now
        self._loaded: Any = None

    def prepare(self) -> None:
        """Read the key, and the libraries: whoever signs then does not wait."""
        self.sign({})

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JSON web token that says CLAIMS."""
        import jwt

        return jwt.encode(dict(claims), self._key, ALGORITHM, headers={"kid": self.key_id})

    def claims(self, token: str) -> Mapping[str, Any] | None:
        """What a token says; None when it is not one of ours, or its time is over or has not come."""
        import jwt

        try:
            said: dict[str, Any] = jwt.decode(
                token, self._key.public_key(), [ALGORITHM], options={"verify_aud": False, "verify_exp": False,
                                                                     "verify_nbf": False, "verify_iat": False},
            )  # fmt: skip
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):  # whatever somebody has made up
            return None
        begin, end = said.get("nbf", 0), said.get("exp")
        in_time = isinstance(end, int) and begin - LEEWAY_S <= self._now() < end
        return said if in_time else None

    def key_set(self) -> dict[str, Any]:
        """What others check our tokens with (`/openid/v1/jwks`)."""
        from jwt.algorithms import ECAlgorithm

        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{"use": "sig", "kid": self.key_id, "alg": ALGORITHM, **public}]}

    @property
    def key_id(self) -> str:
        """A name of the key, which follows from it."""
        import hashlib

        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()[:32]

    @property
    def _key(self) -> Any:
        if self._loaded is None:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            from netproxy.serve.certificates import new_key

            self._loaded = load_pem_private_key(new_key(self._file), None)
        return self._loaded
