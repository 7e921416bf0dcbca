"""When frames were taken, by the best of what ties their camera to the events."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import IntEnum

from microexpr_ros.alignment.clock import SensorClock, StampLine
from microexpr_ros.alignment.frame_stamps import FrameStamps
from microexpr_ros.alignment.frames import FrameQueue
from microexpr_ros.alignment.strobe import RESOLUTION_NS, Strobe
from microexpr_ros.events.events import Frame


class SyncSource(IntEnum):
    """What ties the two cameras' clocks together; the numbers are those of AlignedEvents."""

    NONE = 0
    SOFTWARE = 1
    TRIGGER = 2
    SHARED_CLOCK = 3


class FrameAlignment:
    """Hold frames until the slice in which they were taken, on the clock of the events.

    Args:
        offset_ns: as of FrameStamps.

    Attributes:
        stamps: whether the frames' stamps are on the clock of the events.
        strobe: the pulses of the frame camera.
        is_one_device: whether events and frames are of one camera, whose clock both are on.
    """

    def __init__(self, offset_ns: int | None = 0) -> None:
        self.stamps = FrameStamps(offset_ns)
        self.strobe = Strobe()
        self.is_one_device = False
        self._queue = FrameQueue()
        self._early: Frame | None = None
        self._has_frames = False
        self._is_triggered = False

    def restart(self) -> None:
        """Forget what was counted on the sensor's clock: it begins again."""
        self._queue.clear()
        self.strobe = Strobe()
        self._is_triggered = False

    def push(self, frame: Frame, newest_ns: int | None) -> None:
        """Take in a frame, unless its clock is not that of the events.

        Args:
            frame: its time is its stamp.
            newest_ns: ROS time of the newest events, None before the first: the frame waits
                for them then.
        """
        self._has_frames = True
        if newest_ns is None:
            self._early = frame
            return
        placed_ns = self.stamps.place(frame.t, newest_ns)
        if placed_ns is not None:
            self._queue.push(replace(frame, t=placed_ns))

    def push_early(self, newest_ns: int) -> None:
        """Take in the frame that has waited for the first events, if there is one."""
        if self._early is not None:
            frame, self._early = self._early, None
            self.push(frame, newest_ns)

    def take(self, end_ns: int, clock: SensorClock) -> Frame | None:
        """Return the frame that became current before a moment, at the time it was taken."""
        if self._is_triggered:
            # A stamp lags the pulse that the frame was taken at.
            end_ns += round(self.strobe.latency_ns * clock.rate)
        frame = self._queue.take(end_ns)
        if frame is None or self.is_one_device or not clock.usable:
            return frame
        taken_ns = self.strobe.match(clock.to_sensor(frame.t))
        self._is_triggered = taken_ns is not None
        return frame if taken_ns is None else replace(frame, t=clock.to_ros(taken_ns))

    @property
    def skipped(self) -> int:
        """Frames that a newer one replaced before any slice showed them."""
        return self._queue.skipped

    @property
    def source(self) -> SyncSource:
        """What ties the clocks of events and frames together now."""
        if not self._has_frames or self.stamps.is_refusing:
            return SyncSource.NONE
        if self.is_one_device:
            return SyncSource.SHARED_CLOCK
        return SyncSource.TRIGGER if self._is_triggered else SyncSource.SOFTWARE

    def error_ns(self, clock: SensorClock, line: StampLine) -> float:
        """Return one sigma of what ties the clocks together, as of AlignedSlice."""
        if self.source is SyncSource.TRIGGER:
            return RESOLUTION_NS
        if not clock.usable:
            return math.inf
        if self.source is SyncSource.SHARED_CLOCK:
            # The driver stamps what it reads at once, so a frame is as late as its packets.
            return clock.jitter_ns
        return math.hypot(clock.sigma_ns, line.behind_ns, self.stamps.sigma_ns)
