"""What was seen in one region of the sensor, as another region shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.region import AlignedRegion, Region

_CORNERS: Final = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])


@dataclass(frozen=True, slots=True, eq=False)
class RegionChange:
    """How one region becomes another.

    Attributes:
        corners: float64 [4, 2], where the corners of the new region are in the one before, as
            shares of its side; None if nothing moves.
    """

    corners: NDArray[np.float64] | None

    @classmethod
    def between(
        cls, before: Region | AlignedRegion | None, after: Region | AlignedRegion | None
    ) -> RegionChange:
        """Return the change from one region to another; rectangles are fixed."""
        if before == after or not isinstance(before, AlignedRegion):
            return cls(None)
        if not isinstance(after, AlignedRegion):
            return cls(None)
        return cls(before.to_shares(after.to_pixels(_CORNERS)))

    @property
    def distance(self) -> float:
        """How far the corners have gone at most, as a share of the side."""
        if self.corners is None:
            return 0.0
        away = self.corners - _CORNERS
        return float(np.hypot(away[:, 0], away[:, 1]).max())

    def move_events(self, events: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return events per sensor pixel as the new region shows them.

        Args:
            events: float32 [..., grid, grid]; there are none of what was outside.
        """
        if self.corners is None:
            return events
        layers = events.reshape(-1, *events.shape[-2:])
        moved = [self._warp(one, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT) for one in layers]
        return np.stack(moved).reshape(events.shape)

    def move_picture(self, picture: NDArray[Any], again: bool = False) -> NDArray[Any]:
        """Return a picture as the new region shows it.

        Args:
            picture: uint8 or float32 [grid, grid] or [grid, grid, layers]; what was outside is as
                the border.
            again: it is moved again and again: by bicubic interpolation, details would grow.
        """
        return self._warp(
            picture, cv2.INTER_LANCZOS4 if again else cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
        )

    def share_inside(self, grid: int) -> NDArray[np.float32]:
        """Return which share of each cell was inside the region before, float32 [grid, grid]."""
        return self.move_events(np.ones((grid, grid), np.float32))

    def _warp(self, cells: NDArray[Any], method: int, border: int) -> NDArray[Any]:
        if self.corners is None:
            return cells
        grid = len(cells)
        # To OpenCV, the first cell's middle is at 0.
        now, then = ((grid * c[:3] - 0.5).astype(np.float32) for c in (_CORNERS, self.corners))
        return cv2.warpAffine(
            cells,
            cv2.getAffineTransform(now, then),
            (grid, grid),
            flags=method | cv2.WARP_INVERSE_MAP,
            borderMode=border,
        )
