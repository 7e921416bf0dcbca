"""What the networks of the face tracker learn from: moments of takes of the whole sensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.faces import MAX_FACES
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.events.sensor_grid import SENSOR_CELLS, SensorMap
from microexpr_ros.landmarks import EYE_DISTANCE, PLACES
from microexpr_ros.perception.faces.inference import PLACE, FaceInference
from microexpr_ros.perception.faces.traces import POOLED, EventTraces
from microexpr_ros.synthesis.dataset.face_takes import FaceTake

MIRRORED: Final = (1, 0, 2, 4, 3)
"""Which landmark of a face each is in the mirror."""

WHOLE: Final = AlignedRegion(SENSOR_CELLS / 2, SENSOR_CELLS / 2, SENSOR_CELLS)
"""The view of the detector."""

_MISTAKEN: Final = 0.1
"""Least probability with which the detector must see a face where none is, to be shown that."""

_MISTAKE_SHARE: Final = 0.6
"""Of the crops without a face, where there are mistakes."""

_NEAR: Final = (0.05, 0.06, 0.06)
_FAR: Final = (0.13, 0.18, 0.2)


@dataclass(frozen=True, slots=True, eq=False)
class FaceSamples:
    """Samples of some moments.

    Attributes:
        pooled: float32 [N, CHANNELS, POOLED, POOLED], the whole sensor.
        places: float32 [N, 6, M, M], M = POOLED / 4: whether a face is here (1, 0, or between
            beside one), column, row, logarithm of the side, roll, and whether these are known.
        crops: float32 [K, CHANNELS, size, size].
        landmarks: float32 [K, 5, 2], from their places, in distances between the eyes.
        is_face: float32 [K], 1 for a face, 0 for none.
    """

    pooled: NDArray[np.float32]
    places: NDArray[np.float32]
    crops: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    is_face: NDArray[np.float32]


def sample_moments(
    take: FaceTake,
    rng: np.random.Generator,
    moments: int,
    crops: int,
    size: int,
    augmented: bool = True,
    inference: FaceInference | None = None,
) -> FaceSamples:
    """Sample moments of a take.

    Args:
        take: a coarse or an exact take.
        rng: random numbers.
        moments: how many.
        crops: how many crops of each.
        size: rows and columns of a crop.
        augmented: whether the take may be mirrored, run backwards and have another contrast.
        inference: the networks as they are now: most crops without a face then show what they
            take for one, where they do. None for crops of any busy place.
    """
    mirrored, backwards = (augmented and rng.random() < 0.5 for _ in range(2))
    contrast = float(np.exp(rng.normal(0, 0.25))) if augmented else 1.0
    length = len(take.starts) - 1
    chosen = np.sort(rng.choice(np.arange(length // 16, length), moments, replace=False))
    traces = EventTraces(take.height, take.width, take.pixels * contrast)
    pooled, places, cut, landmarks, is_face = [], [], [], [], []
    sensor = SensorMap(take.height, take.width)
    number = 0
    for moment in range(int(chosen[-1]) + 1):
        traces.update(_slice(take, moment, mirrored, backwards), SLICE_NS / 1e9)
        if moment != chosen[number]:
            continue
        number += 1
        at = max(length - 2 - moment, 0) if backwards else moment
        faces = sensor.to_cells(take.landmarks[:, at]).astype(np.float32)
        if mirrored:
            faces = faces[:, MIRRORED]
            faces[..., 0] = take.shape[1] - faces[..., 0]
        regions = [align(face) for face in faces]
        view = _sample_view(rng) if augmented else WHOLE
        pooled.append(traces.pooled_view(view))
        seen = [align(SENSOR_CELLS * view.to_shares(face)) for face in faces]
        places.append(mark_places(seen))
        mistakes = [] if inference is None else _find_mistakes(traces, regions, inference)
        for _ in range(crops):
            sample = _sample_crop(traces, size, faces, regions, mistakes, rng)
            cut.append(sample[0])
            landmarks.append(sample[1])
            is_face.append(sample[2])
    return FaceSamples(
        np.stack(pooled),
        np.stack(places),
        np.stack(cut),
        np.stack(landmarks).astype(np.float32),
        np.array(is_face, np.float32),
    )


def concatenate(samples: Sequence[FaceSamples]) -> FaceSamples:
    """Return samples of several takes as one."""
    names = ('pooled', 'places', 'crops', 'landmarks', 'is_face')
    return FaceSamples(
        *(np.concatenate([getattr(one, name) for one in samples]) for name in names)
    )


def mark_places(regions: Sequence[AlignedRegion]) -> NDArray[np.float32]:
    """Return what the detector should find, float32 [6, M, M] as of `FaceSamples.places`.

    Args:
        regions: of the faces, in cells of the sensor's grid.
    """
    size = POOLED // 4
    out = np.zeros((6, size, size), np.float32)
    rows, columns = np.mgrid[:size, :size] + 0.5
    for region in regions:
        x, y = region.x / PLACE, region.y / PLACE
        if not (0 <= x < size and 0 <= y < size):
            continue
        # Beside the centre a miss of a fifth of the face is half as wrong (CornerNet's penalty).
        sigma = max(0.12 * region.side / PLACE, 0.4)
        near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
        out[0] = np.maximum(out[0], near)
        r, c = int(y), int(x)
        out[0, r, c] = 1
        known = near > 0.6
        known[r, c] = True
        for k, value in enumerate(
            (x - columns, y - rows, math.log(region.side / (4 * PLACE)), region.roll), start=1
        ):
            out[k] = np.where(known, value, out[k])
        out[5] = np.maximum(out[5], known)
    return out


def _sample_view(rng: np.random.Generator) -> AlignedRegion:
    x, y = SENSOR_CELLS / 2 + rng.normal(0, 12, 2)
    side = SENSOR_CELLS * math.exp(rng.normal(0, 0.15))
    return AlignedRegion(float(x), float(y), side, float(rng.normal(0, 0.1)))


def _slice(take: FaceTake, moment: int, mirrored: bool, backwards: bool) -> NDArray[np.uint8]:
    # Seen backwards, what grew bright grows dark.
    counts = take.dense(len(take.starts) - 2 - moment)[::-1] if backwards else take.dense(moment)
    return np.ascontiguousarray(counts[..., ::-1] if mirrored else counts)


def _sample_crop(
    traces: EventTraces,
    size: int,
    faces: NDArray[np.float32],
    regions: Sequence[AlignedRegion],
    mistakes: Sequence[AlignedRegion],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Return a crop that is off a face as the tracker's would be, or that shows none."""
    inside = [
        n
        for n, region in enumerate(regions)
        if -0.1 * region.side < region.x < traces.shape[1] + 0.1 * region.side
        and -0.1 * region.side < region.y < traces.shape[0] + 0.1 * region.side
    ]
    if inside and rng.random() < 0.68:
        chosen = int(rng.choice(inside))
        region = regions[chosen]
        shift, stretch, turn = _NEAR if rng.random() < 0.55 else _FAR
        assumed = AlignedRegion(
            region.x + rng.normal(0, shift) * region.side,
            region.y + rng.normal(0, shift) * region.side,
            region.side * math.exp(rng.normal(0, stretch)),
            region.roll + rng.normal(0, turn),
        )
        off = (assumed.to_shares(faces[chosen]) - PLACES) / EYE_DISTANCE
        return traces.crop(assumed, size), off, 1.0
    if mistakes and rng.random() < _MISTAKE_SHARE:
        return traces.crop(mistakes[int(rng.integers(len(mistakes)))], size), np.zeros((5, 2)), 0.0
    for _ in range(10):
        side = math.exp(rng.uniform(math.log(16), math.log(130)))
        x, y = _busy_place(traces, rng)
        assumed = AlignedRegion(x, y, side, float(rng.normal(0, 0.3)))
        if all(_apart(assumed, region) for region in regions):
            return traces.crop(assumed, size), np.zeros((5, 2)), 0.0
    return traces.crop(assumed, size), np.zeros((5, 2)), -1.0


