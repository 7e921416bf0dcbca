"""What the nodes with a network have in common: slices of one face after the other."""

from __future__ import annotations

import time

from microexpr_ros.alignment.slices import missed_slices
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.msg import AlignedEvents
from microexpr_ros.ros.conversions import message_to_aligned
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Latency, Rate

OLD_NS = 10_000_000_000
"""An arrival longer ago than this is no latency."""


class SliceInput:
    """Follow the slices that come in: whose face they show, and what was missing between them.

    Attributes:
        face: id of the face of the last slice, empty without one.
        done: slices that were worked on.
    """

    def __init__(self) -> None:
        self.face = ''
        self.done = Rate()
        self._end_ns: int | None = None
        self._missed = self._told = 0
        self._latency = Latency()

    def take(self, message: AlignedEvents) -> tuple[AlignedSlice, bool]:
        """Return the slice of a message, and whether another face begins with it.

        Raises:
            MicroexprError: the message is malformed.
        """
        aligned = message_to_aligned(message)
        another = message.face_id != self.face
        if self._end_ns is not None and not another:
            self._missed += missed_slices(aligned.slice, self._end_ns)
        self._end_ns = aligned.slice.end_ns
        self.face = message.face_id
        return aligned, another

    def latency_ns(self, aligned: AlignedSlice) -> int:
        """Return how long ago the slice's newest packet was published, 0 if unknown, and note it.

        Unknown it is for slices of a bag, or of a host with another clock.
        """
        latency_ns = time.time_ns() - aligned.newest_arrival_ns
        if not 0 <= latency_ns < OLD_NS:
            return 0
        self._latency.add(latency_ns)
        return latency_ns

    def diagnose(self, values: dict[str, object]) -> Diagnosis:
        """Return how the node is, with values of its own."""
        lagging, self._told = self._missed > self._told, self._missed
        if lagging:
            message = 'slices were missed: the machine is too slow'
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
