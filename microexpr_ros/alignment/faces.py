"""Faces on the sensor: what a tracker finds, and what a tracker is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Frame

MAX_FACES: Final = 4
"""Faces that a tracker follows at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face that is in view at the end of a slice.

    Attributes:
        number: of this appearance, from 0; a face that is lost and found again has another, and
            so has one that was so close to another that they may have been swapped.
        landmarks: float32 [5, 2], column and row in the order of `landmarks.LANDMARKS`, px of
            the sensor, where pixel (x, y) reaches from x to x + 1; of the face without an
            expression.
        sigma: one sigma of the error of a landmark, as a share of the distance between the eyes.
        has_landmarks: whether they were found; otherwise only a box is known, and they are where
            the mean face has them in it.
        given_id: id by which whoever found the face calls it; empty without one.
    """

    number: int
    landmarks: NDArray[np.float32]
    sigma: float
    has_landmarks: bool = True
    given_id: str = ''


class FaceTracker(Protocol):
    """Follows the faces that the events of the whole sensor show."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the counts that the tracker takes."""

    def update(self, counts: NDArray[np.uint8], duration_s: float) -> Sequence[Face]:
        """Take in the next slice; none may be left out, not even an empty one.

        Args:
            counts: uint8 [2, rows, columns] of `shape`, the whole sensor scaled to it, OFF then
                ON; it is used again after the call.
            duration_s: length of the slice.

        Returns:
            The faces in view, also those at rest, nearest first, at most MAX_FACES.
        """

    def reset(self) -> None:
        """Forget all faces: another stream begins. Numbers of faces are not used again."""


@runtime_checkable
class TimedFaceTracker(FaceTracker, Protocol):
    """A face tracker that also learns of faces otherwise, at times of their own."""

    def see(self, end_ns: int, frame: Frame | None) -> None:
        """Take in when the slice ends that is given to `update` next, and its frame.

        Args:
            end_ns: ROS time.
            frame: the frame that became current in the slice, in the same time; None without one.
        """


MakeTracker: TypeAlias = Callable[[int, int], FaceTracker]
"""Makes the tracker of a sensor, from its rows and columns."""