def _find_mistakes(
    traces: EventTraces, regions: Sequence[AlignedRegion], inference: FaceInference
) -> list[AlignedRegion]:
    """Return where the detector sees faces that are none, and where the refiner moves them."""
    out = []
    for _, region in inference.detect(traces, _MISTAKEN, MAX_FACES):
        if all(_apart(region, face) for face in regions):
            moved = align(inference.refine(traces, region).landmarks)
            out += [region, *([moved] if all(_apart(moved, face) for face in regions) else [])]
    return out


def _busy_place(traces: EventTraces, rng: np.random.Generator) -> tuple[float, float]:
    rows, columns = traces.shape
    if rng.random() < 0.25:
        return float(rng.uniform(0, columns)), float(rng.uniform(0, rows))
    weight = traces.maps[..., 2:].sum(axis=2).reshape(-1) + 1e-4
    at = int(np.searchsorted(np.cumsum(weight), rng.random() * weight.sum()))
    spread = float(np.exp(rng.uniform(0, np.log(20))))
    at = min(at, rows * columns - 1)
    x = at % columns + rng.normal(0, spread)
    y = at // columns + rng.normal(0, spread)
    return float(np.clip(x, 0, columns)), float(np.clip(y, 0, rows))


def _apart(assumed: AlignedRegion, region: AlignedRegion) -> bool:
    away = math.hypot(assumed.x - region.x, assumed.y - region.y)
    larger = max(assumed.side, region.side)
    ratio = assumed.side / region.side
    return away > 0.5 * larger or not 0.45 < ratio < 2.2
