"""The steps of the work on a video, with their weights: a percentage where only a step is said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

VIDEO_STEPS: Final = (
    "presigning=1",
    "downloading=9",
    "probing=2",
    "transcoding=70",
    "validating=3",
    "thumbnail=3",
    "uploading=12",
)
"""The steps in their order, each with its part of the whole time: nearly all of it is spent on transcoding."""

WEIGHT_MAX: Final = 1_000_000
"""Greatest weight: seconds of a step that takes days fit."""

NAME_CHARACTERS: Final = 64
"""Longest name of a step: it is a word in a line of a page."""


class VideoSteps(msgspec.Struct, frozen=True):
    """The percentage at which each step begins, by its name in lower case."""

    begins: dict[str, float]

    def percent(self, step: object) -> float | None:
        """From 0 to 100; None for an unknown step, in any case of its letters."""
        return self.begins.get(step.strip().lower()) if isinstance(step, str) else None


def video_steps(texts: Sequence[str]) -> VideoSteps:
    """The steps of texts such as `probing=2`, in their order.

    Raises `ValueError` where one is malformed, repeated, or none weighs anything.
    """
    weights = dict[str, float]()
    for text in texts:
        name, weight = parse_step(text)
        if name in weights:
            raise ValueError(f"names the step {name!r} twice")
        weights[name] = weight
    total = sum(weights.values())
    if not total:
        raise ValueError("needs a step that weighs more than 0")
    begins, before = dict[str, float](), 0.0
    for name, weight in weights.items():
        percent = round(before / total * 100, 1)
        begins[name] = int(percent) if percent.is_integer() else percent
        before += weight
    return VideoSteps(begins)


def parse_step(text: str) -> tuple[str, float]:
    """The name, in lower case, and the weight. Raises `ValueError` with what is wrong, in words that fit behind it."""
    name, equals, said = (part.strip() for part in text.partition("="))
    try:
        weight = float(said)
    except ValueError:
        weight = math.nan
    if not (equals and 0 <= weight <= WEIGHT_MAX):
        raise ValueError(f"is not STEP=WEIGHT, with a weight from 0 to {WEIGHT_MAX}")
    if not name or len(name) > NAME_CHARACTERS or not name.isprintable():
        raise ValueError(f"names no step: 1 to {NAME_CHARACTERS} printable characters before the '='")
    return name.lower(), weight
