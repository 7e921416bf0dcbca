"""One clock: from the sensor's time to ROS time, by the stamps that packets arrive with."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

JUMP_NS: Final = 500_000_000
"""A mapping that is wrong by more than this is a jump of one of the clocks, not jitter."""


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """How sensor time maps to ROS time now.

    Attributes:
        offset_ns: ROS time minus sensor time.
        jitter_ns: one sigma of the offset over the recent packets, the error of the mapping.
    """

    offset_ns: int
    jitter_ns: float


class SensorClock:
    """Map sensor time to ROS time from the arrival stamps of packets.

    A packet can be late, never early: the offset is the smallest of the recent differences
    between arrival stamp and first sensor time. A smaller difference proves the offset wrong
    and is followed at once. Upwards, where the minimum only leaves the window or the clocks
    drift, the offset follows slowly, so that slices keep their length in ROS time.

    Args:
        window: packets that the minimum is taken over.
        max_slew: fastest growth of the offset, seconds per second. Crystal clocks drift by
            less than 1e-4.
    """

    def __init__(self, window: int = 25, max_slew: float = 1e-3) -> None:
        self._samples: deque[int] = deque(maxlen=window)
        self._max_slew = max_slew
        self._offset_ns: int | None = None
        self._last_sensor_ns = 0

    def update(self, sensor_ns: int, stamp_ns: int) -> bool:
        """Take in one packet.

        Args:
            sensor_ns: sensor time of the packet's first data.
            stamp_ns: ROS time at which that data arrived at the host.

        Returns:
            Whether a clock jumped: the mapping has started anew, and so must everything that
            was counted on the old one.
        """
        sample = stamp_ns - sensor_ns
        jumped = self._offset_ns is not None and abs(sample - self._offset_ns) > JUMP_NS
        if self._offset_ns is None or jumped:
            self._samples.clear()
            self._samples.append(sample)
            self._offset_ns = sample
        else:
            self._samples.append(sample)
            step = min(self._samples) - self._offset_ns
            limit = int(self._max_slew * max(sensor_ns - self._last_sensor_ns, 0))
            self._offset_ns += min(step, limit)
        self._last_sensor_ns = sensor_ns
        return jumped

    @property
    def estimate(self) -> ClockEstimate | None:
        """The present mapping, None before the first packet."""
        if self._offset_ns is None:
            return None
        return ClockEstimate(self._offset_ns, float(np.std(self._samples)))
