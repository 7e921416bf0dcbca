"""Event rates over a face region, which show a moving head or a silent sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.kernel import kernel, read_only

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
        _, rows, columns = counts.shape
        cells = rows // BLOCKS * (columns // BLOCKS)
        duration_s = duration_ns * 1e-9
        now_hz = _sum_blocks(read_only(counts)) / (cells * pixels_per_cell * duration_s)
        recent = math.exp(-duration_s * 1e3 / self.moving_tau_ms)
        longer = math.exp(-duration_s * 1e3 / self.silent_tau_ms)
        return Activity(
            (recent * activity.blocks_hz + (1 - recent) * now_hz).astype(np.float32),
            longer * activity.total_hz + (1 - longer) * float(now_hz.mean()),
        )

    def head_moves(self, activity: Activity) -> bool:
        """Return whether many places of the region are active."""
        return bool((activity.blocks_hz > self.moving_hz).mean() >= self.moving_share)

    def silent(self, activity: Activity) -> bool:
        """Return whether the region has been silent for long."""
        return activity.total_hz < self.silent_hz


@kernel
def _sum_blocks(counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the events of each block of cells, int64 [BLOCKS, BLOCKS], of both polarities."""
    polarities, rows, columns = counts.shape
    height, width = rows // BLOCKS, columns // BLOCKS
    blocks = np.zeros((BLOCKS, BLOCKS), np.int64)
    for p in range(polarities):
        for r in range(BLOCKS * height):
            for j in range(BLOCKS):
                for c in range(j * width, (j + 1) * width):
                    blocks[r // height, j] += counts[p, r, c]
    return blocks
