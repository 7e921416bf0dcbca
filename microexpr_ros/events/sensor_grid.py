"""The grid of cells that the whole sensor is scaled to, for whatever looks for faces in it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SENSOR_CELLS: Final = 160
"""Cells along the longer side of the sensor."""


def sensor_grid(height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of the grid of a sensor; cells are nearly square.

    Example:
        >>> sensor_grid(720, 1280)
        (90, 160)
    """
    longer = max(height, width)
    return tuple(max(round(side * SENSOR_CELLS / longer), 1) for side in (height, width))  # type: ignore[return-value]


def pixels_per_cell(height: int, width: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return how many pixels of the sensor fall into each cell, float32 [rows, columns].

    A pixel falls into cell `pixel * cells // pixels` along each side, as `grid.accumulate`
    counts, so that cells have unequal numbers.
    """
    along = [
        np.bincount(np.arange(pixels) * cells // pixels, minlength=cells)
        for pixels, cells in zip((height, width), shape, strict=True)
    ]
    return np.outer(*along).astype(np.float32)
