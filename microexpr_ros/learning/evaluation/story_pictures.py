"""Pictures of the faces of stories, as the chain paints them, beside those of their camera."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.learning import metrics
from microexpr_ros.learning.evaluation.stories import SETTLING_NS
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor, grey
from microexpr_ros.perception.reconstruction.region_change import RegionChange

EVERY: Final = 3
"""With frames, one of so many is given; the others are what pictures are compared with."""

CHANGED: Final = 0.02
"""Change of a smoothed pixel since the frame that is given, as a share of the range, that counts:
noise of the camera is no change."""

_SMOOTH_CELLS: Final = 2.0
_CHANGED_PIXELS: Final = 50
_HIGHEST_PSNR: Final = 60.0

ALONE: Final = 'events alone'
NOTHING: Final = 'picture of no events'
FRAME: Final = 'frame'
COPY: Final = 'copy of the frame'
METHODS: Final = (ALONE, NOTHING, FRAME, COPY)


@dataclass(frozen=True, slots=True)
class PictureSums:
    """Scores of the pictures of a story, added up; the true picture is a frame with its noise.

    Attributes:
        pictures: how many.
        psnr: sum of the ratios, dB.
        ssim: sum of `metrics.ssim`.
        changed: pictures in which something changed since the frame that was given.
        psnr_changed: sum of the ratios of these pixels, dB.
    """

    pictures: int
    psnr: float
    ssim: float
    changed: int
    psnr_changed: float


def measure_pictures(
    slices: Sequence[Slice], reconstructor: Reconstructor
) -> Mapping[str, PictureSums]:
    """Paint a face along a story, from events alone and with a third of the frames.

    Args:
        slices: of one face, in order, with frames.
        reconstructor: paints.

    Returns:
        By method, one of `METHODS`: ALONE; NOTHING, which is what the network paints before it
        has seen anything; FRAME, with one frame of `EVERY`, up to 67 ms old at 30 frames a
        second; COPY, that frame.
    """
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    for paint in (_paint_alone, _paint_with):
        for truth, pictures, changed in paint(slices, reconstructor):
            for name, picture in pictures.items():
                rows[name].append(_score(truth, picture, changed))
    return {name: _add_up(np.array(own).reshape(-1, 3)) for name, own in rows.items()}


_Scored = tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]], NDArray[np.bool_] | None]


def _paint_alone(slices: Iterable[Slice], reconstructor: Reconstructor) -> Iterable[_Scored]:
    state, painter = reconstructor.initial_state(), FacePainter(reconstructor)
    nothing = reconstructor.reconstruct(state).image
    for slice_ in slices:
        state = reconstructor.observe(replace(slice_, frame=None), state)
        truth = _truth(slice_, reconstructor)
        if truth is not None:
            painted = painter.paint(state).image
            if slice_.clock_end_ns > SETTLING_NS:
                yield truth, {ALONE: painted, NOTHING: nothing}, None


def _paint_with(slices: Iterable[Slice], reconstructor: Reconstructor) -> Iterable[_Scored]:
    state, painter = reconstructor.initial_state(), FacePainter(reconstructor)
    given, number = None, 0
    for slice_ in slices:
        truth = _truth(slice_, reconstructor)
        if truth is None:
            state = reconstructor.observe(replace(slice_, frame=None), state)
            given = None if slice_.region is None else given
            continue
        number += 1
        if given is None or number % EVERY == 0:
            state = reconstructor.observe(slice_, state)
            given = truth, slice_.region
            continue
        state = reconstructor.observe(replace(slice_, frame=None), state)
        painted = painter.paint(state).image
        frame, region = given
        copied = RegionChange.between(region, slice_.region).move_picture(frame)
        if slice_.clock_end_ns > SETTLING_NS:
            yield truth, {FRAME: painted, COPY: copied}, _find_changed(copied, truth)


def _truth(slice_: Slice, reconstructor: Reconstructor) -> NDArray[np.uint8] | None:
    if slice_.region is None or slice_.frame is None:
        return None
    return grey(slice_.frame, reconstructor.configuration.grid)


def _find_changed(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.bool_]:
    change = now.astype(np.float32) - before.astype(np.float32)
    smooth = cv2.GaussianBlur(change, (0, 0), _SMOOTH_CELLS)
    return np.asarray(np.abs(smooth) > 255 * CHANGED)


def _score(
    truth: NDArray[np.uint8], picture: NDArray[np.uint8], changed: NDArray[np.bool_] | None
) -> tuple[float, float, float]:
    some = changed is not None and changed.sum() >= _CHANGED_PIXELS
    there = metrics.psnr(truth, picture, changed) if some else math.nan
    psnr = min(metrics.psnr(truth, picture), _HIGHEST_PSNR)
    return psnr, metrics.ssim(truth, picture), there


def _add_up(rows: NDArray[np.float64]) -> PictureSums:
    known = ~np.isnan(rows[:, 2])
    return PictureSums(
        len(rows),
        float(rows[:, 0].sum()),
        float(rows[:, 1].sum()),
        int(known.sum()),
        float(rows[known, 2].sum()),
    )
