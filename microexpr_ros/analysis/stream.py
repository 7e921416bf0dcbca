"""A recording as aligned slices: what the synchronizer makes of it, as fast as it can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from microexpr_ros.alignment.faces import MakeTracker
from microexpr_ros.alignment.synchronizer import (
    AlignedSlice,
    Synchronizer,
    SynchronizerOptions,
)
from microexpr_ros.events.events import Events, Frame, Triggers
from microexpr_ros.events.files import Recording
from microexpr_ros.events.files.bag_frames import BagFrames
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.perception.faces import EventFaceTracker


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
        synchronizer: cuts the slices; None for one that has seen nothing.

    Attributes:
        events: events so far.
        triggers: triggers so far.
        frames: frames so far that were given to the synchronizer.
        is_over: whether no more slices are wanted, though the recording may be read on.
    """

    def __init__(
        self,
        recording: Recording,
        options: SynchronizerOptions | None = None,
        *,
        make_tracker: MakeTracker = EventFaceTracker,
        rgb_topic: str | None = None,
        on_progress: Callable[[float], object] = lambda _: None,
        synchronizer: Synchronizer | None = None,
    ) -> None:
        self.events = self.triggers = self.frames = 0
        self.is_over = False
        self._frames_after = 0
        self._newest_ns: int | None = None
        self._recording = recording
        self._synchronizer = synchronizer or Synchronizer(
            recording.height, recording.width, options, make_tracker
        )
        self._on_progress = on_progress
        self._bag_frames = BagFrames(recording, rgb_topic)

    def __iter__(self) -> Iterator[AlignedSlice]:
        """Read the recording.

        Raises:
            MicroexprError: the recording is damaged, or has no images on the topic.
        """
        synchronizer = self._synchronizer
        frames = self._read_frames()
        frame = next(frames, None)
        for events, triggers in self._pieces():
            begins = [int(part.t[0]) for part in (events, triggers) if len(part)]
            ends = [int(part.t[-1]) for part in (events, triggers) if len(part)]
            epoch_ns = self._recording.epoch_ns
            seen_ns, self._newest_ns = self._newest_ns, epoch_ns + max(ends)
            while frame is not None and frame.t <= self._newest_ns:
                # A stream that begins amid a recording has a synchronizer that knows older ones.
                if self.frames or seen_ns is None or frame.t > seen_ns:
                    synchronizer.push_frame(frame)
                    self.frames += 1
                frame = next(frames, None)
            stamp_ns = epoch_ns + min(begins)
            slices = synchronizer.push(events, min(begins), stamp_ns, triggers=triggers)
            yield from (aligned for aligned in slices if not self.is_over)
        self._frames_after = sum(1 for _ in frames) + (frame is not None)
        yield from (aligned for aligned in synchronizer.flush() if not self.is_over)

    @property
    def losses(self) -> dict[str, int]:
        """What was left out of the recording so far, by reason, and what interrupted it."""
        recording, synchronizer = self._recording, self._synchronizer
        return {
            **recording.losses,
            'messages_damaged': recording.damage.messages,
            'damaged_places': len(recording.damage),
            'frames_unreadable': self._bag_frames.unreadable,
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
        images = self._bag_frames
        unreadable = (f'{images.topic}: {images.reason}',) if images.unreadable else ()
        return (*map(str, self._recording.damage), *unreadable)

    def _read_frames(self) -> Iterator[Frame]:
        """Iterate over the frames, with stamps on the clock of the packets' stamps."""
        recording, frames = self._recording, self._synchronizer.frames
        for frame in recording.frames():
            # Formats with frames of their own are of cameras that take both.
            frames.is_one_device = True
            yield replace(frame, t=recording.epoch_ns + frame.t)
        if recording.other_messages:
            for frame in self._bag_frames:
                frames.is_one_device = self._bag_frames.frame_id == recording.frame_id
                yield frame

    def _pieces(self) -> Iterator[tuple[Events, Triggers]]:
        """Iterate over pieces of the recording that end with the slice, if not before."""
        for events, triggers in self._recording.chunks():
            self.events += len(events)
            self.triggers += len(triggers)
            i = j = 0
            while i < len(events) or j < len(triggers):
                firsts = (*events.t[i : i + 1].tolist(), *triggers.t[j : j + 1].tolist())
                end_ns = (min(firsts) // SLICE_NS + 1) * SLICE_NS
                next_i = int(np.searchsorted(events.t, end_ns))
                next_j = int(np.searchsorted(triggers.t, end_ns))
                yield events[i:next_i], triggers[j:next_j]
                i, j = next_i, next_j
            self._on_progress(self._recording.fraction)
