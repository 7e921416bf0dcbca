"""The grid of cells that the whole sensor is scaled to, for whatever looks for faces in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import place_pixels

SENSOR_CELLS: Final = 160
"""Cells along the longer side of the sensor."""


def sensor_grid(height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of the grid of a sensor; cells are nearly square.

    Example:
        >>> sensor_grid(720, 1280)
        (90, 160)
    """
    longer = max(height, width)
    rows, columns = (max(round(side * SENSOR_CELLS / longer), 1) for side in (height, width))
    return rows, columns


class SensorMap:
    """Where points of the sensor are on its grid, and points of the grid on the sensor.

    A cell is scaled from whole pixels: where their number is no multiple of that of the cells,
    the pixels that are counted in a cell lie up to half a cell beside it. The events of a point
    are seen where this map puts the point, not at its share of the sensor. Between the middles of
    the pixels of two cells the map is linear.

    Args:
        height: sensor rows.
        width: sensor columns.
    """

    def __init__(self, height: int, width: int) -> None:
        rows, columns = sensor_grid(height, width)
        self._axes = (_pair_middles(width, columns), _pair_middles(height, rows))

    def to_cells(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points are on the grid, float64 [..., 2], cells.

        Args:
            points: float [..., 2], column and row, px; pixel (x, y) reaches from x to x + 1.
        """
        return _map_axes(points, self._axes)

    def to_pixels(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the grid are on the sensor, float64 [..., 2], px."""
        return _map_axes(points, [axis[::-1] for axis in self._axes])


def _map_axes(
    points: NDArray[np.floating], axes: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> NDArray[np.float64]:
    """Return points of which column and row are each mapped from one array to the other."""
    mapped = np.empty(points.shape, np.float64)
    for n, (before, after) in enumerate(axes):
        mapped[..., n] = np.interp(points[..., n], before, after)
    return mapped


def _pair_middles(pixels: int, cells: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle of the pixels of each cell, px, and that of the cell, in cells.

    Both go on for the length of the sensor on either side.
    """
    counted_in = place_pixels(pixels, cells)
    count = np.bincount(counted_in, minlength=cells)
    # On a small sensor there are cells without a pixel.
    used = np.flatnonzero(count)
    of_pixels = np.bincount(counted_in, np.arange(pixels) + 0.5, cells)[used] / count[used]
    of_cells = used + 0.5
    return (
        np.concatenate([of_pixels[:1] - pixels, of_pixels, of_pixels[-1:] + pixels]),
        np.concatenate([of_cells[:1] - cells, of_cells, of_cells[-1:] + cells]),
    )


def pixels_per_cell(height: int, width: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return how many pixels of the sensor fall into each cell, float32 [rows, columns].

    They are counted as `grid.accumulate` does, so that cells have unequal numbers.
    """
    along = [
        np.bincount(place_pixels(pixels, cells), minlength=cells)
        for pixels, cells in zip((height, width), shape, strict=True)
    ]
    return np.outer(*along).astype(np.float32)
