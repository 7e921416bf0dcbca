"""The region in which a face stands still: where the landmarks say that it is."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES

BOX: Final = 1.16
"""Side of the region over the height of a box that reaches from the hairline to the chin. Of the
boxes around MediaPipe's points of twelve synthetic persons: 1.16 (0.03), with the same centre."""

BOX_SIGMA: Final = 0.12
"""One sigma of the error of a landmark that a box gives, in distances between the eyes: centres of
the boxes above are off by 4 % of the region's side."""


def align(landmarks: NDArray[np.floating]) -> AlignedRegion:
    """Return the region that shows landmarks at their places, as nearly as a square can.

    The similarity transform with the least squared error (Umeyama, Least-squares estimation of
    transformation parameters between two point patterns, PAMI 1991), without reflection.

    Args:
        landmarks: float [5, 2], column and row in the order of `landmarks.LANDMARKS`, px.

    Raises:
        ValueError: All landmarks are at one place, or some are not finite.
    """
    points = np.asarray(landmarks, np.float64)
    if not np.isfinite(points).all():
        raise ValueError(f'landmarks {points.tolist()} are not finite')
    middle, place = points.mean(axis=0), PLACES.mean(axis=0)
    away, wanted = points - middle, PLACES - place
    along = float((wanted * away).sum())
    across = float((wanted[:, 0] * away[:, 1] - wanted[:, 1] * away[:, 0]).sum())
    size = math.hypot(along, across)
    if not size > 0:
        raise ValueError(f'landmarks {points.tolist()} span no face')
    side, roll = size / float((wanted**2).sum()), math.atan2(across, along)
    region = AlignedRegion(0.0, 0.0, side, roll)
    x, y = middle - region.to_pixels(place)
    return AlignedRegion(float(x), float(y), side, roll)


def place_landmarks(corners: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return where the mean face has its landmarks in a box, float64 [5, 2], px.

    The face is upright and looks into the camera, as a box says nothing else. The region that
    `align` gives is then a square around the centre of the box, 1.16 times as high.

    Args:
        corners: float [2, 2], the upper left and the lower right corner of the box, px.

    Raises:
        ValueError: the box has no height, or is not finite.

    Example:
        >>> place_landmarks(np.array([[100.0, 50.0], [180.0, 150.0]]))[:2].round(1).tolist()
        [[121.9, 81.9], [158.1, 81.9]]
    """
    left_top, right_bottom = np.asarray(corners, np.float64)
    height = float(right_bottom[1] - left_top[1])
    if not (height > 0 and np.isfinite(corners).all()):
        raise ValueError(f'a box {corners.tolist()} has no height')
    x, y = ((left_top + right_bottom) / 2).tolist()
    return AlignedRegion(x, y, BOX * height).to_pixels(PLACES)
