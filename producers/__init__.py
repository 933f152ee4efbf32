"""Publish status from anywhere: `Producer`, `SyncProducer`, `track`."""
