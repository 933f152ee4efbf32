"""Text in the cells of a terminal."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def shortened(name: str, cells: int, cut: str) -> str:
    """`name` in so many cells, cut in its middle, where `cut` then stands: names that are alike differ at their end."""
    if cell_len(name) <= cells:
        return set_cell_size(name, cells)
    tail = (cells - 1) // 2
    end = name
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(name, cells - 1 - cell_len(end)) + cut + end


def ending(text: str, cells: int, cut: str) -> str:
    """The end of `text` in so many cells, with `cut` where its beginning was."""
    if cell_len(text) <= cells:
        return set_cell_size(text, cells)
    # A character takes at most two cells, and none where it is combined with the one before.
    end = text[-4 * cells :]
    while cell_len(end) > cells - 1:
        end = end[1:]
    return set_cell_size(cut + end, cells)
