"""Places in a list of which a token reads only a part: where its next page begins, which may be behind a name that the
token does not read, and so is encrypted."""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cached_property
from typing import TYPE_CHECKING, Final

from statushub.hub.model.errors import Invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_PURPOSE: Final = b"statushub place"
_MARK: Final = "x"
"""What an encrypted place begins with; no other one does."""


class Places:
    """Encrypts and decrypts places. Hubs that share `secret` read each other's."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @cached_property
    def _cipher(self) -> AESSIV:
        # Imported with the first place: cryptography takes 6 MB, and a hub without keys hides none.
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV

        # Deterministic (RFC 5297): the same page has the same entity tag each time.
        return AESSIV(hmac.digest(self._secret, _PURPOSE, "sha256"))

    def hide(self, place: str, tenant: str) -> str:
        """The place as text that tells nothing and is valid in this tenant only."""
        hidden = self._cipher.encrypt(place.encode(), [tenant.encode()])
        return _MARK + urlsafe_b64encode(hidden).decode().rstrip("=")

    def reveal(self, text: str, tenant: str) -> str:
        """The place that `hide` made this text of; any other text as it is. Raises `Invalid` naming `after`."""
        if not text.startswith(_MARK):
            return text
        from cryptography.exceptions import InvalidTag

        try:
            hidden = urlsafe_b64decode(text[1:] + "=" * (-len(text[1:]) % 4))
            return self._cipher.decrypt(hidden, [tenant.encode()]).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise Invalid("after is not the next of a page that this hub has answered", field="after") from error
