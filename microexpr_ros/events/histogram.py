"""Events to counts on a grid."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events
from microexpr_ros.events.kernel import Integer, kernel
from microexpr_ros.events.region import Region

GRID: Final = 128
"""Rows and columns of the grid that a face region is scaled to."""

SLICE_NS: Final = 10_000_000
"""Length of a slice of events: the step of the networks."""


def accumulate(events: Events, region: Region, counts: NDArray[np.uint8]) -> int:
    """Add the events of a region to counts, in place.

    The region is scaled to the grid: pixel (x, y) falls in column
    (x - region.x) * columns // region.width, and rows likewise.

    Args:
        events: Any events; those outside the region are left out.
        region: The part of the sensor that the grid covers.
        counts: uint8 [2, rows, columns], OFF then ON; saturates at 255.

    Returns:
        How many events fell into the region.

    Example:
        >>> one = Events(np.array([0]), np.uint16([3]), np.uint16([2]), np.uint8([1]))
        >>> counts = np.zeros((2, 2, 2), np.uint8)
        >>> accumulate(one, Region(0, 0, 4, 4), counts), int(counts[1, 1, 1])
        (1, 1)
    """
    contiguous = np.ascontiguousarray(counts)
    inside = _accumulate(
        events.x,
        events.y,
        events.p,
        region.x,
        region.y,
        region.width,
        region.height,
        contiguous,
    )
    if contiguous is not counts:
        counts[...] = contiguous
    return int(inside)


@kernel
def _accumulate(
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    left: int,
    top: int,
    width: int,
    height: int,
    counts: NDArray[np.uint8],
) -> Integer:
    _, rows, columns = counts.shape
    cells = 2 * rows * columns
    # One table of cells per axis replaces a division per event. Its last entry takes what lies
    # outside and leads behind the counts: a branch there could not be foreseen.
    row_of = np.empty(height + 1, np.int64)
    for i in range(height):
        row_of[i] = i * rows // height * columns
    column_of = np.empty(width + 1, np.int64)
    for i in range(width):
        column_of[i] = i * columns // width
    row_of[height] = column_of[width] = cells
    padded = np.empty(cells + 2 * cells, np.uint8)
    padded[:cells] = counts.reshape(-1)
    inside: Integer = 0
    for i in range(len(x)):
        # Unsigned, what lies left of the region or above it is far right of it or below it.
        u = min(np.uint64(np.int64(x[i]) - left), np.uint64(width))
        v = min(np.uint64(np.int64(y[i]) - top), np.uint64(height))
        cell = np.uint64(row_of[v] + column_of[u] + np.int64(p[i] & 1) * rows * columns)
        padded[cell] += padded[cell] < 255
        inside += cell < np.uint64(cells)
    counts.reshape(-1)[:] = padded[:cells]
    return inside
