"""Random changes of clips that leave their labels as they are."""

from __future__ import annotations

from collections.abc import Sequence
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
        mirror: exchange left and right: an intensity is that of the stronger side.
        rows: shift down, cells.
        columns: shift to the right, cells.
        zoom: scale about the middle of the region: its edges are never exact.
        gain: factor on the counts: sensors differ in contrast threshold.
        balance: factor on ON over that on OFF: so do the two thresholds of one sensor.
        keep: share of the cells' entries that are kept.
        flip: share of entries that change polarity.
        late: share of entries that fall into the slice before or after their own.
        noise: events per sensor pixel and slice of noise, in either polarity.
        seed: of everything that differs from entry to entry.
    """

    mirror: bool = False
    rows: int = 0
    columns: int = 0
    zoom: float = 1.0
    gain: float = 1.0
    balance: float = 1.0
    keep: float = 1.0
    flip: float = 0.0
    late: float = 0.0
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

    def gains(self) -> NDArray[np.float64]:
        """Return the factors on counts of OFF and ON."""
        return np.asarray(self.gain * self.balance ** np.array([-0.5, 0.5]))

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

    def add_trace_noise(
        self, traces: NDArray[np.float32], decays: Sequence[float], slices: int
    ) -> None:
        """Add what the noise of the slices before has left, in place.

        Args:
            traces: float32 [N, ...].
            decays: what a slice leaves of each trace.
            slices: how many there were.
        """
        if self.noise <= 0 or slices == 0:
            return
        rng = np.random.default_rng([self.seed, slices])
        for trace, decay in zip(traces, decays, strict=True):
            # Mean and variance of a leaky sum of rare events; uniform numbers are drawn quickest.
            # Cut off at 0, so that there is somewhat more of it.
            mean = self.noise * (1 - decay**slices) / (1 - decay)
            square = self.noise**2 / NOISE_SHARE * (1 - decay ** (2 * slices)) / (1 - decay**2)
            spread = np.float32((12 * square) ** 0.5)
            noise = rng.random(trace.shape, np.float32)
            noise -= np.float32(0.5)
            noise *= spread
            noise += np.float32(mean)
            trace += noise.clip(min=0, out=noise)

    def images(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return images moved as the events are, uint8 [..., GRID, GRID]; edges are repeated."""
        centres = np.arange(GRID) + 0.5
        columns = (GRID - centres if self.mirror else centres) - self.columns
        places = [
            np.floor((at - GRID / 2) / self.zoom + GRID / 2).astype(np.int64).clip(0, GRID - 1)
            for at in (centres - self.rows, columns)
        ]
        return images[..., places[0][:, None], places[1]]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges that changes are drawn from.

    Attributes:
        shift: largest shift, cells.
        zoom: largest relative change of scale.
        gain: largest factor, and its inverse the smallest.
        balance: largest ratio of ON to OFF, and its inverse the smallest.
        drop: largest share of dropped entries.
        flip: largest share of entries that change polarity.
        late: largest share of entries in a neighbouring slice.
        noise: largest rate of noise, events per sensor pixel and slice.
    """

    shift: int = 6
    zoom: float = 0.08
    gain: float = 1.5
    balance: float = 1.3
    drop: float = 0.3
    flip: float = 0.03
    late: float = 0.2
    noise: float = 0.002

    def draw(self, rng: np.random.Generator) -> Jitter:
        """Return one draw."""
        rows, columns = (int(v) for v in rng.integers(-self.shift, self.shift + 1, 2))
        return Jitter(
            mirror=bool(rng.random() < 0.5),
            rows=rows,
            columns=columns,
            zoom=float(rng.uniform(1 - self.zoom, 1 + self.zoom)),
            gain=float(self.gain ** rng.uniform(-1, 1)),
            balance=float(self.balance ** rng.uniform(-1, 1)),
            keep=float(1 - rng.uniform(0, self.drop)),
            flip=float(rng.uniform(0, self.flip)),
            late=float(rng.uniform(0, self.late)),
            noise=float(rng.uniform(0, self.noise)) if rng.random() < 0.5 else 0.0,
            seed=int(rng.integers(2**31)),
        )
