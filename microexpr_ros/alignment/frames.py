"""Frames of the RGB camera, cut to the face region that the events gave."""

from __future__ import annotations

from collections import deque
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import srgb
from microexpr_ros.alignment.camera_geometry import PlaneGeometry
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
    rows, columns = grid
    to_frame = _homography(pixels, sensor) if homography is None else homography
    # Warp at about the frame's own resolution, then average down: no aliasing.
    corners = region.to_pixels(_CORNERS)
    corner, right, bottom = cv2.perspectiveTransform(corners[None], to_frame)[0]
    sides = np.linalg.norm([right - corner, bottom - corner], axis=1) / (columns, rows)
    over = int(np.clip(np.ceil(sides.max() - 1e-9), 1, 8))
    matrix = _grid_to_frame(region, (rows * over, columns * over), to_frame)
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


def paste(
    pixels: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    region: Region | AlignedRegion,
    sensor: tuple[int, int],
    homography: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Return a frame in which a picture of a region replaces what was there; `crop` in reverse.

    The picture is grey; colours stay as they were, and get lighter or darker. Towards the border
    of the region the picture fades into the frame.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        picture: uint8 [rows, columns], of the region.
        region: in pixels of the event sensor.
        sensor: rows and columns of the event sensor.
        homography: as of `crop`.
    """
    to_frame = _homography(pixels, sensor) if homography is None else homography
    matrix = _grid_to_frame(region, picture.shape, to_frame)
    corners = cv2.perspectiveTransform(region.to_pixels(_ALL_CORNERS)[None], to_frame)[0]
    height, width = pixels.shape[:2]
    left, top = np.clip(np.floor(corners.min(0)), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(0)), 0, (width, height)).astype(int).tolist()
    pasted = pixels.copy()
    if right <= left or bottom <= top:
        return pasted
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
    size = right - left, bottom - top
    new, share = (
        cv2.warpPerspective(layer.astype(np.float32), shift @ matrix, size)
        for layer in (picture, _fading(picture.shape))
    )
    before = pixels[top:bottom, left:right].astype(np.float32)
    grey = before if before.ndim == 2 else before @ np.array(srgb.LUMA, np.float32)
    change = share * (new - grey)
    after = before + (change if before.ndim == 2 else change[..., None])
    pasted[top:bottom, left:right] = np.rint(after.clip(0, 255)).astype(np.uint8)
    return pasted


_CORNERS: Final = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
_ALL_CORNERS: Final = np.array([*_CORNERS.tolist(), [1.0, 1.0]])

_FADING_SHARE: Final = 0.06
"""Width of the border in which a pasted picture fades, as a share of its side."""


def _homography(pixels: NDArray[np.uint8], sensor: tuple[int, int]) -> NDArray[np.float64]:
    """Return that of cameras that see the same field of view."""
    frame = pixels.shape[0], pixels.shape[1]
    return PlaneGeometry.same_view(sensor, frame).homography


def _grid_to_frame(
    region: Region | AlignedRegion, grid: tuple[int, ...], homography: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where the centres of a region's cells are in the frame, both from 0, [3, 3]."""
    rows, columns = grid
    corner, right, bottom = region.to_pixels(_CORNERS)
    # Pixel centres lie at half-integers of the grid.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    grid_to_sensor = np.eye(3)
    grid_to_sensor[:2] = np.transpose(
        [(right - corner) / columns, (bottom - corner) / rows, corner]
    )
    return np.asarray(np.linalg.inv(half) @ homography @ grid_to_sensor @ half)


def _fading(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the share of a picture in what is pasted, float32 [rows, columns], 1 inside."""
    ramps = []
    for count in shape:
        at = (np.arange(count, dtype=np.float32) + np.float32(0.5)) / np.float32(count)
        ramps.append((np.minimum(at, 1 - at) / np.float32(_FADING_SHARE)).clip(0, 1))
    return np.asarray(np.minimum.outer(*ramps), np.float32)
