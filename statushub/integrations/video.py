"""Video workers: `record_progress` and `record_status`, in the place of functions that write keys in Redis."""

from __future__ import annotations

from statushub.producers.integrations.video import arecord_progress, arecord_status, record_progress, record_status

__all__ = ["arecord_progress", "arecord_status", "record_progress", "record_status"]
