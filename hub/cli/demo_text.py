"""The article of the demo."""

from __future__ import annotations

from typing import Final

ARTICLE: Final = """\
The sea rises and falls twice a day on most coasts. The rise is called the flood and the fall is called the ebb.

The moon pulls the water on the near side of the earth more strongly than the earth itself. On the far side the water
is pulled less than the earth, so that a second bulge of water stays behind. The earth turns below these two bulges, and
a coast meets each of them once a day. Because the moon moves on, the tide is fifty minutes later each day.

The sun raises tides of its own, which are half as high as those of the moon. At new moon and full moon the two pull in
one line, and the tide is higher than usual; this is a spring tide. At half moon they work against each other, and the
neap tide is low. The height of a tide depends on the shape of the coast more than on the moon. In a bay that narrows,
the same water rises higher; in the Bay of Fundy the tide reaches sixteen metres.

For eight hundred years tide mills have used the flood. A dam keeps the water of the flood, and at ebb it turns the
wheel of the mill. Power stations at the mouths of rivers do the same with turbines. A tide can be foretold for years,
which no other power of nature can, and so a harbour prints its table of tides long before the year begins.
"""
