"""Frames of the RGB camera, cut to the face region that the events gave."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.events import Frame
from microexpr_ros.events.region import AlignedRegion, Region


class FrameQueue:
    """Hold frames until the slice in which they become current has ended.

    Attributes:
        skipped: frames that a newer one replaced before any slice showed them.
    """

    def __init__(self, depth: int = 8) -> None:
        self._frames: deque[Frame] = deque(maxlen=depth)
        self.skipped = 0

    def push(self, frame: Frame) -> None:
        """Add the camera's next frame; the oldest goes when the queue is full."""
        if len(self._frames) == self._frames.maxlen:
            self.skipped += 1
        self._frames.append(frame)

    def take(self, end_ns: int) -> Frame | None:
        """Return the newest frame taken before a moment, once; older ones are dropped."""
        newest = None
        while self._frames and self._frames[0].t < end_ns:
            if newest is not None:
                self.skipped += 1
            newest = self._frames.popleft()
        return newest

    def clear(self) -> None:
        """Drop all frames."""
        self._frames.clear()


def crop(
    pixels: NDArray[np.uint8],
    region: Region | AlignedRegion,
    sensor: tuple[int, int],
    grid: tuple[int, int],
    homography: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Cut a region of the event sensor out of a frame and scale it to the grid.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        region: in pixels of the event sensor; beyond the frame its edge is repeated.
        sensor: rows and columns of the event sensor.
        grid: rows and columns of the result.
        homography: float64 [3, 3], from event pixels to frame pixels; None if both cameras see
            the same field of view, so that only the resolution differs.

    Returns:
        uint8 [rows, columns] or [rows, columns, 3].
    """
    if homography is None:
        scale_y, scale_x = (
            frame / events for frame, events in zip(pixels.shape, sensor, strict=False)
        )
        homography = np.diag([scale_x, scale_y, 1.0])
    rows, columns = grid
    # Warp at about the frame's own resolution, then average down: no aliasing.
    corners = region.to_pixels(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    corner, right, bottom = cv2.perspectiveTransform(corners[None], homography)[0]
    sides = np.linalg.norm([right - corner, bottom - corner], axis=1) / (columns, rows)
    over = int(np.clip(np.ceil(sides.max() - 1e-9), 1, 8))
    # Pixel centres lie at half-integers of the grid.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    corner, right, bottom = corners
    grid_to_sensor = np.eye(3)
    grid_to_sensor[:2] = np.transpose(
        [(right - corner) / (columns * over), (bottom - corner) / (rows * over), corner]
    )
    matrix = np.linalg.inv(half) @ homography @ grid_to_sensor @ half
    warped = cv2.warpPerspective(
        pixels,
        matrix,
        (columns * over, rows * over),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if over > 1:
        warped = cv2.resize(warped, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)
