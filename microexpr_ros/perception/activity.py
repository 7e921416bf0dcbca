"""Event rates over a face region, which show a moving head or a silent sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import end_faint, kernel, read_only

BLOCKS: Final = 8
"""Blocks per side that the region is divided into."""


@dataclass(frozen=True, slots=True)
class Activity:
    """Recent event rates.

    Attributes:
        blocks_hz: float32 [BLOCKS, BLOCKS], events per sensor pixel and second, recently.
        total_hz: events per sensor pixel and second over the region, in the longer run.
    """

    blocks_hz: NDArray[np.float32]
    total_hz: float

    @classmethod
    def none(cls) -> Activity:
        """Return the activity before the first event."""
        return cls(np.zeros((BLOCKS, BLOCKS), np.float32), 0.0)


@dataclass(frozen=True, slots=True)
class ActivityConfiguration:
    """Limits on event rates.

    The movement of a unit causes events in a few places; a moving head, or changing light, in
    many.

    Attributes:
        moving_tau_ms: time constant of the blocks' rates.
        moving_hz: rate over which a block counts as moving.
        moving_share: share of moving blocks from which the head counts as moving.
        silent_tau_ms: time constant of the region's rate.
        silent_hz: rate under which the region counts as silent.
    """

    moving_tau_ms: float = 100.0
    moving_hz: float = 3.0
    moving_share: float = 0.25
    silent_tau_ms: float = 500.0
    silent_hz: float = 0.02

    def observe(
        self,
        counts: NDArray[np.uint8],
        pixels_per_cell: float,
        duration_ns: int,
        activity: Activity,
    ) -> Activity:
        """Return the activity after one more slice.

        Args:
            counts: uint8 [2, rows, columns], rows and columns multiples of `BLOCKS`.
            pixels_per_cell: sensor pixels per cell.
            duration_ns: length of the slice.
            activity: before the slice.
        """
        duration_s = duration_ns * 1e-9
        recent = math.exp(-duration_s * 1e3 / self.moving_tau_ms)
        longer = math.exp(-duration_s * 1e3 / self.silent_tau_ms)
        blocks_hz = np.empty((BLOCKS, BLOCKS), np.float32)
        now_hz = _follow_rates(
            read_only(counts),
            pixels_per_cell * duration_s,
            recent,
            read_only(activity.blocks_hz),
            blocks_hz,
        )
        return Activity(blocks_hz, longer * activity.total_hz + (1 - longer) * now_hz)

    def head_moves(self, activity: Activity) -> bool:
        """Return whether many places of the region are active."""
        return bool((activity.blocks_hz > self.moving_hz).mean() >= self.moving_share)

    def silent(self, activity: Activity) -> bool:
        """Return whether the region has been silent for long."""
        return activity.total_hz < self.silent_hz


@kernel
def _follow_rates(
    counts: NDArray[np.uint8],
    exposure: float,
    keep: float,
    before_hz: NDArray[np.float32],
    blocks_hz: NDArray[np.float32],
) -> float:
    """Follow the rates of the blocks of cells, of both polarities; return the mean of the newest.

    Args:
        counts: uint8 [2, rows, columns].
        exposure: pixels of a cell, times the length of the slice in s.
        keep: share of the rates before.
        before_hz: float32 [BLOCKS, BLOCKS].
        blocks_hz: takes the new rates.
    """
    polarities, rows, columns = counts.shape
    height, width = rows // BLOCKS, columns // BLOCKS
    total_hz = 0.0
    for i in range(BLOCKS):
        for j in range(BLOCKS):
            events = np.int64(0)
            for p in range(polarities):
                for r in range(i * height, (i + 1) * height):
                    for c in range(j * width, (j + 1) * width):
                        events += counts[p, r, c]
            now_hz = events / (height * width * exposure)
            total_hz += now_hz
            rate_hz = np.float32(keep * before_hz[i, j] + (1 - keep) * now_hz)
            blocks_hz[i, j] = end_faint(rate_hz)
    return total_hz / BLOCKS**2
