"""What a measured scene looks like at any instant, without rendering it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.events.kernel import kernel
from microexpr_ros.synthesis.appearance.basis import AppearanceBasis
from microexpr_ros.synthesis.world.motion import Instant


def mix_log_radiance(basis: AppearanceBasis, instant: Instant) -> NDArray[np.float32]:
    """Return what a scene looks like at an instant, in steady light.

    Changes of the face are added to its picture at rest, which the head's pose and the camera's
    shake then warp in front of a background that stands still. Light stays as it is at rest: a
    head that turns far keeps its shading.

    Args:
        basis: the scene.
        instant: what has moved in it.

    Returns:
        float32 [height, width], logarithm of radiance in lux.
    """
    head = basis.rest.copy()
    for change, (left, right) in zip(
        basis.changes, movement_values(instant.channels).tolist(), strict=True
    ):
        if left > 0 or right > 0:
            _add_change(
                head,
                change.knots,
                change.delta,
                change.row,
                change.column,
                left,
                right,
                basis.left,
            )
    shake_px = instant.shake * basis.rest.shape[1]
    if not (instant.pose.any() or shake_px.any()):
        return head
    columns, rows = _find_sources(basis.flow, instant.pose, shake_px)
    # Cubic, as a linear look-up blurs by an amount that changes with the shift, which the
    # pixels would take for events.
    warped = cv2.remap(head, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    face = cv2.remap(basis.face, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(basis.background + face * (warped - basis.background), np.float32)


def movement_values(channels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the values of a basis's changes, float32 [..., 22, 2], subject's left and right.

    Args:
        channels: float32 [..., C], values of the rig's channels.
    """
    count = 2 * len(facs.CODES)
    units = channels[..., :count].reshape(*channels.shape[:-1], -1, 2)
    gaze = channels[..., count : count + 4, None]
    return np.concatenate([units, np.broadcast_to(gaze, (*gaze.shape[:-1], 2))], axis=-2)


@kernel
def _find_sources(
    flow: NDArray[np.float32], pose: NDArray[np.float64], shake_px: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the columns and rows at rest of what the pixels show now, float32 [H, W] each."""
    _, _, height, width = flow.shape
    columns = np.empty((height, width), np.float32)
    rows = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            columns[y, x] = np.float32(x - shake_px[0])
            rows[y, x] = np.float32(y - shake_px[1])
    for coordinate in range(len(pose)):
        by = np.float32(pose[coordinate])
        if by == 0:
            continue
        for y in range(height):
            for x in range(width):
                columns[y, x] -= by * flow[coordinate, 0, y, x]
                rows[y, x] -= by * flow[coordinate, 1, y, x]
    return columns, rows


@kernel
def _add_change(
    head: NDArray[np.float32],
    knots: NDArray[np.float32],
    delta: NDArray[np.float32],
    row: int,
    column: int,
    value_left: float,
    value_right: float,
    share_left: NDArray[np.float32],
) -> None:
    """Add a change to a picture in place, in a straight line between its knots."""
    below, above = np.empty(2, np.int64), np.empty(2, np.float32)
    for side in range(2):
        value = value_left if side == 0 else value_right
        k = 0
        while k < len(knots) - 2 and knots[k + 1] < value:
            k += 1
        below[side] = k
        above[side] = (value - knots[k]) / (knots[k + 1] - knots[k])
    even = value_left == value_right
    one = np.float32(1)
    for y in range(delta.shape[1]):
        for x in range(delta.shape[2]):
            low = delta[below[0], y, x]
            change = low + above[0] * (delta[below[0] + 1, y, x] - low)
            if not even:
                low = delta[below[1], y, x]
                right = low + above[1] * (delta[below[1] + 1, y, x] - low)
                left = share_left[row + y, column + x]
                change = left * change + (one - left) * right
            head[row + y, column + x] += change
