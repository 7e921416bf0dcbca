"""MediaPipe's blendshapes as Action Units: the usual method today, on frames.

A baseline, never run on a robot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.perception.faces.landmarker import open_landmarker

UNITS: Final[Mapping[int, Mapping[str, float]]] = {
    1: {'browInnerUp': 1.0},
    2: {'browOuterUp*': 1.0},
    4: {'browDown*': 1.0},
    5: {'eyeWide*': 1.0},
    6: {'cheekSquint*': 1.0},
    7: {'eyeSquint*': 1.0},
    9: {'noseSneer*': 1.0},
    10: {'mouthUpperUp*': 1.0},
    12: {'mouthSmile*': 1.0},
    14: {'mouthDimple*': 1.0},
    15: {'mouthFrown*': 1.0},
    17: {'mouthShrugLower': 1.0},
    18: {'mouthPucker': 1.0},
    20: {'mouthStretch*': 1.0},
    24: {'mouthPress*': 1.0},
    25: {'mouthLowerDown*': 0.5, 'mouthUpperUp*': 0.2},
    26: {'jawOpen': 1.0},
    45: {'eyeBlink*': 1.0},
}
"""Blendshapes and their weights in each unit; * stands for Left and Right.

Source: Apple's descriptions of ARFaceAnchor.BlendShapeLocation, whose names MediaPipe's have,
beside those of FACS.
"""

REST_FRAMES: Final = 3
"""Frames at the start of a clip whose median is the face at rest."""

IMAGE_SIDE: Final = 256
"""Side that frames are scaled to, that of the landmarker's own input."""

Landmarker = Callable[[NDArray[np.uint8]], dict[str, float]]
"""A frame, uint8 [GRID, GRID], to the scores of its blendshapes; empty without a face."""

_log = logging.getLogger(__name__)


def predict(clips: Sequence[SparseClip]) -> list[NDArray[np.float32]]:
    """Return the intensities of whole clips, each float32 [T, 18].

    An intensity is the increase over the face at rest of the blendshapes of the unit, on the
    stronger side. It is held from one frame to the next, and is 0 before the first frame and
    without a face.

    Args:
        clips: clips with frames.

    Raises:
        MicroexprError: a package is missing.
    """
    with landmarker() as find:
        seen = [score_frames(sparse.clip.frames, find) for sparse in clips]
    lost = np.isnan(np.concatenate(seen)[:, 0])
    if lost.any():
        _log.warning('MediaPipe found no face in %d of %d frames', lost.sum(), len(lost))
    return [
        hold_between_frames(above_rest(units), r) for units, r in zip(seen, clips, strict=True)
    ]


def score_frames(frames: NDArray[np.uint8], find: Landmarker) -> NDArray[np.float32]:
    """Return the units' scores in each frame, float32 [F, 18]; nan without a face.

    Args:
        frames: uint8 [F, GRID, GRID].
        find: of `landmarker`.
    """
    units = np.full((len(frames), len(CODES)), np.nan, np.float32)
    for number, frame in enumerate(frames):
        if found := find(frame):
            units[number] = [weighted_sum(UNITS[code], found) for code in CODES]
    return units


def weighted_sum(weights: Mapping[str, float], found: Mapping[str, float]) -> float:
    """Return the weighted sum of blendshapes, on the side where it is larger.

    Args:
        weights: a value of `UNITS`.
        found: score of each blendshape, 0 to 1.

    Example:
        >>> weighted_sum({'eyeWide*': 0.5}, {'eyeWideLeft': 0.2, 'eyeWideRight': 0.6})
        0.3
    """
    return max(
        sum(weight * found[name.replace('*', side)] for name, weight in weights.items())
        for side in ('Left', 'Right')
    )


def above_rest(units: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the increase of units over the face at rest, 0 to 1; 0 without a face.

    Args:
        units: float32 [F, 18], of `score_frames`.
    """
    seen = units[~np.isnan(units[:, 0])]
    if len(seen) == 0:
        return np.zeros_like(units)
    return np.nan_to_num(units - np.median(seen[:REST_FRAMES], axis=0)).clip(0, 1)


def hold_between_frames(units: NDArray[np.float32], sparse: SparseClip) -> NDArray[np.float32]:
    """Return values of frames at each slice, float32 [T, 18]; 0 before the first frame."""
    newest = np.searchsorted(sparse.clip.frame_slice, np.arange(sparse.slices), 'right')
    return np.concatenate([np.zeros((1, len(CODES)), np.float32), units])[newest]


@contextmanager
def landmarker() -> Iterator[Landmarker]:
    """Return a function from a frame to its blendshapes.

    Frames are independent: smoothed as a video, they scored slightly less on the validation
    split.

    Raises:
        MicroexprError: a package is missing.
    """
    with open_landmarker(blendshapes=True) as landmark:

        def find(frame: NDArray[np.uint8]) -> dict[str, float]:
            large = cv2.resize(frame, (IMAGE_SIDE, IMAGE_SIDE), interpolation=cv2.INTER_CUBIC)
            faces = landmark(np.asarray(large, np.uint8), 0)
            return dict(faces[0].blendshapes) if faces else {}

        yield find
