"""Which frame shows a face so well that it is worth remembering."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_DARK, _LIGHT = 5, 250
_MOST_LOST: Final = 0.1
_DARKEST, _LIGHTEST = 40.0, 215.0
_LEAST_CONTRAST: Final = 15.0


def frame_quality(frame: NDArray[np.uint8]) -> float:
    """Return how good a frame is as a reference: its sharpness, 0 if it is no good at all.

    Frames that are too dark, too light or without contrast, or that have lost a tenth of their
    pixels in black or white, are no good. Sharpness is measured after a blur, as it would
    otherwise be that of the noise.

    Args:
        frame: uint8 [H, W], gamma-encoded grey.

    Returns:
        Mean magnitude of the Laplacian over the standard deviation, from 0.
    """
    mean, spread = float(frame.mean()), float(frame.std())
    lost = float(((frame <= _DARK) | (frame >= _LIGHT)).mean())
    if not _DARKEST < mean < _LIGHTEST or spread < _LEAST_CONTRAST or lost > _MOST_LOST:
        return 0.0
    smooth = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 1.0)
    return float(np.abs(cv2.Laplacian(smooth, cv2.CV_32F)).mean()) / spread
