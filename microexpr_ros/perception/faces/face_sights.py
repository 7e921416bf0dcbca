"""The one face that both cameras of a recording show, at the moments of frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_stereo import FaceSight
from microexpr_ros.alignment.faces import Face, FaceTracker
from microexpr_ros.alignment.observed_faces import Observation
from microexpr_ros.events.events import Events, Frame
from microexpr_ros.events.grid import SLICE_NS, accumulate
from microexpr_ros.events.region import Region
from microexpr_ros.perception.faces.frame_tracker import DirectObserver
from microexpr_ros.perception.faces.tracker import EventFaceTracker

DOUBTFUL: Final = 0.15
"""Landmarks with a larger sigma, in distances between the eyes, are not used."""


def find_face_sights(
    frames: Iterable[Frame],
    events: Iterable[tuple[NDArray[np.int64], Events]],
    height: int,
    width: int,
) -> list[FaceSight]:
    """Return the landmarks of the face at the frames in which both cameras show just one.

    Args:
        frames: in order; their times are on the clock of the events.
        events: chunks of them in order, each with its times on that clock, ns.
        height: sensor rows.
        width: sensor columns.

    Raises:
        MicroexprError: MediaPipe is not installed.
    """
    observations: list[Observation] = []
    with DirectObserver() as observer:
        for frame in frames:
            observer.submit(frame, observations.append)
    on_sensor = SensorFace(EventFaceTracker(height, width), height, width)
    for times_ns, chunk in events:
        on_sensor.add(times_ns, chunk)
    found = [(on_sensor.at(one.taken_ns), one.faces) for one in observations]
    return [
        FaceSight(landmarks, faces[0])
        for landmarks, faces in found
        if landmarks is not None and len(faces) == 1
    ]


class SensorFace:
    """Where the one face is that events show, at any time of a recording.

    Args:
        tracker: of the event sensor.
        height: sensor rows.
        width: sensor columns.
    """

    def __init__(self, tracker: FaceTracker, height: int, width: int) -> None:
        self._tracker = tracker
        self._sensor = Region(0, 0, width, height)
        self._counts = np.zeros((2, *tracker.shape), np.uint8)
        self._began_ns: int | None = None
        self._faces: list[Face | None] = []

    def add(self, times_ns: NDArray[np.int64], events: Events) -> None:
        """Take in the next events, with their times, ns."""
        if not len(events):
            return
        if self._began_ns is None:
            self._began_ns = int(times_ns[0])
        last = (int(times_ns[-1]) - self._began_ns) // SLICE_NS
        ends = self._began_ns + SLICE_NS * np.arange(len(self._faces) + 1, last + 1)
        first = 0
        for cut in np.searchsorted(times_ns, ends).tolist():
            accumulate(events[first:cut], self._sensor, self._counts)
            self._finish_slice()
            first = cut
        accumulate(events[first:], self._sensor, self._counts)

    def at(self, time_ns: int) -> NDArray[np.float64] | None:
        """Return the landmarks at a time, float64 [5, 2], px; None where not one face is known."""
        if self._began_ns is None:
            return None
        # A face is known at the end of a slice.
        after, passed_ns = divmod(time_ns - self._began_ns, SLICE_NS)
        if not 1 <= after < len(self._faces):
            return None
        one, other = self._faces[after - 1 : after + 1]
        if one is None or other is None or one.number != other.number:
            return None
        share = passed_ns / SLICE_NS
        return np.asarray((1 - share) * one.landmarks + share * other.landmarks, np.float64)

    def _finish_slice(self) -> None:
        faces = self._tracker.update(self._counts, SLICE_NS / 1e9)
        self._counts[:] = 0
        is_known = len(faces) == 1 and faces[0].has_landmarks and faces[0].sigma < DOUBTFUL
        self._faces.append(faces[0] if is_known else None)
