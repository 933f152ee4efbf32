"""A public key that verifies tokens. Imported only where one is configured: cryptography takes 6 MB."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from statushub.hub.auth import jwks
from statushub.hub.auth.keys import Key
from statushub.hub.model.errors import ConfigError
from statushub.hub.settings import SETTINGS

PEM_BYTES: Final = 64 * 1024
"""Largest file of a public key that is read: an RSA key of 16,384 bits has 3 KB."""

OTHER_PEM: Final = {
    b"PRIVATE KEY-----": "a private key; `openssl pkey -in FILE -pubout` prints its public key",
    b"-----BEGIN CERTIFICATE-----": "a certificate; `openssl x509 -in FILE -pubkey -noout` prints its public key",
}
"""What a file may hold instead of a public key, and what to do about it."""


class PublicKey:
    """One public key in a PEM file: RS256, ES256 or EdDSA, as the key is."""

    def __init__(self, path: str) -> None:
        """`path` is that of the PEM file. Raises `ConfigError` where it holds no such key."""
        label = f"{SETTINGS['public_key'].label}: {path!r}"
        pem = _read(path, label)
        other = next((what for mark, what in OTHER_PEM.items() if mark in pem), None)
        if other is not None or len(pem) > PEM_BYTES:
            raise ConfigError(f"{label} holds {other or 'no public key'}", field="public_key")
        try:
            self._key = load_pem_public_key(pem)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            # Without the cause, which is a paragraph about formats.
            raise ConfigError(
                f"{label} holds no public key in PEM, or one of no known kind", field="public_key"
            ) from None
        algorithm = jwks.algorithm_of(self._key)
        if algorithm is None:
            raise ConfigError(
                f"{label} holds a key that is not RSA of at least {jwks.RSA_BITS} bits, P-256 or Ed25519",
                field="public_key",
            )
        self.algorithms = frozenset({algorithm})

    async def find(self, algorithm: str, key_id: str | None) -> Any:
        return self._key


def _read(path: str, label: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(PEM_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{label} cannot be read: {reason}", field="public_key") from error


_fits: type[Key] = PublicKey
