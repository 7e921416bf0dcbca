"""Slices of fixed length: what the networks step on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.region import AlignedRegion, Region

MAX_GAP_NS: Final = 10_000_000_000
"""A longer silence is not filled with empty slices: the cutter starts anew after it."""

MAX_BACK_NS: Final = 200_000_000
"""A longer step back in sensor time is another stream (a camera or a bag that begins again), not a
late packet."""

STEP_GROWTH: Final = 1.25
"""Stamps of successive slices are at most this factor further apart than those before them, or
over MAX_GAP_NS where the host's clock was set; a longer step shows that slices are missing."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The events of the face region in one step of time, and the frame that became current.

    Attributes:
        end_ns: end of the slice, which it does not include; ROS time.
        duration_ns: length of the slice.
        region: face region in sensor pixels, None if no face region is known; a rectangle where
            it is fixed.
        counts: uint8 [2, height, width], events per cell, OFF then ON, saturating.
        events: events inside the region, not saturating.
        frame: uint8 [height, width] grey or [height, width, 3] RGB, the region of the frame that
            became current in this slice, None if none did.
        frame_stamp_ns: ROS time of the frame's exposure; 0 without a frame.
        sensor_end_ns: end of the slice on the sensor's clock, or on any clock that advances by
            one duration per slice; None if `end_ns` does so.
        motion: how the head moves at the end of the slice; None if it was not measured.
        off_centre: how far the face has moved away, towards greater columns and rows, from where
            the region shows it, as shares of its side: a region rests while the face is near.
    """

    end_ns: int
    duration_ns: int
    region: Region | AlignedRegion | None
    counts: NDArray[np.uint8]
    events: int
    frame: NDArray[np.uint8] | None = None
    frame_stamp_ns: int = 0
    sensor_end_ns: int | None = None
    motion: HeadMotion | None = None
    off_centre: tuple[float, float] = (0.0, 0.0)

    @property
    def clock_end_ns(self) -> int:
        """End of the slice on the clock that slices are counted by."""
        return self.end_ns if self.sensor_end_ns is None else self.sensor_end_ns

    @property
    def pixels_per_cell(self) -> float:
        """Sensor pixels per cell of the grid: counts over this do not depend on the sensor."""
        if self.region is None:
            return 1.0
        return self.region.area / (self.counts.size // 2)


def blank_slice(grid: int, duration_ns: int = SLICE_NS) -> Slice:
    """Return a slice of a face in which nothing happened."""
    counts = np.zeros((2, grid, grid), np.uint8)
    region = AlignedRegion(grid / 2, grid / 2, float(grid))
    return Slice(duration_ns, duration_ns, region, counts, 0)


def follows(slice_: Slice, clock_end_ns: int) -> bool:
    """Return whether a slice begins where another ended, however the stamps behave.

    Args:
        slice_: the slice that came.
        clock_end_ns: `Slice.clock_end_ns` of the one before it.
    """
    return slice_.clock_end_ns - slice_.duration_ns == clock_end_ns


class SliceCounter:
    """Find out from stamps alone which slices are missing.

    Messages carry no sensor time. At any rate of replay, stamps of successive slices are a step
    apart that grows by at most STEP_GROWTH; a step of several times that is a gap. The step is
    learned from the stamps, so it may be ten times the length of a slice, or a tenth.

    Example:
        >>> counter = SliceCounter()
        >>> [counter.add(stamp) for stamp in (100, 120, 140, 200, 220, 100)]
        [0, 0, 0, 2, 0, None]
        >>> counter.index
        8

    Attributes:
        index: number of the last slice. It grows by one per slice and per missing slice, and by
            two where stamps went back, so that what came before is not followed on.
    """

    def __init__(self) -> None:
        self.index = 0
        self._stamp_ns: int | None = None
        self._step_ns: float | None = None

    def add(self, stamp_ns: int) -> int | None:
        """Take in the stamp of the next slice.

        Returns:
            How many slices are missing right before it; None where stamps went back, which
            begins another stream.
        """
        previous_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        if previous_ns is None:
            return 0
        step_ns = stamp_ns - previous_ns
        if step_ns <= 0:
            self.index += 2
            self._step_ns = None
            return None
        missing = 0
        if step_ns <= MAX_GAP_NS:
            if self._step_ns is not None:
                missing = max(round(step_ns / self._step_ns) - 1, 0)
            self._step_ns = step_ns / (1 + missing)
        self.index += 1 + missing
        return missing


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of the stream that lies within one slice.

    Attributes:
        events: the events of the piece, maybe none.
        ended_ns: end of the slice on the sensor's clock if the slice ends with this piece,
            None if more of it may come.
    """

    events: Events
    ended_ns: int | None


