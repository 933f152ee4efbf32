"""Statushub: a real-time status hub."""

from __future__ import annotations

__version__ = "0.1.0"
