"""What each slice shows of the faces: the events in their regions, and how the faces move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.faces import Face, FaceTracker
from microexpr_ros.alignment.head_motion import HeadMotion
from microexpr_ros.alignment.region_follower import RegionFollower
from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import accumulate
from microexpr_ros.events.region import AlignedRegion, Region


@dataclass(slots=True, eq=False)
class FaceView:
    """What one slice shows of one face.

    Attributes:
        number: of the face.
        region: where its events are counted; it rests while the slice is open, so that its cells
            mean one place.
        counts: uint8 [2, grid, grid], events per cell, OFF then ON, saturating.
        events: events inside the region, not saturating.
        face: the face at the end of the slice; None if it is not in view then, or the region is
            fixed.
        motion: of the head, None without a face or its landmarks.
        given_id: of the face (`Face.given_id`).
    """

    number: int
    region: Region | AlignedRegion
    counts: NDArray[np.uint8]
    events: int = 0
    face: Face | None = None
    motion: HeadMotion | None = None
    given_id: str = ''

    def add(self, events: Events) -> None:
        """Count the events of a part of the slice."""
        self.events += accumulate(events, self.region, self.counts)


class FaceViews(Protocol):
    """Makes the views of each slice."""

    def add(self, events: Events) -> None:
        """Take in the events of a part of the slice that is open."""

    def close(self, duration_s: float) -> Sequence[FaceView]:
        """End the slice, and return what it shows; nearest face first."""

    def restart(self) -> None:
        """Begin anew with another stream."""


class FixedView:
    """Show one region of the sensor, whatever is in it.

    Args:
        region: that region; a square is an aligned region that is not turned.
        grid: rows and columns that it is scaled to.
    """

    def __init__(self, region: Region, grid: int) -> None:
        self._region: Region | AlignedRegion = region
        if region.width == region.height:
            half = region.width / 2
            self._region = AlignedRegion(region.x + half, region.y + half, float(region.width))
        self._grid, self._number = grid, 0
        self._open()

    def _open(self) -> None:
        counts = np.zeros((2, self._grid, self._grid), np.uint8)
        self._view = FaceView(self._number, self._region, counts)

    def add(self, events: Events) -> None:
        """Take in the events of a part of the slice that is open."""
        self._view.add(events)

    def close(self, duration_s: float) -> Sequence[FaceView]:
        """End the slice, and return what it shows."""
        view = self._view
        self._open()
        return (view,)

    def restart(self) -> None:
        """Begin anew with another stream, which shows another face."""
        self._number += 1
        self._open()


class FollowedViews:
    """Show the faces that a tracker finds, each in a region that follows it.

    A face that is followed is kept until it is lost, also while another one is nearer.

    Args:
        sensor: the whole sensor.
        tracker: finds the faces.
        grid: rows and columns that regions are scaled to.
        most: how many faces are followed at most.
    """

    def __init__(self, sensor: Region, tracker: FaceTracker, grid: int, most: int) -> None:
        self._sensor, self._tracker, self._grid, self._most = sensor, tracker, grid, most
        self._counts = np.zeros((2, *tracker.shape), np.uint8)
        self._followers: dict[int, RegionFollower] = {}
        self._views: Sequence[FaceView] = ()

    def add(self, events: Events) -> None:
        """Take in the events of a part of the slice that is open."""
        accumulate(events, self._sensor, self._counts)
        for view in self._views:
            view.add(events)

    def close(self, duration_s: float) -> Sequence[FaceView]:
        """End the slice, and return what it shows of the faces that were known before it."""
        faces = self._choose(self._tracker.update(self._counts, duration_s))
        self._counts[:] = 0
        for view in self._views:
            if view.number in faces:
                view.face = faces[view.number]
                follower = self._followers[view.number]
                follower.follow(view.face, duration_s)
                view.motion = follower.motion if view.face.has_landmarks else None
        self._followers = {
            number: self._followers.get(number) or RegionFollower(face)
            for number, face in faces.items()
        }
        ended, self._views = self._views, self._open(faces.values())
        return ended

    def _choose(self, found: Sequence[Face]) -> dict[int, Face]:
        """Return the faces to follow by number, nearest first."""
        newest_last = sorted(found, key=lambda face: face.number not in self._followers)
        chosen = {face.number for face in newest_last[: self._most]}
        return {face.number: face for face in found if face.number in chosen}

    def _open(self, faces: Iterable[Face]) -> Sequence[FaceView]:
        return [
            FaceView(
                face.number,
                self._followers[face.number].region,
                np.zeros((2, self._grid, self._grid), np.uint8),
                given_id=face.given_id,
            )
            for face in faces
        ]

    def restart(self) -> None:
        """Begin anew with another stream."""
        self._tracker.reset()
        self._counts[:] = 0
        self._followers, self._views = {}, ()
