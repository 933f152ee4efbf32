"""Keywords as they are compared with each other."""

from __future__ import annotations

import unicodedata
from typing import Final

_BLANK: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")


def spelled(keyword: str) -> str:
    """The keyword in NFC, and without spaces and control characters around it; what is spelled alike is looked up
    once, and what is empty then is blank."""
    return unicodedata.normalize("NFC", keyword.translate(_BLANK)).strip()
