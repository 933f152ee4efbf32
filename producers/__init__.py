"""Publish status from anywhere: `Producer`, `SyncProducer`, `track`."""

from __future__ import annotations

from producers.producer import Producer
from producers.sync import SyncProducer, SyncWork
from producers.track import atrack, track
from producers.transports import Denied
from producers.work import Work

__all__ = ["Denied", "Producer", "SyncProducer", "SyncWork", "Work", "atrack", "track"]
