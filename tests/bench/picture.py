"""A chart of the results: bars and curves, as plain SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from tests.bench.harness import Spread

WIDTH: Final = 760
BAR: Final = 26
"""Height of a bar, including the space under it."""

NAMES: Final = 220
"""Left edge of the bars, right of their names."""

PLOT: Final = 240
"""Height of a panel with curves."""

COLOURS: Final = ("#2563eb", "#d97706", "#6b7280", "#059669")
OURS: Final = COLOURS[0]
OTHERS: Final = "#9ca3af"

Bars = Sequence[tuple[str, Spread, bool]]
"""Name, value and whether it is Statushub, for each bar."""

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Points (x, y) of each curve, by its name."""


def picture(panels: Sequence[tuple[str, Bars | Curves]]) -> str:
    """The SVG of these panels, one above the other, each under its title."""
    parts, y = [], 10
    for title, content in panels:
        if not content:
            continue
        parts.append(_text(10, y + 18, title, weight="bold"))
        drawn, height = _curves(content, y + 30) if isinstance(content, Mapping) else _bars(content, y + 30)
        parts += drawn
        y += height + 50
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="13">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{y}" fill="white"/>', *parts, "</svg>", ""])


def _bars(bars: Bars, top: int) -> tuple[list[str], int]:
    scale = (WIDTH - NAMES - 90) / max(spread.most for _, spread, _ in bars)
    parts = []
    for number, (name, spread, ours) in enumerate(bars):
        y = top + number * BAR
        middle, least, most = (NAMES + value * scale for value in (spread.median, spread.least, spread.most))
        parts += [
            _text(NAMES - 8, y + 15, name, anchor="end"),
            f'<rect x="{NAMES}" y="{y + 3}" width="{max(middle - NAMES, 1):.1f}" height="{BAR - 8}" '
            f'fill="{OURS if ours else OTHERS}"/>',
            _line(least, y + BAR / 2 - 1, most, y + BAR / 2 - 1, "#111827"),
            _text(most + 6, y + 15, f"{spread.median:,.3g}" if spread.median < 100 else f"{spread.median:,.0f}"),
        ]
    return parts, len(bars) * BAR


def _curves(curves: Curves, top: int) -> tuple[list[str], int]:
    points = [point for curve in curves.values() for point in curve]
    low, high = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    most = max(y for _, y in points) * 1.1
    left, right, bottom = 60, WIDTH - 170, top + PLOT - 30

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (math.log10(x) - low) / ((high - low) or 1) * (right - left), bottom - y / most * (bottom - top)

    parts = [_line(left, bottom, right, bottom, "#111827"), _line(left, top, left, bottom, "#111827")]
    marks = sorted({x for x, _ in points})
    parts += [_text(place(x, 0)[0], bottom + 18, f"{x:,.0f}", anchor="middle") for x in marks]
    for share in (0.5, 1.0):
        value = most / 1.1 * share
        parts.append(_text(left - 6, place(10**low, value)[1] + 4, f"{value:,.3g}", anchor="end"))
        parts.append(_line(left, place(10**low, value)[1], right, place(10**low, value)[1], "#e5e7eb"))
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(x, y) for x, y in sorted(curve)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(_text(right + 10, top + 14 + 18 * number, name, fill=colour))
    return parts, PLOT


def _text(x: float, y: float, text: str, **style: str) -> str:
    names = {"anchor": "text-anchor", "weight": "font-weight", "fill": "fill"}
    more = "".join(f' {names[name]}="{value}"' for name, value in style.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'
