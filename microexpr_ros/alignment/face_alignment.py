"""The region in which a face stands still: where the landmarks say that it is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES


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
