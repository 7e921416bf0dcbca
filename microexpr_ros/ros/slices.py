"""Slices of faces: what the synchronizer sends, and networks are given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from microexpr_ros.alignment.slice_stamps import SliceStamps
from microexpr_ros.alignment.slices import SliceCounter
from microexpr_ros.alignment.synchronizer import AlignedSlice
from microexpr_ros.msg import AlignedEvents
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import face_id, message_to_aligned, serialize_aligned
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Latency, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.output import Output

LONGEST_LATENCY_NS = 10_000_000_000
"""An arrival longer ago than this belongs to a recording."""


@dataclass(frozen=True, slots=True)
class FaceSlice:
    """A slice on its way from the synchronizer to a network.

    Attributes:
        aligned: the slice.
        face_id: id of the face that it shows, empty without one.
        frame_id: coordinate frame of the event camera.
        due_ns: steady time at which it could be taken at best: how long it has waited since then
            does not depend on the clocks of other machines.
    """

    aligned: AlignedSlice
    face_id: str
    frame_id: str
    due_ns: int


class SliceOutput:
    """Send slices: to nodes of this process as they are, to others as messages.

    Slices are made into messages only if somebody outside of the process subscribes.

    Args:
        node: node that sends, while it is configured.
    """

    def __init__(self, node: MicroexprNode[Any]) -> None:
        self._output = Output(node, AlignedEvents, topics.ALIGNED_EVENTS, qos.SLICES)

    def send(
        self, aligned: AlignedSlice, frame_id: str, lost_packets: int, late_ns: int = 0
    ) -> None:
        """Send a slice; to be called from a callback of the subscription thread.

        Args:
            aligned: the slice.
            frame_id: coordinate frame of the event camera.
            lost_packets: packets that were lost so far.
            late_ns: how much longer its newest packet has waited than packets do at best.
        """
        due_ns = time.monotonic_ns() - late_ns
        given = FaceSlice(aligned, face_id(aligned), frame_id, due_ns)
        self._output.send(given, lambda: serialize_aligned(aligned, frame_id, lost_packets))

    def end(self) -> None:
        """Send nothing more, so that other synchronizers are heard."""
        self._output.end()


def subscribe_slices(
    node: MicroexprNode[Any], take: Callable[[FaceSlice], None], **options: Any
) -> None:
    """Subscribe a node to slices, as messages or as they are.

    Args:
        node: node that subscribes.
        take: called with each slice.
        options: as of `MicroexprNode.subscribe`.
    """
    watching = node.watch(topics.ALIGNED_EVENTS, 'slices')

    def take_message(message: AlignedEvents, _: int) -> None:
        due_ns = time.monotonic_ns() - watching.lag.excess_ns
        aligned, frame_id = message_to_aligned(message), message.header.frame_id
        take(FaceSlice(aligned, message.face_id, frame_id, due_ns))

    node.subscribe(
        (AlignedEvents, topics.ALIGNED_EVENTS, take_message, qos.SLICES),
        inputs=[watching],
        objects={topics.ALIGNED_EVENTS: take},
        **options,
    )


class SliceInput:
    """Count the incoming slices: one for each face in view, and which ones are missing.

    Attributes:
        done: slices that were processed.
    """

    def __init__(self) -> None:
        self.done = Rate()
        self._counter = SliceCounter()
        self._stamps = SliceStamps()
        self._stamp_ns: int | None = None
        # Faces of the slices of the last stamp, and of those of the stamp before.
        self._faces: set[str] = set()
        self._faces_before: set[str] = set()
        self._missing = self._missed = self._diagnosed = 0
        self._latency = Latency()

    def take(self, given: FaceSlice) -> AlignedSlice:
        """Return a slice with its sensor time counted, alike for slices of messages.

        Those have none. Slices of one stamp show several faces, and have one time.
        """
        aligned, face = given.aligned, given.face_id
        duration_ns = aligned.slice.duration_ns
        if aligned.slice.end_ns != self._stamp_ns or face in self._faces:
            self._count(aligned.slice.end_ns, duration_ns)
        self._faces.add(face)
        if face in self._faces_before:
            self._missed += self._missing
            self._missing = 0
        counted = replace(aligned.slice, sensor_end_ns=self._counter.index * duration_ns)
        return replace(aligned, slice=counted)

    def _count(self, stamp_ns: int, duration_ns: int) -> None:
        """Begin with the slices of another stamp."""
        missing = self._counter.add(stamp_ns)
        if missing is None:
            self._stamps.clear()
        self._missing = missing or 0
        self._stamps.add(self._counter.index * duration_ns, stamp_ns)
        self._stamp_ns, self._faces_before, self._faces = stamp_ns, self._faces, set()

    def to_ros(self, clock_ns: int) -> int:
        """Return the stamp of a moment on the clock that slices are counted by."""
        return self._stamps.to_ros(clock_ns)

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
