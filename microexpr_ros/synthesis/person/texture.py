"""Textures with a mip chain: what a skin and its relief look like from near and far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Texture:
    """A mip chain of an atlas, packed.

    Attributes:
        texels: float32 [N, C], linear albedo 0-1, level after level, row by row.
        sizes: int64 [levels, 3], offset, rows and columns of each level.
    """

    texels: NDArray[np.float32]
    sizes: NDArray[np.int64]


def build_texture(atlas: NDArray[np.float32]) -> Texture:
    """Build the mip chain of an atlas, float32 [H, W, C], by averaging 2 x 2 texels."""
    levels, sizes, offset = [], [], 0
    level = atlas
    while True:
        rows, columns, channels = level.shape
        levels.append(level.reshape(-1, channels))
        sizes.append((offset, rows, columns))
        offset += rows * columns
        if min(rows, columns) < 8:
            break
        even = level[: rows // 2 * 2, : columns // 2 * 2]
        pairs = even.reshape(rows // 2, 2, columns // 2, 2, channels)
        level = pairs.mean(axis=(1, 3), dtype=np.float32)
    return Texture(np.concatenate(levels).astype(np.float32), np.array(sizes, np.int64))
