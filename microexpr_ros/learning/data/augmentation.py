"""Random changes of clips that leave their labels as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.events.grid import GRID
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import EYE_DISTANCE

Level = TypeVar('Level', np.uint8, np.float32)

NOISE_SHARE: Final = 0.005
"""Share of cells and slices with noise."""

KNOTS: Final = 6
"""Knots per side of the coarse grid on which displacements are sampled."""

SPREAD_SHARE: Final = 0.8
"""Errors of a tracker in scale and roll (rad), as a share of those in position, as shares of the
distance between the eyes: landmarks that err alike give such errors."""

LOST_ERROR: Final = 0.2
"""Error in position of a region that a tracker has lost, as a share of that distance."""


WANDER_SLICES: Final = 10
"""Slices between two errors of a tracker that do not depend on each other."""


@dataclass(frozen=True, slots=True)
class Jitter:
    """One sample of all changes; the default changes nothing.

    Attributes:
        mirror: exchange left and right.
        rows: shift down, cells.
        columns: shift to the right, cells.
        zoom: scale about the middle of the region, as its edges vary.
        stretch: height over width of a former square: faces are longer or broader.
        turn: rotation about the middle, rad.
        shear: horizontal shear, columns per row.
        bend: largest displacement of a smooth random deformation, cells: faces differ in shape.
        gain: factor on the counts: sensors differ in contrast threshold.
        balance: factor on ON over that on OFF, as the two thresholds of a sensor differ.
        keep: share of entries that are kept; an entry is the count of a cell in a slice.
        flip: share of entries that change polarity.
        late: share of entries that move to the slice before or after.
        noise: mean noise per slice in either polarity, in the unit of
            `SequenceBatch.density`: events per sensor pixel, summed over an input pixel's cells.
        seed: of everything that is sampled per entry.
        region: the part of the clip's grid that is shown, in cells, before it is changed by all
            of the above; None for the whole grid.
    """

    mirror: bool = False
    rows: int = 0
    columns: int = 0
    zoom: float = 1.0
    stretch: float = 1.0
    turn: float = 0.0
    shear: float = 0.0
    bend: float = 0.0
    gain: float = 1.0
    balance: float = 1.0
    keep: float = 1.0
    flip: float = 0.0
    late: float = 0.0
    noise: float = 0.0
    seed: int = 0
    region: AlignedRegion | None = None

    @property
    def area(self) -> float:
        """Cells of the clip that one cell of the region covers."""
        return 1.0 if self.region is None else (self.region.side / GRID) ** 2

    def cell_map(self) -> NDArray[np.int32]:
        """Return the cell that each cell moves to, int32 [GRID * GRID]; -1: out of the grid."""
        centres = self._to_region()
        moved = np.tensordot(self._matrix(), centres, 1)
        if self.bend:
            row, column = _cells(centres)
            moved += self._displacements()[:, row, column]
        moved += np.array([self.rows, self.columns]).reshape(2, 1, 1)
        if self.mirror:
            moved[1] *= -1
        rows, columns = np.floor(moved + GRID / 2).astype(np.int32)
        outside = (np.minimum(rows, columns) < 0) | (np.maximum(rows, columns) >= GRID)
        return np.where(outside, np.int32(-1), rows * GRID + columns).ravel()

    def gains(self) -> NDArray[np.float64]:
        """Return the factors on counts of OFF and ON, of which a larger cell has more."""
        return np.asarray(self.gain / self.area * self.balance ** np.array([-0.5, 0.5]))

    def add_noise(self, density: NDArray[np.float32]) -> None:
        """Add noise to `SequenceBatch.density`, in place.

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
        """Add the traces of the noise in the slices before, in place.

        Args:
            traces: float32 [N, ...].
            decays: factor of each trace per slice.
            slices: number of slices before.
        """
        if self.noise <= 0 or slices == 0:
            return
        rng = np.random.default_rng([self.seed, slices])
        for trace, decay in zip(traces, decays, strict=True):
            # Mean and variance of a leaky sum of rare events; uniform samples are the fastest.
            # Clipped at 0, which raises the mean slightly.
            mean = self.noise * (1 - decay**slices) / (1 - decay)
            square = self.noise**2 / NOISE_SHARE * (1 - decay ** (2 * slices)) / (1 - decay**2)
            spread = np.float32((12 * square) ** 0.5)
            noise = rng.random(trace.shape, np.float32)
            noise -= np.float32(0.5)
            noise *= spread
            noise += np.float32(mean)
            trace += noise.clip(min=0, out=noise)

    def warp_images(self, images: NDArray[Level]) -> NDArray[Level]:
        """Return images moved like the events, [..., GRID, GRID] of the same type.

        Edges are repeated. Between cells the grey levels are interpolated.

        Args:
            images: uint8 or float32 [..., GRID, GRID].
        """
        moved = _CENTRES.copy()
        if self.mirror:
            moved[1] *= -1
        moved -= np.array([self.rows, self.columns]).reshape(2, 1, 1)
        inverse, displacements = np.linalg.inv(self._matrix()), self._displacements()
        source = np.tensordot(inverse, moved, 1)
        # Fixed-point iteration inverts a smooth, small displacement in a few rounds.
        for _ in range(3 if self.bend else 0):
            rows, columns = _cells(source)
            source = np.tensordot(inverse, moved - displacements[:, rows, columns], 1)
        # Of the middle of a cell from the middle of the grid, to that of the first cell from 0.
        rows, columns = (self._from_region(source) + (GRID / 2 - 0.5)).astype(np.float32)
        warped = [
            cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for image in images.reshape(-1, GRID, GRID)
        ]
        return np.array(warped, images.dtype).reshape(images.shape)

    def _to_region(self) -> NDArray[np.float64]:
        """Return where the cells' centres are in the region; as `_CENTRES`."""
        if self.region is None:
            return _CENTRES
        shares = self.region.to_shares(_from_middle(_CENTRES))
        return np.asarray(GRID * np.moveaxis(shares[..., ::-1] - 0.5, 2, 0))

    def _from_region(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where places in the region are in the clip's grid; both as `_CENTRES`."""
        if self.region is None:
            return places
        points = self.region.to_pixels(_from_middle(places) / GRID)
        return np.asarray(np.moveaxis(points[..., ::-1], 2, 0) - GRID / 2)

    def _matrix(self) -> NDArray[np.float64]:
        # On rows and columns.
        height, width = self.zoom * self.stretch**0.5, self.zoom / self.stretch**0.5
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        turned = np.array([[cosine, sine], [-sine, cosine]])
        return np.asarray(turned @ np.array([[height, 0], [self.shear * width, width]]))

    def _displacements(self) -> NDArray[np.float64]:
        if not self.bend:
            return np.zeros((2, GRID, GRID))
        knots = np.random.default_rng([self.seed, KNOTS]).uniform(-1, 1, (KNOTS, KNOTS, 2))
        smooth = cv2.resize(self.bend * knots, (GRID, GRID), interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.moveaxis(smooth, 2, 0), np.float64)


_CENTRES: Final = np.asarray(np.indices((GRID, GRID)) + (0.5 - GRID / 2), np.float64)
"""Rows and columns of the cells' centres from the middle, float64 [2, GRID, GRID]."""


def _from_middle(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns and rows from the corner, [..., 2], of rows and columns from the middle."""
    return np.moveaxis(places[::-1], 0, -1) + GRID / 2


def _cells(at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows, columns = np.floor(at + GRID / 2).astype(np.int64).clip(0, GRID - 1)
    return rows, columns


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges that changes are sampled from.

    Attributes:
        shift: largest shift, cells.
        zoom: largest relative change of scale.
        stretch: largest ratio of height to width, and its inverse the smallest.
        turn: largest rotation, rad.
        shear: largest shear, columns per row.
        bend: largest of a smooth displacement, cells.
        gain: largest factor, and its inverse the smallest.
        balance: largest ratio of ON to OFF, and its inverse the smallest.
        drop: largest share of dropped entries.
        flip: largest share of entries that change polarity.
        late: largest share of entries in a neighbouring slice.
        noise: largest rate of noise, in the unit of `Jitter.noise`, per slice.
        tracking: largest standard deviation of the error of a tracked region, as a share of the
            distance between the eyes; one is sampled per clip.
        lost: share of the clips whose region is as far off as that of a tracker that has lost
            the face.
        lag: largest share of the face's way that a tracker does not see, as it does while a head
            turns fast; one is sampled per clip.
        wander: largest standard deviation of the slow error of a tracker from slice to slice, as
            a share of the distance between the eyes.
    """

    shift: int = 3
    zoom: float = 0.06
    stretch: float = 1.1
    turn: float = 0.05
    shear: float = 0.05
    bend: float = 2.0
    gain: float = 1.5
    balance: float = 1.3
    drop: float = 0.3
    flip: float = 0.03
    late: float = 0.2
    noise: float = 0.002
    tracking: float = 0.06
    lost: float = 0.02
    lag: float = 0.2
    wander: float = 0.012

    def sample(
        self, rng: np.random.Generator, landmarks: NDArray[np.floating] | None = None
    ) -> Jitter:
        """Return one sample.

        Args:
            rng: of the sampling.
            landmarks: float [5, 2], where the region is aligned, in cells; None for the whole
                grid.
        """
        region = None if landmarks is None else self.sample_region(rng, landmarks)
        rows, columns = (int(v) for v in rng.integers(-self.shift, self.shift + 1, 2))
        return Jitter(
            mirror=bool(rng.random() < 0.5),
            rows=rows,
            columns=columns,
            zoom=float(rng.uniform(1 - self.zoom, 1 + self.zoom)),
            stretch=float(self.stretch ** rng.uniform(-1, 1)),
            turn=float(rng.uniform(-self.turn, self.turn)),
            shear=float(rng.uniform(-self.shear, self.shear)),
            bend=self.bend,
            gain=float(self.gain ** rng.uniform(-1, 1)),
            balance=float(self.balance ** rng.uniform(-1, 1)),
            keep=float(1 - rng.uniform(0, self.drop)),
            flip=float(rng.uniform(0, self.flip)),
            late=float(rng.uniform(0, self.late)),
            noise=float(rng.uniform(0, self.noise)) if rng.random() < 0.5 else 0.0,
            seed=int(rng.integers(2**31)),
            region=region,
        )

    def sample_path(
        self, rng: np.random.Generator, landmarks: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        """Return where a tracker would have found a face that moves, float64 [T, 5, 2].

        Args:
            rng: of the errors.
            landmarks: float [T, 5, 2], true places.
        """
        true = np.asarray(landmarks, np.float64)
        way = (true - true[0]).mean(1)
        slices = len(true)
        knots = np.arange(0, slices + WANDER_SLICES, WANDER_SLICES)
        eyes = float(np.linalg.norm(true[0, 1] - true[0, 0]))
        size = rng.uniform(0, self.wander) * eyes
        errors = [
            np.interp(np.arange(slices), knots, rng.normal(0, size, len(knots))) for _ in 'xy'
        ]
        off = np.stack(errors, 1) - rng.uniform(0, self.lag) * way
        return np.asarray(true + off[:, None], np.float64)

    def sample_region(
        self, rng: np.random.Generator, landmarks: NDArray[np.floating]
    ) -> AlignedRegion:
        """Return the region that a tracker would have found, by chance a little off.

        Args:
            rng: of the errors.
            landmarks: float [5, 2], true places, in cells.
        """
        right = align(landmarks)
        error = LOST_ERROR if rng.random() < self.lost else rng.uniform(0, self.tracking)
        off = rng.normal(0, 1, 4) * error * np.array([1, 1, SPREAD_SHARE, SPREAD_SHARE])
        return AlignedRegion(
            right.x + EYE_DISTANCE * right.side * float(off[0]),
            right.y + EYE_DISTANCE * right.side * float(off[1]),
            right.side * float(np.exp(off[2])),
            right.roll + float(off[3]),
        )
