"""Names of the environment variables that a hub and its producers share."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "STATUSHUB_"
"""First characters of every environment variable that Statushub reads."""

URL: Final = "STATUSHUB_URL"
"""Address that a producer publishes to: a hub or a Redis."""

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where a hub with default settings serves."""

TENANT: Final = "STATUSHUB_TENANT"
"""Tenant that a producer publishes for, when it publishes straight into Redis."""

TOKEN: Final = "STATUSHUB_TOKEN"
"""Token that a producer shows to a hub."""

PRODUCER_VARIABLES: Final = frozenset({URL, TENANT, TOKEN})
"""Variables that configure a producer. A hub ignores them, so both can run in one environment."""
