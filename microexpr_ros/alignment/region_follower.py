"""The region in which a network sees a face: it rests while the face rests, else it follows."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.faces import Face
from microexpr_ros.alignment.head_motion import measure_motion
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES

FOLLOW_S: Final = 0.05
"""Time constant of the landmarks that the region follows; the motion of the head is known after
twice that."""

CATCH_UP_S: Final = 0.1
"""Time constant with which a region that begins to move reaches the face."""

REST_S: Final = 0.25
"""A region rests when the face has been at one place for so long."""

BAND: Final = (0.06, 0.25)
"""Least and greatest distance at which a region that rests begins to move, in distances between
the eyes. Up to the greatest, brows and chin stay inside."""

BAND_SIGMAS: Final = 3.5
"""That distance in sigmas of the tracker, between these limits: noise must not reach it."""


class RegionFollower:
    """Follow one face with a region that moves only when it must.

    The networks must see standing eyes, so a region rests until the face is a dead band away
    from where it shows it, in position, scale and roll together: the root mean square over the
    places of the landmarks. Then it moves with the face, without lag where the face moves
    evenly, until the face has stood for a while.

    The result depends on the faces and the lengths of slices alone.

    Args:
        face: as it was found.

    Attributes:
        region: where the face is shown.
        motion: of the head.
    """

    def __init__(self, face: Face) -> None:
        landmarks = face.landmarks.astype(np.float64)
        self._course = _Course(landmarks)
        self.region = align(landmarks)
        self.motion = measure_motion(landmarks, self._course.velocity, face.sigma)
        self._behind = np.zeros_like(landmarks)
        self._anchor, self._stood_s = self.region, 0.0

    def follow(self, face: Face, duration_s: float) -> AlignedRegion:
        """Return the region after one more slice.

        Args:
            face: the same face, as it is now.
            duration_s: length of the slice.
        """
        self._course.update(face.landmarks, duration_s)
        course = self._course
        found = align(course.place)
        self.motion = measure_motion(course.place, course.velocity, face.sigma, found)
        band = min(max(BAND_SIGMAS * face.sigma, BAND[0]), BAND[1])
        if self._stood_s >= REST_S:
            if _distance(self.region, found) <= band:
                return self.region
            self._behind = self.region.to_pixels(PLACES) - found.to_pixels(PLACES)
            self._anchor, self._stood_s = found, 0.0
        self._behind *= math.exp(-duration_s / CATCH_UP_S)
        self.region = align(found.to_pixels(PLACES) + self._behind)
        if _distance(self._anchor, found) > band / 2:
            self._anchor, self._stood_s = found, 0.0
        self._stood_s += duration_s
        return self.region


class _Course:
    """Places that are smoothed together with their velocities.

    A critically damped g-h filter (Brookner, Tracking and Kalman Filtering Made Easy, 1998,
    chapter 1): what moves evenly is followed without lag.

    Attributes:
        place: float64 [5, 2], px.
        velocity: float64 [5, 2], px/s.
    """

    def __init__(self, place: NDArray[np.float64]) -> None:
        self.place, self.velocity = place, np.zeros_like(place)

    def update(self, measured: NDArray[np.float32], duration_s: float) -> None:
        """Take in the places at the end of the next slice."""
        keep = math.exp(-duration_s / FOLLOW_S)
        expected = self.place + self.velocity * duration_s
        off = measured - expected
        self.place = expected + (1 - keep**2) * off
        self.velocity = self.velocity + (1 - keep) ** 2 / duration_s * off


def _distance(one: AlignedRegion, other: AlignedRegion) -> float:
    """Return how far apart two regions show a face, in distances between the eyes."""
    away = one.to_pixels(PLACES) - other.to_pixels(PLACES)
    return math.sqrt(float((away**2).sum(axis=1).mean())) / (EYE_DISTANCE * other.side)
