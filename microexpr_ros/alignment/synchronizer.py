"""Both cameras on one clock: packets and frames in, slices of the face region out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.camera_geometry import CameraGeometry
from microexpr_ros.alignment.clock import SensorClock, StampLine
from microexpr_ros.alignment.face_alignment import measure_off_centre
from microexpr_ros.alignment.face_views import FaceView, FaceViews, FixedView, FollowedViews
from microexpr_ros.alignment.faces import MakeTracker, TimedFaceTracker
from microexpr_ros.alignment.frame_alignment import FrameAlignment, SyncSource
from microexpr_ros.alignment.frames import crop
from microexpr_ros.alignment.silence import Silence
from microexpr_ros.alignment.slices import MAX_BACK_NS, Cut, Slice, SliceCutter
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.grid import GRID, SLICE_NS
from microexpr_ros.events.region import Region

_LATE_NS: Final = 400_000_000
_WRAP_NS: Final = 2**24 * 1000


@dataclass(frozen=True, slots=True)
class SynchronizerOptions:
    """How slices are cut.

    Attributes:
        slice_ns: length of a slice.
        grid: rows and columns that the region is scaled to.
        region: the fixed face region, None to follow the face.
        geometry: which pixels of both cameras show the same; None if both see the same field of
            view.
        frame_offset_ns: how far the stamps of frames are ahead of those of the events; None to
            measure it where it is constant.
        patience_ns: how long a silent slice stays open at least for packets that are still
            under way.
        faces: how many faces are followed at most; each has slices of its own.
    """

    slice_ns: int = SLICE_NS
    grid: int = GRID
    region: Region | None = None
    geometry: CameraGeometry | None = None
    frame_offset_ns: int | None = 0
    patience_ns: int = 20_000_000
    faces: int = 1


@dataclass(frozen=True, slots=True)
class AlignedSlice:
    """A slice and what is known of its timing.

    Attributes:
        slice: events and frame of the face region.
        face: number of the face (`Face.number`); -1 while there is none. A fixed region counts
            as a face, of which another is found when a stream begins again.
        source: what ties the clocks of events and frames together.
        sync_error_ns: one sigma of it: of frames against events where triggers or one device
            tie them, else of the mapping from sensor to ROS time; infinite if stamps say nothing
            about time.
        newest_arrival_ns: arrival time of the packet with the slice's newest event, 0 if the
            slice has none; on the clock that the caller stamps arrivals with.
        landmarks: float32 [5, 2], those of the face (`Face.landmarks`) at the end of the slice,
            px of the sensor; None if they are not known, as in a fixed region.
        sigma: one sigma of their error, as a share of the distance between the eyes.
        given_id: id that another detector gave to the face (`Face.given_id`); empty without one.
    """

    slice: Slice
    face: int
    source: SyncSource
    sync_error_ns: float
    newest_arrival_ns: int
    landmarks: NDArray[np.float32] | None = None
    sigma: float = 0.0
    given_id: str = ''


class Synchronizer:
    """Cut packets of events and frames into aligned slices.

    Slices are cut on the sensor's clock alone. Stamps only give slices their ROS time; whatever
    they do, the same events make the same slices.

    Args:
        height: sensor rows.
        width: sensor columns.
        options: how slices are cut.
        make_tracker: makes what finds faces; not needed where the region is fixed.

    Raises:
        MicroexprError: the fixed region does not touch the sensor, or the geometry is for another
            sensor.

    Attributes:
        clock: maps the sensor's time to ROS time.
        line: makes the stamps of slices from it.
        cutter: cuts the events.
        frames: holds the frames, on the clock of the events.
    """

    def __init__(
        self,
        height: int,
        width: int,
        options: SynchronizerOptions | None = None,
        make_tracker: MakeTracker | None = None,
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
        self._geometry = options.geometry
        if self._geometry is not None:
            self._geometry.check_sensor(height, width)
        self.clock = SensorClock()
        self.line = StampLine()
        self._silence = Silence(options.patience_ns)
        self._last_packet: tuple[int, int] | None = None
        self._newest_ns = 0
        self.cutter = SliceCutter(options.slice_ns)
        self.frames = FrameAlignment(options.frame_offset_ns)
        self._jumps = 0
        self._newest_arrival_ns = 0
        self._views: FaceViews
        self._timed_tracker: TimedFaceTracker | None = None
        if region is not None:
            self._views = FixedView(region, options.grid)
        elif make_tracker is None:
            raise ValueError('without a fixed region, faces need a tracker: give make_tracker')
        else:
            tracker = make_tracker(height, width)
            self._views = FollowedViews(self._sensor, tracker, options.grid, options.faces)
            if isinstance(tracker, TimedFaceTracker):
                self._timed_tracker = tracker

    @property
    def clock_jumps(self) -> int:
        """Times that the host's clock was set while packets came."""
        return self._jumps + self.clock.jumps

    def push(
        self,
        events: Events,
        first_sensor_ns: int,
        stamp_ns: int,
        arrival_ns: int = 0,
        now_ns: int | None = None,
        triggers: Triggers | None = None,
    ) -> Iterator[AlignedSlice]:
        """Take in the events of one packet.

        Args:
            events: decoded events, maybe none, times on the sensor's clock.
            first_sensor_ns: sensor time of the packet's first data.
            stamp_ns: ROS time at which that data arrived at the host.
            arrival_ns: when the packet was published, for latencies only.
            now_ns: when the packet was received, on the clock of `advance`; its stamp if it is
                not known.
            triggers: edges of the packet on the trigger input.

        Yields:
            The slices that ended, in order; consume them all before the next call.
        """
        now_ns = stamp_ns if now_ns is None else now_ns
        if not len(events):
            self._push_triggers(triggers)
            self._silence.hear_nothing(now_ns)
            yield from self.advance(now_ns)
            return
        if self.cutter.is_another_stream(int(events.t[0])):
            yield from self.flush()
            self.cutter.restarts += 1
            self._restart(first_sensor_ns, stamp_ns)
        self._push_triggers(triggers)
        self._last_packet = first_sensor_ns, stamp_ns
        self.clock.update(first_sensor_ns, stamp_ns)
        self._silence.hear(first_sensor_ns, int(events.t[-1]), now_ns)
        self._newest_ns = int(events.t[-1])
        self.frames.push_early(self.clock.to_ros(first_sensor_ns))
        yield from self._collect(self.cutter.push(events), arrival_ns)

    def _push_triggers(self, triggers: Triggers | None) -> None:
        if triggers is not None and len(triggers):
            self.frames.strobe.push(triggers)

    def push_frame(self, frame: Frame) -> None:
        """Take in a frame; it comes out with the slice in which it became current.

        Frames whose clock is not that of the events are left out, as `frames.stamps` reports.

        Args:
            frame: its time is its stamp, ROS time.

        Raises:
            MicroexprError: the geometry of the cameras is for frames of another size.
        """
        if self._geometry is not None:
            self._geometry.check_frame(*frame.pixels.shape[:2])
        usable = self.clock.usable
        newest_ns = self.clock.to_ros(self._newest_ns) if usable else self.line.last_ns
        self.frames.push(frame, newest_ns)

    def advance(self, now_ns: int) -> Iterator[AlignedSlice]:
        """End the slices that nothing can arrive for any more.

        Args:
            now_ns: the present, on any clock of this machine.

        Yields:
            The slices that ended, in order.
        """
        passed_ns = self._silence.passed_ns(now_ns)
        if passed_ns is not None:
            yield from self._collect(self.cutter.advance(passed_ns), 0)

    def flush(self) -> Iterator[AlignedSlice]:
        """End the slice that is open, as the stream has ended."""
        yield from self._collect(self.cutter.flush(), self._newest_arrival_ns)

    def _restart(self, sensor_ns: int, stamp_ns: int) -> None:
        """Begin anew with a stream that does not continue the one before."""
        assert self._last_packet is not None
        stepped_ns = stamp_ns - self._last_packet[1]
        expected_ns = self.clock.rate * (sensor_ns - self._last_packet[0])
        # Sensor time of a recording that was joined in its midst may lack some wraps.
        unlike_ns = math.remainder(stepped_ns - expected_ns, self.clock.rate * _WRAP_NS)
        self.line.restart(
            is_played_again=stepped_ns < -MAX_BACK_NS
            and abs(unlike_ns) < _LATE_NS + 1e-3 * abs(expected_ns)
        )
        self._jumps += self.clock.jumps
        self.clock = SensorClock()
        self._silence.restart()
        self.frames.restart()
        self._views.restart()
        self._newest_arrival_ns = 0

    def _collect(self, cuts: Iterable[Cut], arrival_ns: int) -> Iterator[AlignedSlice]:
        for cut in cuts:
            if len(cut.events):
                self._newest_arrival_ns = arrival_ns
                self._views.add(cut.events)
            if cut.ended_ns is not None:
                yield from self._finish(cut.ended_ns)

    def _finish(self, ended_ns: int) -> Iterator[AlignedSlice]:
        duration_ns = self._options.slice_ns
        end_ns = self.line.stamp(ended_ns, duration_ns, self.clock)
        usable = self.clock.usable
        frame = self.frames.take(self.clock.to_ros(ended_ns) if usable else end_ns, self.clock)
        if self._timed_tracker is not None:
            self._timed_tracker.see(end_ns, frame)
        views = self._views.close(duration_ns / 1e9)
        newest_arrival_ns, self._newest_arrival_ns = self._newest_arrival_ns, 0
        for view in views or (None,):
            face = None if view is None else view.face
            found = face if face is not None and face.has_landmarks else None
            landmarks = None if found is None else found.landmarks
            yield AlignedSlice(
                slice=self._show(view, landmarks, frame, end_ns, ended_ns),
                face=-1 if view is None else view.number,
                source=self.frames.source,
                sync_error_ns=self.frames.error_ns(self.clock, self.line),
                newest_arrival_ns=newest_arrival_ns,
                landmarks=landmarks,
                sigma=0.0 if found is None else found.sigma,
                given_id='' if view is None else view.given_id,
            )

    def _show(
        self,
        view: FaceView | None,
        landmarks: NDArray[np.float32] | None,
        frame: Frame | None,
        end_ns: int,
        ended_ns: int,
    ) -> Slice:
        """Return the slice of one face, or that in which there is none."""
        options = self._options
        grid = options.grid, options.grid
        if view is None:
            nothing = np.zeros((2, *grid), np.uint8)
            return Slice(end_ns, options.slice_ns, None, nothing, 0, sensor_end_ns=ended_ns)
        pixels = None
        if frame is not None:
            sensor = self._sensor.height, self._sensor.width
            homography = self._geometry.homography_at(view.region) if self._geometry else None
            pixels = crop(frame.pixels, view.region, sensor, grid, homography)
        return Slice(
            end_ns,
            options.slice_ns,
            view.region,
            view.counts,
            view.events,
            pixels,
            0 if frame is None else frame.t,
            ended_ns,
            view.motion,
            measure_off_centre(view.region, landmarks),
        )
