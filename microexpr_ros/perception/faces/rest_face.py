"""The landmarks of a face without expression, from all its points with one."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

REMEMBERED: Final = 150
"""Images in which a face must rest for the most part: some 5 to 15 s."""

_STILL_BY_PART: Final = {
    'corners of the eyes': (33, 133, 263, 362),
    'nose': (168, 6, 197, 195, 2, 94, 97, 326, 98, 327),
    'temples and ears': (127, 356, 234, 454),
    'forehead': (10, 151, 9, 8),
}

STILL: Final = np.concatenate([np.array(part) for part in _STILL_BY_PART.values()])
"""Points of MediaPipe's mesh that expressions move least: they show how the head moves."""

GROUPS: Final = (
    # Corners and lids of the subject's right and left eye, base of the nose, corners of the mouth.
    (33, 133, 159, 145, 158, 153, 160, 144),
    (263, 362, 386, 374, 385, 380, 387, 373),
    (2, 94, 98, 327),
    (61,),
    (291,),
)
"""Points whose mean is each of `landmarks.LANDMARKS`."""


class RestFace:
    """Find the landmarks of one face as if it rested.

    The points of STILL show position, scale and attitude of the head (Umeyama, Least-squares
    estimation of transformation parameters between two point patterns, PAMI 1991). In the head's
    own frame, each landmark stays where it has been for the most part lately: the median leaves
    out blinks, smiles and speech. The points' depth is MediaPipe's, and is true enough for turns
    of the head.
    """

    def __init__(self) -> None:
        self._first: NDArray[np.float64] | None = None
        self._seen: deque[NDArray[np.float64]] = deque(maxlen=REMEMBERED)

    def update(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the landmarks, float64 [5, 2], px.

        Args:
            points: float64 [478, 3], of the same face, as of `MeshedFace`.
        """
        still = points[STILL]
        if self._first is None:
            self._first = still
        scale, rotation, shift = _fit(self._first, still)
        landmarks = np.stack([points[list(group)].mean(axis=0) for group in GROUPS])
        self._seen.append((landmarks - shift) @ rotation / scale)
        rest = np.median(self._seen, axis=0)
        return np.asarray((scale * rest @ rotation.T + shift)[:, :2], np.float64)


def _fit(
    source: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return scale, rotation [3, 3] and shift [3] of the similarity from source to target."""
    middle, wanted = source.mean(axis=0), target.mean(axis=0)
    away, towards = source - middle, target - wanted
    left, sizes, right = np.linalg.svd(towards.T @ away)
    # Without this, points that lie in a plane could be mirrored.
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * sign) @ right
    scale = float((sizes * sign).sum() / (away**2).sum())
    return scale, rotation, wanted - scale * rotation @ middle
