"""How long a follower waits for what, in seconds."""

from __future__ import annotations

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The defaults are for a hub behind proxies, on a network that may be slow."""

    heartbeat: int = 4
    """The interval that the hub is asked for, so that silence is noticed soon. Each costs about 80 bytes."""
    silence: float = 10.0
    """Silence after which a stream counts as dead, its head and first event included: two and a half heartbeats. A hub
    sends the first event with the head, so that only a buffer holds it up."""
    connect: float = 5.0
    """How long a hub may take to accept a connection."""
    answer: float = 10.0
    """How long a hub may take to answer a poll, beside what the poll waits."""
    retry: float = 2.0
    """Pause before a reconnect until the hub sends a `retry`; failures double it."""
    retry_max: float = 30.0
    """Longest pause while reconnects fail: a hub that returns is noticed within half a minute."""
    drain_max: float = 10.0
    """Longest pause that is waited out without polls: a hub at its limit of streams asks for up to a minute."""
    probe: float = 30.0
    """For how long polls go on until the stream is tried again, which costs `silence` where a proxy holds it up; each
    failure doubles it."""
    probe_max: float = 600.0
    wait: float = 25.0
    """How long a poll of a single channel waits for a change: the most that a hub allows."""
    poll: float = 3.0
    """Pause between rounds of polls of several channels, which do not wait."""
    poll_channel: float = 0.1
    """How much longer the pause is for each channel, lest many channels make many requests a second."""


SILENCE_FACTOR = 2.5
"""Silence after which a connection counts as dead, in heartbeats: two were lost, and a third is late."""
