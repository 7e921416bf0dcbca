"""Left or right: how often the side on which a unit is stronger is named rightly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import (
    Asymmetry,
    Score,
    SideScores,
)
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval

UNEVEN: Final = 0.1
"""Difference of intensity from which one side is the stronger: half a FACS grade. No face moves
quite evenly; in micro-expressions that are not one-sided, the sides differ by less."""

MIN_CLIPS: Final = 3
"""Clips in which a unit must be uneven to have scores of its own: many slices of one clip would
not do, as they agree with each other."""


def score_asymmetry(
    sides: Sequence[NDArray[np.float32]], recordings: Sequence[SparseClip]
) -> Asymmetry:
    """Score which side is estimated to be the stronger, where the true sides differ by `UNEVEN`.

    Args:
        sides: of each clip, predicted intensities float32 [T, 18, 2].
        recordings: the clips.
    """
    clips = len(recordings)
    true = _left_minus_right([r.clip.sides for r in recordings])
    predicted = _left_minus_right(sides)
    slice_, unit = np.nonzero(np.abs(true) >= UNEVEN)
    clip = np.repeat(np.arange(clips), [r.slices for r in recordings])[slice_]
    true, predicted = true[slice_, unit], predicted[slice_, unit]
    right = (1 + np.sign(true) * np.sign(predicted)) / 2

    def score(chosen: NDArray[np.bool_]) -> SideScores:
        return SideScores(
            named=_share(right[chosen].sum(), chosen.sum()),
            auc=metrics.area_under_curve(true[chosen] > 0, predicted[chosen]),
            n_slices=int(chosen.sum()),
            n_clips=len(np.unique(clip[chosen])),
        )

    rights, numbers = (np.bincount(clip, weights, clips) for weights in (right, None))
    samples = bootstrap(
        np.array([r.clip.identity for r in recordings], np.int64),
        lambda rows: _share(rights[rows].sum(), numbers[rows].sum()),
    )
    every = score(np.ones(len(unit), np.bool_))
    by_unit = {code: score(unit == k) for k, code in enumerate(CODES)}
    return Asymmetry(
        named=Score(every.named, confidence_interval(samples)),
        auc=every.auc,
        n_slices=every.n_slices,
        n_clips=every.n_clips,
        per_au={code: row for code, row in by_unit.items() if row.n_clips >= MIN_CLIPS},
    )


def _left_minus_right(sides: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    left, right = np.moveaxis(np.concatenate(sides), 2, 0)
    return np.asarray(left - right)


def _share(right: float, number: int) -> float:
    return float(right / number) if number else math.nan
