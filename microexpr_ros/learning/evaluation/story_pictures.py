"""Pictures of the faces of stories, as the chain paints them, beside those of their camera."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.region import AlignedRegion, Region
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

ALONE: Final = 'events alone'
NOTHING: Final = 'picture of no events'
FRAME: Final = 'frame'
COPY: Final = 'copy of the frame'
METHODS: Final = (ALONE, NOTHING, FRAME, COPY)


@dataclass(frozen=True, slots=True, eq=False)
class StoryPicture:
    """A frame of a story's camera, and pictures that were made of the same instant.

    Attributes:
        truth: uint8 [grid, grid], the frame, with its noise.
        made: uint8 [grid, grid] each, by method: `ALONE` and `NOTHING`; `FRAME` and `COPY` if the
            frame itself was not given.
        changed: bool [grid, grid], where the face changed since the frame that was given; None if
            this is it.
    """

    truth: NDArray[np.uint8]
    made: Mapping[str, NDArray[np.uint8]]
    changed: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class PictureSums:
    """Scores of the pictures of a story, added up.

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


def paint_story(slices: Iterable[Slice], reconstructor: Reconstructor) -> Iterator[StoryPicture]:
    """Paint a face along a story, from events alone and with a third of the frames.

    Args:
        slices: of one face, in order, with frames.
        reconstructor: paints. `NOTHING` is what its network paints before it has seen anything;
            `FRAME` has one frame of `EVERY`, up to 67 ms old at 30 frames a second, and `COPY` is
            that frame.

    Yields:
        Each frame after `SETTLING_NS`.
    """
    alone = seeing = reconstructor.initial_state()
    painters = FacePainter(reconstructor), FacePainter(reconstructor)
    nothing = reconstructor.reconstruct(alone).image
    given: tuple[NDArray[np.uint8], Region | AlignedRegion] | None = None
    number = 0
    for slice_ in slices:
        without = replace(slice_, frame=None)
        alone = reconstructor.observe(without, alone)
        if slice_.region is None or slice_.frame is None:
            seeing = reconstructor.observe(without, seeing)
            given = None if slice_.region is None else given
            continue
        truth = grey(slice_.frame, reconstructor.configuration.grid)
        made = {ALONE: painters[0].paint(alone).image, NOTHING: nothing}
        changed = None
        number += 1
        if given is None or number % EVERY == 0:
            seeing = reconstructor.observe(slice_, seeing)
            given = truth, slice_.region
        else:
            seeing = reconstructor.observe(without, seeing)
            frame, region = given
            copied = RegionChange.between(region, slice_.region).move_picture(frame)
            made |= {FRAME: painters[1].paint(seeing).image, COPY: copied}
            changed = _find_changed(copied, truth)
        if slice_.clock_end_ns > SETTLING_NS:
            yield StoryPicture(truth, made, changed)


def score_pictures(pictures: Iterable[StoryPicture]) -> Mapping[str, PictureSums]:
    """Compare pictures of a story with its frames; the scores are by `METHODS`."""
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    for picture in pictures:
        for name, made in picture.made.items():
            changed = picture.changed if name in (FRAME, COPY) else None
            rows[name].append(_score(picture.truth, made, changed))
    return {name: _add_up(np.array(own).reshape(-1, 3)) for name, own in rows.items()}


def _find_changed(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.bool_]:
    change = now.astype(np.float32) - before.astype(np.float32)
    smooth = cv2.GaussianBlur(change, (0, 0), _SMOOTH_CELLS)
    return np.asarray(np.abs(smooth) > 255 * CHANGED)


def _score(
    truth: NDArray[np.uint8], picture: NDArray[np.uint8], changed: NDArray[np.bool_] | None
) -> tuple[float, float, float]:
    some = changed is not None and changed.sum() >= _CHANGED_PIXELS
    there = metrics.psnr(truth, picture, changed) if some else math.nan
    return metrics.finite_psnr(truth, picture), metrics.ssim(truth, picture), there


def _add_up(rows: NDArray[np.float64]) -> PictureSums:
    known = ~np.isnan(rows[:, 2])
    return PictureSums(
        len(rows),
        float(rows[:, 0].sum()),
        float(rows[:, 1].sum()),
        int(known.sum()),
        float(rows[known, 2].sum()),
    )
