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

VIDEO_KEYS: Final = "STATUSHUB_VIDEO_KEYS"
"""Redis in which video workers keep their keys. This and the next three configure hubs, and `record_progress`, too."""

VIDEO_TENANTS: Final = "STATUSHUB_VIDEO_TENANTS"
"""Tenants, and the ids that keys of video workers have of them."""

VIDEO_STEPS: Final = "STATUSHUB_VIDEO_STEPS"
"""Steps of the work on a video, with their weights."""

VIDEO_CHANNEL: Final = "STATUSHUB_VIDEO_CHANNEL"
"""Channel of the videos that these keys are about."""

DEFAULT_VIDEO_CHANNEL: Final = "videos"
"""The channel where none is configured."""
