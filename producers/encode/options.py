"""The settings of one encode."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

import msgspec

from statushub.hub.model.errors import Invalid
from statushub.producers.encode.ladder import LADDER, Rung

PRESETS: Final = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
"""The presets of x264, fastest first. Slower ones make smaller files."""

SOURCE_BYTES: Final = 32 * 1024**3
"""Largest source: an hour of 70 Mbit/s. A larger one fills the scratch disk of a small worker."""

SOURCE_SECONDS: Final = 12 * 3600.0
"""Longest source. A file that states more has a broken header, or would occupy a worker for days."""

DOWNLOAD_SECONDS: Final = 6 * 3600.0
"""Longest download: the largest source at 12 Mbit/s."""

ENCODE_SECONDS: Final = 48 * 3600.0
"""Longest encode: the longest source at a quarter of its speed."""

STALL_SECONDS: Final = 120.0
"""Without progress for so long, the source's process hangs: a frame of the largest size takes a second."""

CPU_SECONDS: Final = 8 * 48 * 3600
"""CPU time of an encode: eight cores for the longest encode."""

MEMORY_BYTES: Final = 6 * 1024**3
"""Address space of an encode. 1080p takes 0.8 GB with one thread, and 2.4 GB with eight and the preset `slower`; an
8K frame takes 100 MB, of which a decoder keeps up to sixteen."""

MEMORY_BYTES_MIN: Final = 512 * 1024**2
"""The interpreter and the codecs take 150 MB before they have read anything."""

SEGMENT_SECONDS: Final = 4.0
"""Duration of a segment: short enough to switch renditions quickly, long enough to compress well."""

REPORT_SECONDS: Final = 0.5
"""Time between reports of progress within a step: a viewer perceives it as live."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one encode. Raises `Invalid`, which names the field, where a value is out of range."""

    preset: str = "veryfast"
    crf: int = 23
    """x264's constant rate factor, 0 to 51: 18 looks lossless, 28 is visibly soft."""
    ladder: tuple[Rung, ...] = LADDER
    threads: int = 0
    """Threads of each encoder and of the decoder, up to 64; 0: half of the cores, the rest is for other work."""
    segment_seconds: float = SEGMENT_SECONDS
    report_seconds: float = REPORT_SECONDS
    source_bytes: int = SOURCE_BYTES
    source_seconds: float = SOURCE_SECONDS
    redirect_hosts: tuple[str, ...] = ()
    """Hosts other than the source's to which its server may redirect; `*.example.com` names all below one."""
    download_seconds: float = DOWNLOAD_SECONDS
    encode_seconds: float = ENCODE_SECONDS
    """Time from the probe to the poster."""
    stall_seconds: float = STALL_SECONDS
    """Time without progress after which the process that reads the source is ended."""
    cpu_seconds: int = CPU_SECONDS
    memory_bytes: int = MEMORY_BYTES
    """Memory that decoding and encoding may take, as address space."""
    scratch: Path | None = None
    """Folder for temporary files; the system's by default. It needs room for the source and all renditions."""
    public_url: str | None = None
    """The URL that serves the destination folder; published paths begin with it."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise Invalid(f"preset must be one of {', '.join(PRESETS)}", field="preset")
        if not 0 <= self.crf <= 51:
            raise Invalid("crf must be from 0 to 51", field="crf")
        if not self.ladder:
            raise Invalid("ladder must hold at least one rung", field="ladder")
        if not 0 <= self.threads <= 64:
            raise Invalid("threads must be from 0 to 64", field="threads")
        if not 1 <= self.segment_seconds <= 30:
            raise Invalid("segment_seconds must be from 1 to 30", field="segment_seconds")
        if self.memory_bytes < MEMORY_BYTES_MIN:
            raise Invalid(f"memory_bytes must be at least {MEMORY_BYTES_MIN}", field="memory_bytes")
        for name in ("report_seconds", "download_seconds", "encode_seconds", "stall_seconds", "cpu_seconds"):
            if not 0 < getattr(self, name) < math.inf:
                raise Invalid(f"{name} must be greater than 0", field=name)

    @property
    def encoder_threads(self) -> int:
        """The number of threads, with 0 resolved."""
        return self.threads or max(1, (os.cpu_count() or 1) // 2)
