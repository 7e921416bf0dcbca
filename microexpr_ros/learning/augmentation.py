"""Random changes of clips that leave their labels as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.histogram import GRID

NOISE_SHARE: Final = 0.005
"""Share of cells and slices that noise falls in."""


@dataclass(frozen=True, slots=True)
class Jitter:
    """One draw of all changes; the default changes nothing.

    Attributes:
        mirror: exchange left and right: no unit has a side.
        rows: shift down, cells.
        columns: shift to the right, cells.
        zoom: scale about the middle of the region: its edges are never exact.
        gain: factor on the counts: sensors differ in contrast threshold.
        keep: share of the cells' entries that are kept.
        noise: events per sensor pixel and slice of noise, in either polarity.
        seed: of the dropped events and the noise.
    """

    mirror: bool = False
    rows: int = 0
    columns: int = 0
    zoom: float = 1.0
    gain: float = 1.0
    keep: float = 1.0
    noise: float = 0.0
    seed: int = 0

    def table(self) -> NDArray[np.int64]:
        """Return where each row and column goes, int64 [2, GRID]; -1: out of the grid."""
        centred = (np.arange(GRID) + 0.5 - GRID / 2) * self.zoom + GRID / 2
        rows, columns = centred + self.rows, centred + self.columns
        if self.mirror:
            columns = GRID - columns
        result = np.floor(np.stack([rows, columns])).astype(np.int64)
        result[(result < 0) | (result >= GRID)] = -1
        return result

    def add_noise(self, density: NDArray[np.float32]) -> None:
        """Add noise to events per sensor pixel, in place.

        Args:
            density: float32 [...]; `NOISE_SHARE` of its values grow.
        """
        if self.noise <= 0:
            return
        rng = np.random.default_rng(self.seed)
        where = rng.integers(density.size, size=int(density.size * NOISE_SHARE))
        density[np.unravel_index(where, density.shape)] += np.float32(self.noise / NOISE_SHARE)

    def image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image moved as the events are; without zoom. uint8 [GRID, GRID]."""
        padded = np.pad(image, ((abs(self.rows),) * 2, (abs(self.columns),) * 2), mode='edge')
        top = abs(self.rows) - self.rows
        left = abs(self.columns) - self.columns
        moved = padded[top : top + GRID, left : left + GRID]
        return moved[:, ::-1] if self.mirror else moved


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges that changes are drawn from.

    Attributes:
        shift: largest shift, cells.
        zoom: largest relative change of scale.
        gain: largest factor, and its inverse the smallest.
        drop: largest share of dropped entries.
        noise: largest rate of noise, events per sensor pixel and slice.
    """

    shift: int
    zoom: float
    gain: float
    drop: float
    noise: float

    def draw(self, rng: np.random.Generator) -> Jitter:
        """Return one draw."""
        rows, columns = (int(v) for v in rng.integers(-self.shift, self.shift + 1, 2))
        return Jitter(
            mirror=bool(rng.random() < 0.5),
            rows=rows,
            columns=columns,
            zoom=float(rng.uniform(1 - self.zoom, 1 + self.zoom)),
            gain=float(self.gain ** rng.uniform(-1, 1)),
            keep=float(1 - rng.uniform(0, self.drop)),
            noise=float(rng.uniform(0, self.noise)) if rng.random() < 0.5 else 0.0,
            seed=int(rng.integers(2**31)),
        )
