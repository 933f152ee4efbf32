"""Summarize a text, and answer questions about it, while a page watches: `generate`.

Needs the optional extra: `pip install 'statushub[generate]'` (the client of OpenAI, trafilatura, pypdf and sentencex).
"""

from __future__ import annotations

from statushub.extras import required

with required("statushub.generate"):
    # The client of OpenAI takes a second to import, and trafilatura runs in a process of its own: each is imported
    # where it is used.
    import pypdf as _pypdf
    import sentencex as _sentencex

from statushub.producers.generate.errors import (
    AnswerFiltered,
    AnswerInvalid,
    GenerateError,
    ModelRefused,
    ModelUnavailable,
    NoText,
    RequestRejected,
    ResourcesExhausted,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreadable,
)
from statushub.producers.generate.job import generate
from statushub.producers.generate.options import Options
from statushub.producers.generate.result import Pair, Result

__all__ = [
    "AnswerFiltered",
    "AnswerInvalid",
    "GenerateError",
    "ModelRefused",
    "ModelUnavailable",
    "NoText",
    "Options",
    "Pair",
    "RequestRejected",
    "ResourcesExhausted",
    "Result",
    "SourceNotFound",
    "SourceTooLarge",
    "SourceUnreadable",
    "generate",
]

del _pypdf, _sentencex
