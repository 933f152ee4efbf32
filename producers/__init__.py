"""Publish status from anywhere: `Producer`, `SyncProducer`, `track`."""

from __future__ import annotations

from statushub.producers.producer import Producer
from statushub.producers.sync import SyncProducer, SyncWork
from statushub.producers.track import atrack, track
from statushub.producers.transports import Denied
from statushub.producers.work import Work

__all__ = ["Denied", "Producer", "SyncProducer", "SyncWork", "Work", "atrack", "track"]
