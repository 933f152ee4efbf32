"""The limits of a process that works on untrusted data, which it sets for itself before it reads any."""

from __future__ import annotations

import resource
from typing import Final

import msgspec

CPU_GRACE_SECONDS: Final = 5
"""After SIGXCPU, which names the limit, and before SIGKILL."""

OPEN_FILES: Final = 256
"""The source, a segment and a playlist of each rendition, and the connections of a file system."""


class ProcessLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one process may take. A file over `file_bytes` cannot be written; the other limits end the process."""

    memory_bytes: int
    """Of address space: what is mapped counts, used or not."""
    cpu_seconds: int
    file_bytes: int
    total_seconds: float
    stall_seconds: float
    """Time without progress after which the process counts as hung."""

    def apply(self) -> None:
        """Limit this process; the system's limits stay where they are lower. Times are the parent's to watch."""
        _limit(resource.RLIMIT_AS, self.memory_bytes)
        _limit(resource.RLIMIT_CPU, self.cpu_seconds, CPU_GRACE_SECONDS)
        _limit(resource.RLIMIT_FSIZE, self.file_bytes)
        _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
        # A core file would be as large as the memory, and hold parts of the source.
        _limit(resource.RLIMIT_CORE, 0)


def _limit(which: int, value: int, grace: int = 0) -> None:
    _, highest = resource.getrlimit(which)
    if highest == resource.RLIM_INFINITY:
        resource.setrlimit(which, (value, value + grace))
    else:
        resource.setrlimit(which, (min(value, highest), min(value + grace, highest)))
