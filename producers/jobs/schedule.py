"""The times at which a job starts by itself: a cron expression in a time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from statushub.extras import required
from statushub.hub.model.errors import Invalid

FIELDS: Final = 5
"""Minute, hour, day of the month, month, day of the week. What has seconds is no schedule, but a loop."""


class Schedule:
    """As cron of Debian has it, also where clocks are changed: what falls into the hour that is left out runs right
    after it, and what falls into the hour that comes twice runs once, unless it runs at every hour."""

    def __init__(self, cron: str, timezone: str = "UTC") -> None:
        """Raises `Invalid` for an expression that is none, and for an unknown time zone."""
        with required("a schedule"):
            from cronsim import CronSim, CronSimError
        try:
            zone = ZoneInfo(timezone)
        except (ValueError, OSError, KeyError, TypeError):
            raise Invalid(
                f"timezone {timezone!r} is not known: expected one such as Asia/Seoul", field="timezone"
            ) from None
        if len(cron.split()) != FIELDS:
            raise Invalid(f"schedule {cron!r} must have {FIELDS} fields, such as '0 2 * * *'", field="schedule")
        try:
            next(CronSim(cron, datetime.now(zone)))
        except CronSimError as error:
            raise Invalid(f"schedule {cron!r} is no cron expression: {error}", field="schedule") from error
        except StopIteration:
            raise Invalid(f"schedule {cron!r} names no date of the next 50 years", field="schedule") from None
        self.cron = cron
        self.timezone = timezone
        self._zone = zone
        self._times = CronSim

    def next(self, after: datetime) -> datetime | None:
        """The first time after `after`, in UTC; None where there is none."""
        found = next(self._times(self.cron, after.astimezone(self._zone)), None)
        return None if found is None else found.astimezone(UTC)

    def latest(self, after: datetime, now: datetime) -> datetime | None:
        """The last time after `after` up to `now`, in UTC; None where there is none."""
        found = None
        for time in self._times(self.cron, max(after, now - LOOK_BACK).astimezone(self._zone)):
            if time > now:
                break
            found = time
        return None if found is None else found.astimezone(UTC)


LOOK_BACK: Final = timedelta(days=366)
"""How far back a missed time is looked for: of a job that was due yearly, one."""
