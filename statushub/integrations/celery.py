"""Celery: `report_tasks(app, channel="imports")` beside the definition of the app."""

from __future__ import annotations

from statushub.producers.integrations.celery import report_tasks
from statushub.producers.integrations.tries import Try

__all__ = ["Try", "report_tasks"]
