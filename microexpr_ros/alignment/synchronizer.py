"""Both cameras on one clock: packets and frames in, slices of the face region out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.clock import SensorClock
from microexpr_ros.alignment.face_region import FaceRegionTracker, TrackerOptions
from microexpr_ros.alignment.frames import FrameQueue, crop
from microexpr_ros.alignment.slices import Cut, Slice, SliceCutter
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.events.grid import GRID, SLICE_NS, accumulate
from microexpr_ros.events.region import Region


class SyncSource(IntEnum):
    """What ties the two cameras' clocks together; the numbers are those of AlignedEvents."""

    NONE = 0
    SOFTWARE = 1
    TRIGGER = 2
    SHARED_CLOCK = 3


@dataclass(frozen=True, slots=True)
class SynchronizerOptions:
    """How slices are cut.

    Attributes:
        slice_ns: length of a slice.
        grid: rows and columns that the region is scaled to.
        region: the fixed face region, None to follow the face.
        homography: row-major 3x3 from event pixels to frame pixels; empty if both cameras see
            the same field of view.
        patience_ns: how long a silent slice stays open for packets that are still under way.
        tracker: how the face is followed.
    """

    slice_ns: int = SLICE_NS
    grid: int = GRID
    region: Region | None = None
    homography: tuple[float, ...] = ()
    patience_ns: int = 20_000_000
    tracker: TrackerOptions = field(default_factory=TrackerOptions)

    def __post_init__(self) -> None:
        if len(self.homography) not in (0, 9):
            raise MicroexprError(
                f'homography has {len(self.homography)} numbers; give the 9 of a 3x3 matrix, '
                'row by row, or none'
            )


@dataclass(frozen=True, slots=True)
class AlignedSlice:
    """A slice and what is known of its timing.

    Attributes:
        slice: events and frame of the face region.
        face: number of the face, counted up whenever one is found anew; -1 while there is none.
        source: what ties the clocks together.
        sync_error_ns: one sigma of the mapping from sensor to ROS time.
        newest_arrival_ns: arrival time of the packet with the slice's newest event, 0 if the
            slice has none; on the clock that the caller stamps arrivals with.
    """

    slice: Slice
    face: int
    source: SyncSource
    sync_error_ns: float
    newest_arrival_ns: int


class Synchronizer:
    """Cut packets of events and frames into aligned slices.

    Args:
        height: sensor rows.
        width: sensor columns.
        options: how slices are cut.

    Raises:
        MicroexprError: the fixed region does not touch the sensor.

    Attributes:
        clock_jumps: times that a clock jumped and slicing started anew.
    """

    def __init__(
        self, height: int, width: int, options: SynchronizerOptions | None = None
    ) -> None:
        self._options = options = options or SynchronizerOptions()
        region = options.region
        if region is not None and not (
            region.x < width
            and region.y < height
            and region.x + region.width > 0
            and region.y + region.height > 0
        ):
            raise MicroexprError(
                f'region {region.width} x {region.height} at ({region.x}, {region.y}) lies '
                f'outside the {width} x {height} sensor; set region to pixels of this sensor'
            )
        self._sensor = Region(0, 0, width, height)
        self._homography: NDArray[np.float64] | None = None
        if options.homography:
            self._homography = np.array(options.homography).reshape(3, 3)
        self.clock = SensorClock()
        self.cutter = SliceCutter(options.slice_ns)
        self.frames = FrameQueue()
        self.clock_jumps = 0
        self._restarts = 0
        self._tracker = FaceRegionTracker(height, width, options.tracker)
        self._activity = np.zeros((2, *self._tracker.shape), np.uint8)
        self._face = -1
        self._region: Region | None = None
        self._has_frames = False
        self._open_slice()

    def push(
        self, events: Events, first_sensor_ns: int, stamp_ns: int, arrival_ns: int = 0
    ) -> Iterator[AlignedSlice]:
        """Take in the events of one packet.

        Args:
            events: decoded events, maybe none, times on the sensor's clock.
            first_sensor_ns: sensor time of the packet's first data.
            stamp_ns: ROS time at which that data arrived at the host.
            arrival_ns: when the packet was published, for latencies only.

        Yields:
            The slices that ended, in order; consume them all before the next call.
        """
        if self.clock.update(first_sensor_ns, stamp_ns):
            self.clock_jumps += 1
            self._restart()
        yield from self._collect(self.cutter.push(events), arrival_ns)

    def push_frame(self, frame: Frame) -> None:
        """Take in a frame; it comes out with the slice in which it became current."""
        self._has_frames = True
        self.frames.push(frame)

    def advance(self, now_ns: int) -> Iterator[AlignedSlice]:
        """End the slices that nothing can arrive for any more.

        Args:
            now_ns: present ROS time.

        Yields:
            The slices that ended, in order.
        """
        clock = self.clock.estimate
        if clock is not None:
            sensor_ns = now_ns - clock.offset_ns - self._options.patience_ns
            yield from self._collect(self.cutter.advance(sensor_ns), 0)

    def _restart(self) -> None:
        self.cutter.reset()
        self._forget()

    def _forget(self) -> None:
        self.frames.clear()
        self._tracker.reset()
        self._open_slice()

    def _open_slice(self) -> None:
        # The region rests while a slice is open, so that its cells mean one place.
        previous, self._region = self._region, self._options.region or self._tracker.region
        if self._region is not None and previous is None:
            self._face += 1
        self._counts = np.zeros((2, self._options.grid, self._options.grid), np.uint8)
        self._events = 0
        self._newest_arrival_ns = 0
        self._activity[:] = 0

    def _collect(self, cuts: Iterable[Cut], arrival_ns: int) -> Iterator[AlignedSlice]:
        for cut in cuts:
            if self.cutter.restarts != self._restarts:
                self._restarts = self.cutter.restarts
                self._forget()
            if len(cut.events):
                self._newest_arrival_ns = arrival_ns
                if self._options.region is None:
                    accumulate(cut.events, self._sensor, self._activity)
                if self._region is not None:
                    self._events += accumulate(cut.events, self._region, self._counts)
            if cut.ended_ns is not None:
                yield self._finish(cut.ended_ns)

    def _finish(self, ended_ns: int) -> AlignedSlice:
        options = self._options
        clock = self.clock.estimate
        assert clock is not None
        end_ns = ended_ns + clock.offset_ns
        frame = self.frames.take(end_ns)
        pixels = None
        if frame is not None and self._region is not None:
            pixels = crop(
                frame.pixels,
                self._region,
                (self._sensor.height, self._sensor.width),
                (options.grid, options.grid),
                self._homography,
            )
        aligned = AlignedSlice(
            slice=Slice(
                end_ns,
                options.slice_ns,
                self._region,
                self._counts,
                self._events,
                pixels,
                0 if pixels is None or frame is None else frame.t,
            ),
            face=self._face if self._region is not None else -1,
            source=SyncSource.SOFTWARE if self._has_frames else SyncSource.NONE,
            sync_error_ns=clock.jitter_ns,
            newest_arrival_ns=self._newest_arrival_ns,
        )
        if options.region is None:
            self._tracker.update(self._activity, options.slice_ns / 1e9)
        self._open_slice()
        return aligned
