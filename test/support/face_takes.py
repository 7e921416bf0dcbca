"""Takes of the whole sensor whose events are made up."""

import numpy as np

from microexpr_ros.events.region import AlignedRegion
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
