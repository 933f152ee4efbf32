"""Retention: how long a content is kept."""

from __future__ import annotations

from typing import Final

RETENTION_SECONDS: Final = 7 * 24 * 3600.0
"""How long a content outlives its last event: over a weekend, so that Monday can ask what Friday did."""
