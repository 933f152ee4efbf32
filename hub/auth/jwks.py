"""JSON Web Key Sets (RFC 7517): the keys of a document that can verify tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

RSA_BITS: Final = 2048
"""Shortest RSA key (RFC 7518, section 3.3)."""

DOCUMENT_BYTES: Final = 256 * 1024
"""Largest key set: a hundred keys with their certificates."""

KEYS: Final = 100
"""Most keys of a set that are used. Issuers have two or three, and a few more while they change them."""

KEY_ID_CHARACTERS: Final = 256
"""Longest key id: a hash in any encoding, or a URL."""

DEPTH: Final = 16
"""Deepest nesting of a key; a usual one has a list of certificates. Parsers end at about a thousand."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A string, or a bracket outside of one."""

_KEY_LEVEL: Final = 3
"""The level of a key: within the document's object, and within its list."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a key. Other members may be anything."""

    kty: str
    kid: str | msgspec.UnsetType = msgspec.UNSET
    use: str = "sig"
    crv: str | msgspec.UnsetType = msgspec.UNSET
    n: str | msgspec.UnsetType = msgspec.UNSET
    e: str | msgspec.UnsetType = msgspec.UNSET
    x: str | msgspec.UnsetType = msgspec.UNSET
    y: str | msgspec.UnsetType = msgspec.UNSET
    d: str | msgspec.UnsetType = msgspec.UNSET


class KeySet(msgspec.Struct, frozen=True):
    """A set whose keys are not decoded yet, because one may be wrong."""

    keys: list[msgspec.Raw]


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys of a set, by algorithm and key id; how many are used, and how many were skipped as odd.

    An only key also verifies tokens without a key id, and so does one that has none.
    """

    known: Mapping[tuple[str, str | None], Any]
    used: int
    odd: int


_set_decoder = msgspec.json.Decoder(KeySet)
_key_decoder = msgspec.json.Decoder(Key)


def read(document: bytes) -> Keys:
    """The keys of a set. Raises `ValueError` where the document is not one.

    Skipped are keys of a kind that verifies no token here, and odd ones: those that are malformed, private, or nested
    more than `DEPTH` deep, whose key id is not a text of 1 to `KEY_ID_CHARACTERS` or is that of an earlier key of the
    same algorithm, and those after the first `KEYS`.
    """
    try:
        entries = _set_decoder.decode(_without_deep_keys(document)).keys
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError("not a JSON Web Key Set") from error
    known: dict[tuple[str, str | None], Any] = {}
    odd = 0
    for entry in entries:
        try:
            found = _key(entry)
        except ValueError:
            odd += 1
            continue
        if found is None:
            continue
        name, key = found
        if name in known or len(known) == KEYS:
            odd += 1
        else:
            known[name] = key
    used = len(known)
    if used == 1:
        [((algorithm, _), key)] = known.items()
        known[algorithm, None] = key
    return Keys(known=known, used=used, odd=odd)


def algorithm_of(key: object) -> str | None:
    """The one algorithm of this key. The key decides, never the token: algorithm confusion (RFC 8725, section 3.1)."""
    if isinstance(key, RSAPublicKey):
        return "RS256" if key.key_size >= RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return "ES256" if isinstance(key.curve, SECP256R1) else None
    return "EdDSA" if isinstance(key, Ed25519PublicKey) else None


def _key(entry: msgspec.Raw) -> tuple[tuple[str, str | None], Any] | None:
    """A key with its algorithm and id; None where it is of another kind. Raises `ValueError` where it is odd."""
    try:
        told = _key_decoder.decode(entry)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError("not a JSON Web Key") from error
    if told.kid is not msgspec.UNSET and not 1 <= len(told.kid) <= KEY_ID_CHARACTERS:
        raise ValueError("not a key id")
    if told.d is not msgspec.UNSET:
        raise ValueError("a private key, with which anyone can sign")
    try:
        key = jwt.PyJWK.from_dict(msgspec.to_builtins(told)).key
    except (jwt.PyJWTError, UnsupportedAlgorithm):
        return None
    except (TypeError, AttributeError, KeyError, OverflowError) as error:
        raise ValueError("not a JSON Web Key") from error
    algorithm = algorithm_of(key) if told.use == "sig" else None
    return None if algorithm is None else ((algorithm, None if told.kid is msgspec.UNSET else told.kid), key)


def _without_deep_keys(document: bytes) -> bytes:
    """The document with null in place of each key, and of each other value on that level, that is nested too deeply.

    A parser would refuse the whole document for it.
    """
    kept = []
    level = deepest = begin = end = 0
    for token in _TOKEN.finditer(document):
        character = token[0]
        if character in (b"[", b"{"):
            level += 1
            if level == _KEY_LEVEL:
                begin, deepest = token.start(), level
            deepest = max(deepest, level)
        elif character in (b"]", b"}"):
            if level == _KEY_LEVEL and deepest - level >= DEPTH:
                kept += [document[end:begin], b"null"]
                end = token.end()
            level -= 1
    return b"".join([*kept, document[end:]])
