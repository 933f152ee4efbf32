"""Encode a video to HLS and publish its progress: `encode`, or `convert` without a hub.

Needs the optional extra: `pip install 'statushub[encode]'` (PyAV, whose wheel contains the codecs, and fsspec).
"""

from __future__ import annotations

from statushub.extras import required

with required("statushub.encode"):
    import av as _av
    import fsspec as _fsspec

from statushub.producers.encode.conversion import convert
from statushub.producers.encode.errors import (
    ContentLost,
    DestinationUnwritable,
    EncodeError,
    NotAVideo,
    ProcessDied,
    ResourcesExhausted,
    ScratchUnwritable,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreadable,
    TranscodeFailed,
    ValidationFailed,
)
from statushub.producers.encode.job import encode
from statushub.producers.encode.ladder import LADDER, Rendition, Rung
from statushub.producers.encode.options import Options
from statushub.producers.encode.progress import Step
from statushub.producers.encode.reporter import Report
from statushub.producers.encode.result import Result

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

del _av, _fsspec
