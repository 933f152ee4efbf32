"""taskiq: `broker.with_middlewares(StatushubMiddleware(channel="imports"))`."""

from __future__ import annotations

from statushub.producers.integrations.taskiq import StatushubMiddleware
from statushub.producers.integrations.tries import Try

__all__ = ["StatushubMiddleware", "Try"]
