"""Slices of fixed length: what the networks step on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import Region


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of the face region in one step of time, and the frame that became current.

    Attributes:
        end_ns: end of the slice, which it does not include; ROS time of the sensor.
        duration_ns: length of the slice.
        region: face region in sensor pixels, None if no face region is known.
        counts: uint8 [2, height, width], events per cell, OFF then ON, saturating.
        events: events inside the region, not saturating.
        frame: uint8 [height, width] grey or [height, width, 3] RGB, the region of the frame that
            became current in this slice, None if none did.
    """

    end_ns: int
    duration_ns: int
    region: Region | None
    counts: NDArray[np.uint8]
    events: int
    frame: NDArray[np.uint8] | None = None

    @property
    def pixels_per_cell(self) -> float:
        """Sensor pixels per cell of the grid: counts over this do not depend on the sensor."""
        if self.region is None:
            return 1.0
        cells = self.counts.size // 2
        return self.region.width * self.region.height / cells
