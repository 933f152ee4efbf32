"""Statushub: a real-time status hub. Workers publish, browsers see it the moment it changes."""

from __future__ import annotations
