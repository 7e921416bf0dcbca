"""How steady pictures of a face that has come to rest are, and what is still known of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.slices import Slice
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip, dense_counts
from microexpr_ros.learning.data.exposures import measure_exposures
from microexpr_ros.learning.evaluation.rounding import rounded
from microexpr_ros.learning.training.reconstruction import ReconstructionExample
from microexpr_ros.perception.reconstruction.face_painter import FacePainter
from microexpr_ros.perception.reconstruction.reconstructor import Reconstructor
from microexpr_ros.synthesis.dataset.splits import RESTS_FROM_NS

STILL_LEVELS: Final = 0.1
"""Mean absolute difference of two true pictures, grey levels, below which nothing moved."""

_SCORED_NS: Final = 1_000_000_000
"""Length of the first and of the last part of a rest that are compared with the truth."""


@dataclass(frozen=True, slots=True)
class RestScores:
    """Pictures of faces that rest, from events alone, mean over the takes.

    Attributes:
        drift: largest change of a picture's `metrics.low_frequencies` since the beginning of the
            rest, mean over the pixels, as a share of the range.
        true_drift: the same of the true pictures: blinks, glances and breath.
        flicker: mean absolute difference of pictures that follow each other while nothing moves,
            grey levels.
        psnr_first: of the first second of the rest, dB.
        psnr_last: of the last second, dB.
        ssim_first: of the first second.
        ssim_last: of the last second.
    """

    drift: float
    true_drift: float
    flicker: float
    psnr_first: float
    psnr_last: float
    ssim_first: float
    ssim_last: float


@dataclass(frozen=True, slots=True)
class RestReport:
    """The split rest.

    Attributes:
        n_clips: takes.
        n_identities: persons in them.
        scores: mean over the takes.
        worst_drift: of the take with the largest one.
    """

    n_clips: int
    n_identities: int
    scores: RestScores
    worst_drift: float


def evaluate_rest(reconstructor: Reconstructor, recordings: Sequence[SparseClip]) -> RestReport:
    """Score the pictures of faces that rest, from events alone.

    Each take goes through the reconstructor slice by slice, from its beginning.

    Args:
        reconstructor: what to evaluate.
        recordings: clips of the split rest, in aligned boxes.

    Returns:
        The report, its numbers rounded to `rounding.DECIMALS`.
    """
    scores = [score_rest(paint_clip(reconstructor, r), r) for r in recordings]
    means = {
        field.name: float(np.mean([getattr(one, field.name) for one in scores]))
        for field in fields(RestScores)
    }
    report = RestReport(
        n_clips=len(recordings),
        n_identities=len({r.clip.identity for r in recordings}),
        scores=RestScores(**means),
        worst_drift=max(one.drift for one in scores),
    )
    return rounded(report)


def paint_clip(reconstructor: Reconstructor, sparse: SparseClip) -> NDArray[np.uint8]:
    """Return the pictures of a clip's targets as the node makes them, uint8 [N, grid, grid].

    Args:
        reconstructor: what to paint with, from events alone.
        sparse: a clip in aligned boxes.
    """
    clip, slice_ns = sparse.clip, reconstructor.slice_ns
    # A region of a sensor whose cells have as many pixels as the clip's.
    side = reconstructor.configuration.grid * clip.pixels_per_cell**0.5
    region = AlignedRegion(side / 2, side / 2, side)
    targets = set(clip.target_slice.tolist())
    state, painter, images = reconstructor.initial_state(), FacePainter(reconstructor), []
    for number in range(sparse.slices):
        counts = dense_counts(sparse, number)
        end_ns = (number + 1) * slice_ns
        slice_ = Slice(end_ns, slice_ns, region, counts, int(counts.sum()))
        state = reconstructor.observe(slice_, state)
        if number in targets:
            images.append(painter.paint(state).image)
    return np.stack(images)


def score_rest(images: NDArray[np.uint8], sparse: SparseClip) -> RestScores:
    """Score the pictures of one take.

    Args:
        images: uint8 [N, grid, grid], of all its targets.
        sparse: the take.
    """
    clip = sparse.clip
    exposures = measure_exposures(clip)
    true = np.stack(
        [
            ReconstructionExample(sparse, number, None, exposures=exposures).target
            for number in range(len(clip.target))
        ]
    )
    end_ns = (clip.target_slice.astype(np.int64) + 1) * SLICE_NS
    resting = end_ns > RESTS_FROM_NS
    end_ns, shown, true = end_ns[resting], images[resting], true[resting]
    first, last = end_ns <= end_ns[0] + _SCORED_NS, end_ns > end_ns[-1] - _SCORED_NS
    return RestScores(
        drift=_measure_drift(shown),
        true_drift=_measure_drift(true),
        flicker=metrics.mean_of_known(
            np.where(_change(true) < STILL_LEVELS, _change(shown), math.nan)
        ),
        psnr_first=_mean(metrics.psnr, true[first], shown[first]),
        psnr_last=_mean(metrics.psnr, true[last], shown[last]),
        ssim_first=_mean(metrics.ssim, true[first], shown[first]),
        ssim_last=_mean(metrics.ssim, true[last], shown[last]),
    )


def _change(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean absolute difference of each picture from the one before, grey levels."""
    levels = images.astype(np.float32)
    return np.asarray(np.abs(np.diff(levels, axis=0)).mean(axis=(1, 2)))


def _measure_drift(images: NDArray[np.uint8]) -> float:
    shapes = [metrics.low_frequencies(image.astype(np.float32) / 255) for image in images]
    return max(float(np.abs(shape - shapes[0]).mean()) for shape in shapes)


def _mean(
    score: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float],
    true: NDArray[np.uint8],
    shown: NDArray[np.uint8],
) -> float:
    return float(np.mean([score(*pair) for pair in zip(true, shown, strict=True)]))
