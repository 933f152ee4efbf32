"""The periods of a worker, in seconds."""

from __future__ import annotations

import msgspec


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Tests run with shorter ones."""

    look: float = 0.5
    """Between two looks for work: a job begins within it, and a look without news costs the broker one short read."""
    report: float = 1.0
    """Between two reports of a job's progress: people see no more than that."""
    beat: float = 5.0
    """The longest time in which a running job is not reported: three fit into `lease`, so that two may be lost."""
    lease: float = 15.0
    """How long a job must be seen unchanged, by a worker that reads all the while, before it takes the job over."""
    grace: float = 10.0
    """How long a worker that stops waits for the items that run."""
