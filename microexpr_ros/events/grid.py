"""The grid that a face region is scaled to, and counting events on it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Events
from microexpr_ros.events.kernel import Integer, kernel, read_only
from microexpr_ros.events.region import AlignedRegion, Region

GRID: Final = 128
"""Rows and columns of the grid that a face region is scaled to."""

SLICE_NS: Final = 10_000_000
"""Duration of a slice of events: the time step of the networks."""


def place_pixels(pixels: int, cells: int) -> NDArray[np.int64]:
    """Return the cell in which `accumulate` counts each pixel along a side, int64 [pixels].

    Example:
        >>> place_pixels(5, 2).tolist()
        [0, 0, 0, 1, 1]
    """
    return np.arange(pixels) * cells // pixels


def number_cells(height: int, width: int) -> NDArray[np.int32]:
    """Return the number of the cell of each pixel of a region, int32 [height, width], by rows."""
    rows, columns = place_pixels(height, GRID), place_pixels(width, GRID)
    return (rows[:, None] * GRID + columns).astype(np.int32)


def accumulate(events: Events, region: Region | AlignedRegion, counts: NDArray[np.uint8]) -> int:
    """Add the events of a region to counts, in place.

    The region is scaled to the grid: of a rectangle, pixel (x, y) falls in column
    (x - region.x) * columns // region.width, and rows likewise; of an aligned region, in the
    cell in which the pixel's centre lies.

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
    if isinstance(region, AlignedRegion):
        inside = _accumulate_aligned(
            events.x, events.y, events.p, *_to_cells(region, contiguous.shape[1:]), contiguous
        )
    else:
        inside = _accumulate(
            events.x,
            events.y,
            events.p,
            region.x,
            region.y,
            *_tabulate_cells(region.width, region.height, contiguous.shape[1:]),
            contiguous,
        )
    if contiguous is not counts:
        counts[...] = contiguous
    return int(inside)


_BLOCK: Final = 512
"""Events that are picked before they are counted: few enough to stay in the L1 cache."""

_LOW_BITS: Final = (1 << 31) - 1


def shift_cells(counts: NDArray[np.uint8], columns: int, rows: int) -> NDArray[np.uint8]:
    """Return counts that are moved by whole cells; what moves out of the grid is lost.

    Args:
        counts: uint8 [..., height, width].
        columns: cells towards greater columns.
        rows: cells towards greater rows.
    """
    if columns == 0 and rows == 0:
        return counts
    moved = np.zeros_like(counts)
    height, width = counts.shape[-2:]
    to_rows, from_rows = _overlap(height, rows)
    to_columns, from_columns = _overlap(width, columns)
    moved[..., to_rows, to_columns] = counts[..., from_rows, from_columns]
    return moved


def _overlap(size: int, by: int) -> tuple[slice, slice]:
    """Return where what stays inside comes to lie, and where it lay."""
    left = max(size - abs(by), 0)
    low, high = slice(0, left), slice(size - left, size)
    return (high, low) if by > 0 else (low, high)


# One table per axis replaces a division per event; regions stay for long.
@lru_cache(maxsize=16)
def _tabulate_cells(
    width: int, height: int, grid: tuple[int, ...]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the number of each column's first cell, uint64 [width], and each row's, [height]."""
    rows, columns = grid
    column_of = place_pixels(width, columns).astype(np.uint64)
    row_of = (place_pixels(height, rows) * columns).astype(np.uint64)
    return read_only(column_of), read_only(row_of)


@kernel
def _accumulate(
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    left: int,
    top: int,
    column_of: NDArray[np.uint64],
    row_of: NDArray[np.uint64],
    counts: NDArray[np.uint8],
) -> Integer:
    """Count block by block: pick the events inside, then add them, both without a branch.

    A branch on inside or outside would be mispredicted too often.
    """
    _, rows, columns = counts.shape
    width, height = len(column_of), len(row_of)
    flat, plane = counts.reshape(-1), np.uint64(rows * columns)
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


# A region rests for slices, and is counted with every packet.
@lru_cache(maxsize=16)
def _to_cells(
    region: AlignedRegion, grid: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the factors of x, y and 1 that give a pixel's column and row, float32 [3] each."""
    rows, columns = grid
    cosine, sine = math.cos(region.roll), math.sin(region.roll)
    factors = []
    for cells, along_x, along_y in ((columns, cosine, sine), (rows, -sine, cosine)):
        scale = cells / region.side
        centre = along_x * (region.x - 0.5) + along_y * (region.y - 0.5)
        factors.append(
            np.array([scale * along_x, scale * along_y, cells / 2 - scale * centre], np.float32)
        )
    return factors[0], factors[1]


@kernel
def _accumulate_aligned(
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.uint8],
    to_column: NDArray[np.float32],
    to_row: NDArray[np.float32],
    counts: NDArray[np.uint8],
) -> Integer:
    """Count block by block, as `_accumulate`."""
    _, rows, columns = counts.shape
    flat, plane = counts.reshape(-1), rows * columns
    picked = np.empty(_BLOCK + 1, np.int32)
    a, b, c = to_column
    d, e, f = to_row
    inside: Integer = 0
    for start in range(0, len(x), _BLOCK):
        count = 0
        for i in range(start, min(start + _BLOCK, len(x))):
            u, v = np.float32(x[i]), np.float32(y[i])
            column, row = a * u + b * v + c, d * u + e * v + f
            picked[count] = p[i] * plane + np.int32(row) * columns + np.int32(column)
            # Between -1 and 0, truncation would give the first cell.
            count += (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        for i in range(count):
            flat[picked[i]] += flat[picked[i]] < 255
        inside += count
    return inside
