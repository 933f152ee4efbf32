"""Origins of pages that may read and publish, and send the cookie."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Origins:
    """Allowed origins: literal, with `:*` for any port, or `*` for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        hosts = [re.escape(origin.removesuffix(":*")) for origin in origins if origin.endswith(":*")]
        self.listed = [origin for origin in origins if not origin.endswith(":*")]
        self.expression = f"(?:{'|'.join(hosts)})(?::[0-9]+)?" if hosts else None

    @property
    def named(self) -> bool:
        """Whether the origins are listed rather than `*`. Only listed ones may send cookies."""
        return "*" not in self.listed

    def trust(self, origin: str) -> bool:
        """Whether this origin is listed."""
        return origin in self.listed or bool(self.expression and re.fullmatch(self.expression, origin))
