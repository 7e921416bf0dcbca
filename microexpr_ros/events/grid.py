"""The grid that a face region is scaled to, and counting events on it."""

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
"""Duration of a slice of events: the time step of the networks."""


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


_BLOCK: Final = 512
"""Events that are picked before they are counted: few enough to stay in the L1 cache."""

_LOW_BITS: Final = (1 << 31) - 1


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
    """Count block by block: pick the events inside, then add them, both without a branch.

    A branch on inside or outside would be mispredicted too often.
    """
    _, rows, columns = counts.shape
    flat, plane = counts.reshape(-1), np.uint64(rows * columns)
    # One table of cells per axis replaces a division per event.
    row_of, column_of = np.empty(height, np.uint64), np.empty(width, np.uint64)
    for i in range(height):
        row_of[i] = i * rows // height * columns
    for i in range(width):
        column_of[i] = i * columns // width
    # Column, row and polarity in one word; the last place takes events that are not kept.
    picked = np.empty(_BLOCK + 1, np.uint64)
    inside: Integer = 0
    for start in range(0, len(x), _BLOCK):
        count: Integer = np.uint64(0)
        for i in range(start, min(start + _BLOCK, len(x))):
            # As unsigned numbers, negative offsets are larger than any width or height.
            u, v = np.uint64(np.int64(x[i]) - left), np.uint64(np.int64(y[i]) - top)
            picked[count] = u | v << np.uint64(32) | np.uint64(p[i]) << np.uint64(63)
            count += np.uint64((u < np.uint64(width)) & (v < np.uint64(height)))
        for i in range(count):
            u = picked[i] & np.uint64(_LOW_BITS)
            v = picked[i] >> np.uint64(32) & np.uint64(_LOW_BITS)
            cell = (picked[i] >> np.uint64(63)) * plane + row_of[v] + column_of[u]
            flat[cell] += flat[cell] < 255
        inside += np.int64(count)
    return inside
