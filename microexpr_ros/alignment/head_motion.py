"""How the head moves, measured from the landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import DEPTHS, EYE_DISTANCE, PLACES


@dataclass(frozen=True, slots=True)
class HeadMotion:
    """Speeds of the head, along the columns and rows of the region that is turned with it.

    Attributes:
        x: towards greater columns, distances between the eyes per second.
        y: towards greater rows, distances between the eyes per second.
        scale: relative growth of the face, 1/s.
        roll: from columns towards rows, rad/s.
        turn: about the neck, the nose towards greater columns, rad/s.
        nod: the nose towards greater rows, rad/s.
        sigma: one sigma of the error of the landmarks that it was measured by, as a share of the
            distance between the eyes.
    """

    x: float
    y: float
    scale: float
    roll: float
    turn: float
    nod: float
    sigma: float = 0.0


def measure_motion(
    landmarks: NDArray[np.floating],
    velocities: NDArray[np.floating],
    sigma: float = 0.0,
    region: AlignedRegion | None = None,
) -> HeadMotion:
    """Return the motion that explains best how the landmarks move.

    A similarity transform moves all landmarks; where the head turns or nods, those in front of
    the eyes move against it, the more the further in front they are. That holds as long as the
    face looks about into the camera. All six speeds are fitted at once, by least squares.

    Args:
        landmarks: float [5, 2], column and row, px.
        velocities: float [5, 2], of the landmarks, px/s.
        sigma: of the landmarks, as of `HeadMotion`.
        region: what `align` gives for the landmarks, where that is known.

    Raises:
        ValueError: all landmarks are at one place, or some are not finite.
    """
    region = region or align(landmarks)
    ahead = landmarks + np.asarray(velocities, np.float64)
    speeds = (region.to_shares(ahead) - region.to_shares(landmarks)) / EYE_DISTANCE
    x, y, scale, roll, turn, nod = (_FIT @ speeds.ravel()).tolist()
    return HeadMotion(x, y, scale, roll, turn, nod, sigma)


def _make_fit() -> NDArray[np.float64]:
    """Return the matrix from speeds of the landmarks, [5 x 2], to the six of the head."""
    column, row = ((PLACES - PLACES.mean(axis=0)) / EYE_DISTANCE).T
    one, nothing = np.ones(len(PLACES)), np.zeros(len(PLACES))
    along = np.stack([one, nothing, column, -row, DEPTHS, nothing], axis=1)
    across = np.stack([nothing, one, row, column, nothing, DEPTHS], axis=1)
    return np.linalg.pinv(np.stack([along, across], axis=1).reshape(-1, 6))


_FIT: Final = _make_fit()
