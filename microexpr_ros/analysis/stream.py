"""A recording as aligned slices: what the synchronizer makes of it, as fast as it can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from microexpr_ros.alignment.faces import MakeTracker
from microexpr_ros.alignment.synchronizer import (
    AlignedSlice,
    Synchronizer,
    SynchronizerOptions,
)
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files import Position, Recording
from microexpr_ros.events.files.bag_frames import BagFrames, FramesRead
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.perception.faces import EventFaceTracker


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """How far the slices of a recording were cut, for any other process to go on there.

    Attributes:
        begin_ns: begin of the first slice of all, on the sensor's clock.
        synchronizer: has seen all that comes before.
        position: of the first events and triggers that the synchronizer has not seen.
        frame: frame that was read but not given to it; None if there is none.
        own_frames: frames of the recording's own that were read.
        bag_frames: how far those of a bag were read.
        events: as of `SliceStream`.
        triggers: as of `SliceStream`.
        frames: as of `SliceStream`.
    """

    begin_ns: int
    synchronizer: Synchronizer
    position: Position
    frame: Frame | None
    own_frames: int
    bag_frames: FramesRead
    events: int
    triggers: int
    frames: int


class SliceStream:
    """Iterate over the aligned slices of a recording; once.

    Time is that of the recording alone: its sensor's clock cuts the slices, and its stamps date
    them. A frame is there when the events of its time are.

    Args:
        recording: what to read.
        options: how slices are cut.
        make_tracker: makes what finds faces where the region is not fixed.
        rgb_topic: topic of a bag's images; None for the first in the bag, if it has any.
        on_progress: called with the fraction of the recording that is read.
        state: where to go on; None for the begin of the recording. It is used up.
        until: given the times on the sensor's clock of the begin of the first slice of all and
            of what comes next, says whether to stop before that.

    Attributes:
        events: events so far.
        triggers: triggers so far.
        frames: frames so far that were given to the synchronizer.
        stopped: where it stopped, if the recording goes on.
    """

    def __init__(
        self,
        recording: Recording,
        options: SynchronizerOptions | None = None,
        *,
        make_tracker: MakeTracker = EventFaceTracker,
        rgb_topic: str | None = None,
        on_progress: Callable[[float], object] = lambda _: None,
        state: StreamState | None = None,
        until: Callable[[int, int], bool] = lambda *_: False,
    ) -> None:
        self.events = self.triggers = self.frames = 0
        self.stopped: StreamState | None = None
        self._frames_after = self._own_frames = 0
        self._begin_ns: int | None = None
        self._recording = recording
        self._on_progress = on_progress
        self._state = state
        self._until = until
        if state is None:
            self._synchronizer = Synchronizer(
                recording.height, recording.width, options, make_tracker
            )
            self._bag_frames = BagFrames(recording, rgb_topic)
            return
        self.events, self.triggers, self.frames = state.events, state.triggers, state.frames
        self._own_frames, self._begin_ns = state.own_frames, state.begin_ns
        self._synchronizer = state.synchronizer
        self._bag_frames = BagFrames(recording, rgb_topic, state.bag_frames)

    def __iter__(self) -> Iterator[AlignedSlice]:
        """Read the recording.

        Raises:
            MicroexprError: the recording is damaged, or has no images on the topic.
        """
        synchronizer = self._synchronizer
        frames = self._read_frames()
        frame = self._state.frame if self._state else None
        frame = frame or next(frames, None)
        for events, triggers, rest in self._pieces():
            begins_ns = min(int(part.t[0]) for part in (events, triggers) if len(part))
            ends_ns = max(int(part.t[-1]) for part in (events, triggers) if len(part))
            if self._begin_ns is None:
                self._begin_ns = begins_ns // SLICE_NS * SLICE_NS
            if self._until(self._begin_ns, begins_ns):
                self.stopped = self._stop(self._begin_ns, rest, frame)
                return
            epoch_ns = self._recording.epoch_ns
            while frame is not None and frame.t <= epoch_ns + ends_ns:
                synchronizer.push_frame(frame)
                self.frames += 1
                frame = next(frames, None)
            stamp_ns = epoch_ns + begins_ns
            yield from synchronizer.push(events, begins_ns, stamp_ns, triggers=triggers)
        self._frames_after = sum(1 for _ in frames) + (frame is not None)
        yield from synchronizer.flush()

    @property
    def losses(self) -> dict[str, int]:
        """What was left out of the recording so far, by reason, and what interrupted it."""
        recording, synchronizer = self._recording, self._synchronizer
        return {
            **recording.losses,
            'messages_damaged': recording.damage.messages,
            'damaged_places': len(recording.damage),
            'frames_unreadable': self._bag_frames.read.unreadable,
            'frames_of_another_clock': synchronizer.frames.stamps.refused,
            'frames_after_the_events': self._frames_after,
            'frames_skipped': synchronizer.frames.skipped,
            'events_late': synchronizer.cutter.late,
            'restarts_of_slicing': synchronizer.cutter.restarts,
            'jumps_of_stamps': synchronizer.clock_jumps,
        }

    @property
    def damage(self) -> tuple[str, ...]:
        """What is damaged, one line each."""
        read = self._bag_frames.read
        unreadable = (f'{read.topic}: {read.reason}',) if read.unreadable else ()
        return (*map(str, self._recording.damage), *unreadable)

    def _read_frames(self) -> Iterator[Frame]:
        """Iterate over the frames, with stamps on the clock of the packets' stamps."""
        recording, frames = self._recording, self._synchronizer.frames
        for frame in islice(recording.frames(), self._own_frames, None):
            self._own_frames += 1
            # Formats with frames of their own are of cameras that take both.
            frames.is_one_device = True
            yield replace(frame, t=recording.epoch_ns + frame.t)
        if recording.other_messages:
            for frame in self._bag_frames:
                frames.is_one_device = self._bag_frames.read.frame_id == recording.frame_id
                yield frame

    def _pieces(self) -> Iterator[tuple[Events, Triggers, tuple[Events, Triggers]]]:
        """Iterate over pieces of the recording that end with the slice, if not before.

        Yields:
            Events and triggers of a piece, and those that were read from this piece on.
        """
        position = None if self._state is None else self._state.position
        for events, triggers in self._recording.chunks(position):
            self.events += len(events)
            self.triggers += len(triggers)
            i = j = 0
            while i < len(events) or j < len(triggers):
                firsts = (*events.t[i : i + 1].tolist(), *triggers.t[j : j + 1].tolist())
                end_ns = (min(firsts) // SLICE_NS + 1) * SLICE_NS
                next_i = int(np.searchsorted(events.t, end_ns))
                next_j = int(np.searchsorted(triggers.t, end_ns))
                yield events[i:next_i], triggers[j:next_j], (events[i:], triggers[j:])
                i, j = next_i, next_j
            self._on_progress(self._recording.fraction)

    def _stop(
        self, begin_ns: int, rest: tuple[Events, Triggers], frame: Frame | None
    ) -> StreamState:
        events, triggers = rest
        return StreamState(
            begin_ns,
            self._synchronizer,
            self._recording.position(rest),
            frame,
            self._own_frames,
            self._bag_frames.read,
            self.events - len(events),
            self.triggers - len(triggers),
            self.frames,
        )
