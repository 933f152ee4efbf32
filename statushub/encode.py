"""Encode a real video to HLS and publish how far it is: `encode`, or `convert` without a hub.

Needs `pip install 'statushub[encode]'` (PyAV, whose wheels bring the codecs, and fsspec).
"""

from __future__ import annotations

from statushub.producers.encode import (
    LADDER,
    ContentLost,
    DestinationUnwritable,
    EncodeError,
    NotAVideo,
    Options,
    ProcessDied,
    Rendition,
    Report,
    ResourcesExhausted,
    Result,
    Rung,
    ScratchUnwritable,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreadable,
    Step,
    TranscodeFailed,
    ValidationFailed,
    convert,
    encode,
)

__all__ = [
    "LADDER",
    "ContentLost",
    "DestinationUnwritable",
    "EncodeError",
    "NotAVideo",
    "Options",
    "ProcessDied",
    "Rendition",
    "Report",
    "ResourcesExhausted",
    "Result",
    "Rung",
    "ScratchUnwritable",
    "SourceNotFound",
    "SourceTooLarge",
    "SourceUnreadable",
    "Step",
    "TranscodeFailed",
    "ValidationFailed",
    "convert",
    "encode",
]
