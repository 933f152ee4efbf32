"""Summarize a text, and answer questions about it, while a page watches: `generate`.

Needs `pip install 'statushub[generate]'` (the client of OpenAI, trafilatura, pypdf and sentencex).
"""

from __future__ import annotations

from statushub.producers.generate import (
    AnswerFiltered,
    AnswerInvalid,
    GenerateError,
    ModelRefused,
    ModelUnavailable,
    NoText,
    Options,
    Pair,
    RequestRejected,
    ResourcesExhausted,
    Result,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreadable,
    generate,
)

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