class SliceCutter:
    """Cut a stream of events into slices on a fixed grid of sensor time, leaving out none.

    Slice k covers [k * duration, (k + 1) * duration) of the sensor's clock. A slice ends when
    an event after it arrives or when time is said to have passed; a silent slice is cut too.

    Attributes:
        late: events that arrived after their slice had ended, and were dropped.
        restarts: times that the stream jumped and cutting started anew.
    """

    def __init__(self, duration_ns: int = SLICE_NS) -> None:
        if duration_ns <= 0:
            raise ValueError(f'a slice needs a length over 0 ns, not {duration_ns}')
        self._duration_ns = duration_ns
        self._end_ns: int | None = None
        self._newest_ns = 0
        self.late = 0
        self.restarts = 0

    @property
    def end_ns(self) -> int | None:
        """End of the slice that is open, on the sensor's clock; None if none is."""
        return self._end_ns

    def reset(self) -> None:
        """Forget the slice that is open; the next event opens a new one."""
        self._end_ns = None

    def is_another_stream(self, first_ns: int) -> bool:
        """Return whether events from a moment on do not continue those before them."""
        if self._end_ns is None:
            return False
        # Compared with the data that came: slices that silence has ended may be ahead of it.
        return first_ns - self._end_ns > MAX_GAP_NS or self._newest_ns - first_ns > MAX_BACK_NS

    def push(self, events: Events) -> Iterator[Cut]:
        """Cut the next events of the stream.

        Args:
            events: in the order of the sensor's clock.

        Yields:
            Pieces in order; consume them all before the next call.

        Example:
            >>> t = np.array([1, 12, 45], np.int64)
            >>> events = Events(t, *(np.zeros(3, d) for d in (np.uint16, np.uint16, np.uint8)))
            >>> [(cut.events.t.tolist(), cut.ended_ns) for cut in SliceCutter(10).push(events)]
            [([1], 10), ([12], 20), ([], 30), ([], 40), ([45], None)]
        """
        if not len(events):
            return
        first, newest = int(events.t[0]), int(events.t[-1])
        if self.is_another_stream(first):
            self.restarts += 1
            self.reset()
        self._newest_ns = newest if self._end_ns is None else max(self._newest_ns, newest)
        if self._end_ns is not None:
            start = self._end_ns - self._duration_ns
            if first < start:
                late = int(np.searchsorted(events.t, start))
                self.late += late
                events = events[late:]
                if not len(events):
                    return
        if self._end_ns is None:
            self._end_ns = (first // self._duration_ns + 1) * self._duration_ns
        begin = 0
        while newest >= self._end_ns:
            end = begin + int(np.searchsorted(events.t[begin:], self._end_ns))
            yield self._close(events[begin:end])
            begin = end
        yield Cut(events[begin:] if begin else events, None)

    def advance(self, sensor_ns: int) -> Iterator[Cut]:
        """End the slices that lie before a moment, although no event has arrived after them.

        Args:
            sensor_ns: a moment on the sensor's clock; events before it are not expected any more.
                One that is further away than MAX_GAP_NS is not believed: another clock made it.

        Yields:
            One piece without events per ended slice.
        """
        if self._end_ns is not None and sensor_ns - self._end_ns > MAX_GAP_NS:
            return
        while self._end_ns is not None and self._end_ns <= sensor_ns:
            yield self._close(Events.empty())

    def flush(self) -> Iterator[Cut]:
        """End the open slice, if there is one: its stream has ended."""
        if self._end_ns is not None:
            yield self._close(Events.empty())
            self.reset()

    def _close(self, events: Events) -> Cut:
        ended_ns = self._end_ns
        assert ended_ns is not None
        self._end_ns = ended_ns + self._duration_ns
        return Cut(events, ended_ns)
