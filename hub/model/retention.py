"""Retention and the default lease: how long a content is kept, and how long it may be processed without news."""

from __future__ import annotations

from typing import Final

RETENTION_SECONDS: Final = 7 * 24 * 3600.0
"""How long a content outlives its last event: over a weekend, so that Monday can ask what Friday did."""

DEFAULT_LEASE_SECONDS: Final = 24 * 3600.0
"""Lease of a content in progress whose producer gives none. A worker that is silent for a day is gone."""
