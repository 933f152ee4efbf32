"""The parameters of an execution, as its job has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from statushub.producers.instagram.windows import MONTHS_MAX

JOB: Final = "instagram"
"""The name of the job, and of its group."""

MANUAL: Final = "manual_async"
SCHEDULED: Final = "scheduled"

USER_NO_MAX: Final = 2**63 - 1
"""The largest number that the column of users holds."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an execution was put when it was admitted; `pool` says what that means."""

    number: int = 0
    width: int = 0
    waits: bool = True


class Params(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an execution is to sync: one user or all of them, so many months back. One that the schedule starts has no
    parameters: `months` is 0 then."""

    type: str = SCHEDULED
    months: Annotated[int, Meta(ge=0, le=MONTHS_MAX)] = 0
    user_no: Annotated[int, Meta(ge=1, le=USER_NO_MAX)] | None = None
    place: Place = Place()


def read_params(params: Mapping[str, Any], usual: int) -> Params:
    """The parameters of a job, with the `usual` months where it names none. Raises `ValueError` for such as are not of
    an execution, which a foreign publisher may have stored."""
    try:
        read = msgspec.convert({**params}, Params)
    except msgspec.ValidationError as error:
        raise ValueError(f"its parameters are not those of an execution: {error}") from error
    return read if read.months else msgspec.structs.replace(read, months=usual)
