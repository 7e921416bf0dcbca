"""How well a region shows a face."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from microexpr_ros.events.region import AlignedRegion, Region

INNER_FACE: Final = (7, 8, 9, *range(17, 68))
"""Points of iBUG 300-W from brows to chin."""

_CORNERS: Final = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def overlap(one: Region | AlignedRegion, other: Region | AlignedRegion) -> float:
    """Return the intersection over union of two regions.

    Example:
        >>> round(overlap(Region(0, 0, 20, 20), Region(10, 0, 20, 20)), 4)
        0.3333
    """
    first, second = (region.to_pixels(_CORNERS).astype(np.float32) for region in (one, other))
    both, _ = cv2.intersectConvexConvex(first, second)
    return float(both / (cv2.contourArea(first) + cv2.contourArea(second) - both))
