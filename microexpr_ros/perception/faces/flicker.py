"""Events of lamps that flicker, taken out of the counts of slices."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import Integer, end_faint, kernel, read_only

_MEASURED_S: Final = 0.3
_LEAST: Final = 0.1
"""Events per cell and slice below which no lamp flickers that matters."""

_BUSY: Final = 0.3
"""Events of either kind per slice from which a cell is busy."""

_REGULAR: Final = 0.5
"""Variance over mean up to which a cell's counts are regular; 1 for noise, more for movement."""

_COVERED: Final = 0.1
"""Share of the sensor that has to be busy."""


class FlickerFilter:
    """Takes away what comes in every slice alike.

    A lamp on mains makes the same pixels fire in each of its periods, so the counts of a cell
    differ little from slice to slice; what moves makes bursts, and noise has the variance of its
    mean. Light flickers where a part of the busy cells is so regular. Then the usual count of
    each cell is subtracted from it; without flicker, counts stay as they are.

    Args:
        shape: rows and columns of the grid.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._mean = np.zeros((2, *shape), np.float32)
        self._square = np.zeros((2, *shape), np.float32)
        self._usual = np.zeros((2, *shape), np.float32)
        self._left = np.zeros((2, *shape), np.uint8)
        self._events = self._measured = 0.0
        self._slices = 0
        self.flickers = False

    def reset(self) -> None:
        """Forget all events."""
        for array in (self._mean, self._square, self._usual):
            array[:] = 0
        self._events = self._measured = 0.0
        self._slices, self.flickers = 0, False

    def remove(self, counts: NDArray[np.uint8], duration_s: float) -> NDArray[np.uint8]:
        """Return the counts of the next slice without those of flicker.

        Args:
            counts: uint8 [2, rows, columns]; returned as they are where nothing flickers.
            duration_s: length of the slice.
        """
        new = np.float32(1 - np.exp(-duration_s / _MEASURED_S))
        per_cell = _count(read_only(counts)) / counts.size
        self._events += float(new) * (per_cell - self._events)
        if self._events < _LEAST:
            self.flickers = False
            return counts
        _measure(counts, new, self._mean, self._square, self._usual)
        # The averages began at 0: so much of them is of slices.
        self._measured += float(new) * (1 - self._measured)
        self._slices += 1
        if self._slices % 10 == 0:
            busy, regular = _count_regular(self._mean, self._square, np.float32(self._measured))
            flickers = busy > _COVERED * counts[0].size and regular > 0.5 * busy
            if flickers and not self.flickers:
                # Where there are many events, the usual count is far from where it began.
                np.divide(self._mean, self._measured, out=self._usual)
            self.flickers = flickers
        if not self.flickers:
            return counts
        _subtract(counts, self._usual, self._left)
        return self._left


@kernel
def _count(counts: NDArray[np.uint8]) -> Integer:
    """Return the sum of all counts."""
    total = np.int64(0)
    for row in counts.reshape(-1, counts.shape[2]):
        # Of a row, so that many are added up at once.
        events = np.uint32(0)
        for count in row:
            events += count
        total += events
    return total


@kernel
def _measure(
    counts: NDArray[np.uint8],
    new: np.float32,
    mean: NDArray[np.float32],
    square: NDArray[np.float32],
    usual: NDArray[np.float32],
) -> None:
    _, rows, columns = counts.shape
    for p in range(2):
        for r in range(rows):
            for c in range(columns):
                x = np.float32(counts[p, r, c])
                mean[p, r, c] = end_faint(mean[p, r, c] + new * (x - mean[p, r, c]))
                square[p, r, c] = end_faint(square[p, r, c] + new * (x * x - square[p, r, c]))
                # Follows the median: a burst counts no more than any other slice.
                most = np.float32(1) + np.float32(0.25) * usual[p, r, c]
                away = min(max(x - usual[p, r, c], -most), most)
                usual[p, r, c] = end_faint(usual[p, r, c] + np.float32(2) * new * away)


@kernel
def _count_regular(
    mean: NDArray[np.float32], square: NDArray[np.float32], measured: np.float32
) -> tuple[int, int]:
    """Return how many cells are busy with events of both kinds, and how many of them regular."""
    _, rows, columns = mean.shape
    busy = regular = 0
    for r in range(rows):
        for c in range(columns):
            off, on = mean[0, r, c] / measured, mean[1, r, c] / measured
            if off > _BUSY and on > _BUSY:
                busy += 1
                spread = (square[0, r, c] + square[1, r, c]) / measured - off * off - on * on
                if spread < _REGULAR * (off + on):
                    regular += 1
    return busy, regular


@kernel
def _subtract(
    counts: NDArray[np.uint8], usual: NDArray[np.float32], left: NDArray[np.uint8]
) -> None:
    _, rows, columns = counts.shape
    for p in range(2):
        for r in range(rows):
            for c in range(columns):
                more = np.float32(counts[p, r, c]) - usual[p, r, c]
                left[p, r, c] = np.uint8(max(more + np.float32(0.5), np.float32(0)))
