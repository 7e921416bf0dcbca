"""The region in which a face stands still: where the landmarks say that it is."""

from __future__ import annotations

import cmath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import AlignedRegion, Region, to_complex
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
    turns, centres = _fit(landmarks[None])
    turn, centre = complex(turns[0]), complex(centres[0])
    if not cmath.isfinite(turn):
        raise ValueError(f'landmarks {landmarks.tolist()} are not finite')
    if not abs(turn) > 0:
        raise ValueError(f'landmarks {landmarks.tolist()} span no face')
    return AlignedRegion(centre.real, centre.imag, abs(turn), cmath.phase(turn))


def align_centres(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the centres of the regions that `align` gives, float64 [N, 2], column and row.

    Args:
        landmarks: float [N, 5, 2], of N moments.
    """
    _, centres = _fit(landmarks)
    return np.stack([centres.real, centres.imag], 1)


def measure_off_centre(
    region: AlignedRegion | Region | None, landmarks: NDArray[np.floating] | None
) -> tuple[float, float]:
    """Return `Slice.off_centre` of a face; 0 in a rectangle, or where no landmarks are known.

    Args:
        region: where the face is shown.
        landmarks: float [5, 2], of the face, px.
    """
    if not isinstance(region, AlignedRegion) or landmarks is None:
        return 0.0, 0.0
    columns, rows = (region.to_shares(align_centres(landmarks[None])[0]) - 0.5).tolist()
    return columns, rows


def _fit(
    landmarks: NDArray[np.floating],
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    """Return sides, turned by the rolls, and centres, complex128 [N], of the best squares."""
    # Not by a kernel: with the first one a process takes 60 MB more.
    points = to_complex(landmarks)
    middles = points.sum(1) / len(_WANTED)
    turns = (points - middles[:, None]) @ _WANTED.conj() / _SPREAD
    return turns, middles - (_MIDDLE - (0.5 + 0.5j)) * turns


# The places of the landmarks: their middle, how far they are from it, and the sum of its squares.
_MIDDLE: Final = complex(to_complex(PLACES).mean())
_WANTED: Final = to_complex(PLACES) - _MIDDLE
_SPREAD: Final = float(np.vdot(_WANTED, _WANTED).real)


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
