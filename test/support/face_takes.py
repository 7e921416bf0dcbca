"""Takes of the whole sensor whose events are made up."""

import numpy as np

from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import accumulate
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.events.sensor_grid import sensor_grid
from microexpr_ros.landmarks import PLACES
from microexpr_ros.synthesis.dataset.face_takes import FaceTake


def make_take(slices=300, speed=1.0, faces=1, height=240, width=320):
    """Return a take whose faces move to the right, px per slice, and have events all over."""
    rng = np.random.default_rng(3)
    landmarks = np.zeros((faces, slices, 5, 2), np.float32)
    points = np.zeros((faces, slices, 68, 2), np.float32)
    cells, counts, starts = [], [], [0]
    for at in range(slices):
        dense = np.zeros((2, height // 2, width // 2), np.uint8)
        for face in range(faces):
            x = 50 + 90 * face + speed * at * 0.25
            region = AlignedRegion(x, 120, 80)
            landmarks[face, at] = region.to_pixels(PLACES)
            points[face, at] = (x, 120)
            left = int(x / 2) - 16
            dense[:, 44:76, left : left + 32] = rng.random((2, 32, 32)) < 0.3
        flat = dense.reshape(-1)
        own = np.flatnonzero(flat)
        cells.append(own.astype(np.uint16))
        counts.append(flat[own])
        starts.append(starts[-1] + len(own))
    return FaceTake(
        height,
        width,
        1.0,
        np.concatenate(cells),
        np.concatenate(counts),
        np.array(starts, np.int64),
        landmarks,
        points,
    )


def make_counted_take(height, width, region, slices=60, half=10):
    """Return a take of a face at rest, with an event at each pixel around its landmarks' middle.

    Args:
        height: sensor rows.
        width: sensor columns.
        region: of the face, px.
        slices: length of the take.
        half: half the side of the square of pixels that have events.
    """
    landmarks = region.to_pixels(PLACES)
    x, y = np.round(landmarks.mean(axis=0)).astype(int)
    ys, xs = np.mgrid[y - half : y + half, x - half : x + half].reshape(2, -1)
    events = Events(
        np.zeros(len(xs), np.int64),
        xs.astype(np.uint16),
        ys.astype(np.uint16),
        np.ones(len(xs), np.uint8),
    )
    counts = np.zeros((2, *sensor_grid(height, width)), np.uint8)
    accumulate(events, Region(0, 0, width, height), counts)
    cells = np.flatnonzero(counts)
    landmarks += [x, y] - landmarks.mean(axis=0)
    return FaceTake(
        height,
        width,
        1.0,
        np.tile(cells, slices).astype(np.uint16),
        np.tile(counts.reshape(-1)[cells], slices),
        len(cells) * np.arange(slices + 1),
        np.broadcast_to(landmarks, (1, slices, 5, 2)).astype(np.float32),
        np.zeros((0, 0, 68, 2), np.float32),
    )
