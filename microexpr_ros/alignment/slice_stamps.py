"""From the clock that slices are counted by to their stamps."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

REMEMBERED: Final = 1000
"""Slices whose stamps are kept: no expression lasts that long."""


class SliceStamps:
    """Remember the stamps of the last slices, to stamp a moment between them.

    Example:
        >>> stamps = SliceStamps()
        >>> stamps.add(10, 1000)
        >>> stamps.add(20, 1040)
        >>> stamps.to_ros(15), stamps.to_ros(5)
        (1020, 995)
    """

    def __init__(self) -> None:
        self._stamps: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    def add(self, clock_end_ns: int, stamp_ns: int) -> None:
        """Take in the end of the next slice, on its clock and as a stamp."""
        self._stamps.append((clock_end_ns, stamp_ns))

    def clear(self) -> None:
        """Forget all slices."""
        self._stamps.clear()

    def to_ros(self, clock_ns: int) -> int:
        """Return the stamp of a moment on the clock that slices are counted by."""
        first_ns, stamp_ns = self._stamps[0]
        counted, stamps = (np.array(self._stamps) - self._stamps[0]).T
        elapsed_ns = clock_ns - first_ns
        if elapsed_ns < 0:
            return stamp_ns + elapsed_ns
        return stamp_ns + round(float(np.interp(elapsed_ns, counted, stamps)))
