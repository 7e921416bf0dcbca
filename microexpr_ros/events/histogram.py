"""Events to counts on a grid."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from microexpr_ros.events.events import Events
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
        >>> one = Events(*(np.array([v], d) for v, d in ((0, 'i8'), (3, 'u2'), (2, 'u2'), (1, 'u1'))))
        >>> counts = np.zeros((2, 2, 2), np.uint8)
        >>> accumulate(one, Region(0, 0, 4, 4), counts), int(counts[1, 1, 1])
        (1, 1)
    """
    return int(
        _accumulate(
            events.x, events.y, events.p, region.x, region.y, region.width, region.height, counts
        )
    )


@njit(nogil=True, cache=True)  # type: ignore[misc]
def _accumulate(x, y, p, left, top, width, height, counts):  # type: ignore[no-untyped-def]
    _, rows, columns = counts.shape
    # One table of cells per axis replaces a division per event.
    row_of = np.arange(height) * rows // height
    column_of = np.arange(width) * columns // width
    inside = 0
    for i in range(len(x)):
        u = np.int64(x[i]) - left
        v = np.int64(y[i]) - top
        if 0 <= u < width and 0 <= v < height:
            inside += 1
            polarity, row, column = p[i], row_of[v], column_of[u]
            if counts[polarity, row, column] < 255:
                counts[polarity, row, column] += 1
    return inside
