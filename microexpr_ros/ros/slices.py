"""The input of the nodes that run a network: slices of one face after the other."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

import numpy as np

from microexpr_ros.alignment.slices import SliceCounter
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.msg import AlignedEvents
from microexpr_ros.ros.conversions import message_to_aligned
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Latency, Rate

REMEMBERED = 1000
"""Slices whose stamps are kept: no expression lasts that long."""

LONGEST_LATENCY_NS = 10_000_000_000
"""An arrival longer ago than this belongs to a recording."""


class SliceInput:
    """Follow the incoming slices: whose face they show, and which ones are missing.

    Attributes:
        face: id of the face of the last slice, empty without one.
        done: slices that were processed.
    """

    def __init__(self) -> None:
        self.face = ''
        self.done = Rate()
        self._counter = SliceCounter()
        self._stamps: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._missed = self._diagnosed = 0
        self._latency = Latency()

    def take(self, message: AlignedEvents) -> tuple[AlignedSlice, bool]:
        """Return the slice of a message, and whether it shows another face than the one before.

        Raises:
            MicroexprError: the message is malformed.
        """
        aligned = message_to_aligned(message)
        is_new_face = message.face_id != self.face
        missing = self._counter.add(aligned.slice.end_ns)
        if missing and not is_new_face:
            self._missed += missing
        self.face = message.face_id
        # The message has no sensor time: a count of slices does as well.
        counted_ns = self._counter.index * aligned.slice.duration_ns
        counted = replace(aligned.slice, sensor_end_ns=counted_ns)
        if missing is None:
            self._stamps.clear()
        self._stamps.append((counted_ns, counted.end_ns))
        return replace(aligned, slice=counted), is_new_face

    def to_ros(self, clock_ns: int) -> int:
        """Return the stamp of a moment on the clock that slices are counted by."""
        first_ns, stamp_ns = self._stamps[0]
        counted, stamps = (np.array(self._stamps) - self._stamps[0]).T
        elapsed_ns = clock_ns - first_ns
        if elapsed_ns < 0:
            return stamp_ns + elapsed_ns
        return stamp_ns + round(float(np.interp(elapsed_ns, counted, stamps)))

    def latency_ns(self, aligned: AlignedSlice) -> int:
        """Return and count how long ago the slice's newest packet was published.

        0 if that is unknown, as for slices of a bag or of a host with another clock.
        """
        latency_ns = time.time_ns() - aligned.newest_arrival_ns
        if not 0 <= latency_ns < LONGEST_LATENCY_NS:
            return 0
        self._latency.add(latency_ns)
        return latency_ns

    def diagnose(self, values: dict[str, object]) -> Diagnosis:
        """Return how the node is doing, with values of its own added."""
        lagging, self._diagnosed = self._missed > self._diagnosed, self._missed
        if lagging:
            message = 'slices were missed'
        else:
            message = 'running' if self.done.total else 'waiting for slices'
        return Diagnosis(
            WARN if lagging or not self.done.total else OK,
            message,
            {
                'slices_hz': round(self.done.hz(), 1),
                'slices': self.done.total,
                'missed_slices': self._missed,
                **values,
                **self._latency.values(),
            },
        )
