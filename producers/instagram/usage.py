"""The rate limits that the Graph API reports in the headers of its answers. No I/O.

X-App-Usage has percentages of the limit of the whole app, X-Business-Use-Case-Usage those of the account, with the
minutes until a limited account may call again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import msgspec

APP: Final = "x-app-usage"
ACCOUNT: Final = "x-business-use-case-usage"

FULL: Final = 100
"""Percent of a limit at which further calls are refused; each of them makes the pause longer."""

MINUTES_MAX: Final = 24 * 60
"""Longest pause that is believed: limits are counted over an hour, or a day."""


class _Usage(msgspec.Struct):
    call_count: float = 0
    total_cputime: float = 0
    total_time: float = 0
    estimated_time_to_regain_access: float = 0

    @property
    def most(self) -> float:
        return max(self.call_count, self.total_cputime, self.total_time)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer says of the limits. `app_full` and `account_full` say that no further call is taken, `minutes` how
    long the account has to wait; 0 where that is not told."""

    app_full: bool = False
    account_full: bool = False
    minutes: float = 0.0


_app = msgspec.json.Decoder(_Usage)
_account = msgspec.json.Decoder(dict[str, list[_Usage]])


def usage(headers: Mapping[str, str]) -> Usage:
    """The limits in the headers of an answer; those that cannot be read are left out."""
    app = _Usage()
    accounts: list[_Usage] = []
    with suppress(msgspec.DecodeError):
        app = _app.decode(headers.get(APP, "{}"))
    with suppress(msgspec.DecodeError):
        accounts = [each for entry in _account.decode(headers.get(ACCOUNT, "{}")).values() for each in entry]
    minutes = max((each.estimated_time_to_regain_access for each in accounts), default=0.0)
    return Usage(
        app_full=app.most >= FULL,
        account_full=minutes > 0 or any(each.most >= FULL for each in accounts),
        minutes=min(max(minutes, 0.0), MINUTES_MAX),
    )
