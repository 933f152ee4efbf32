"""The origins of pages: which of them may read, publish and be trusted with a cookie."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Origins:
    """The origins of a setting: as they are, `:*` for any port, `*` for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        hosts = [re.escape(origin.removesuffix(":*")) for origin in origins if origin.endswith(":*")]
        self.listed = [origin for origin in origins if not origin.endswith(":*")]
        self.expression = f"(?:{'|'.join(hosts)})(?::[0-9]+)?" if hosts else None

    @property
    def named(self) -> bool:
        """Whether somebody chose these pages; only they may come with a cookie."""
        return "*" not in self.listed

    def trust(self, origin: str) -> bool:
        """Whether a page of this origin was named."""
        return origin in self.listed or bool(self.expression and re.fullmatch(self.expression, origin))
