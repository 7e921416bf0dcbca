"""Left or right: whether the side on which a unit is stronger is named rightly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval

UNEVEN: Final = 0.1
"""Difference of the sides from which one is the stronger: half a FACS grade. No face moves quite
evenly; in micro-expressions that are not one-sided, the sides differ by less."""

LEAST_CLIPS: Final = 3
"""Clips in which a unit must be uneven to have scores of its own: the slices of one clip agree
with each other."""


def score_asymmetry(
    sides: Sequence[NDArray[np.float32]], recordings: Sequence[SparseClip]
) -> dict[str, Any]:
    """Score which side is said to be the stronger, where the true sides differ by `UNEVEN`.

    `named` is the share of these units and slices in which it is the right side, where a tie
    counts half, and `ci95` its interval. `auc` is the area under the curve of left minus right,
    for left being the stronger.

    Args:
        sides: of each clip, predicted intensities float32 [T, 18, 2].
        recordings: the clips.
    """
    clips = len(recordings)
    true = _left_minus_right([r.clip.sides for r in recordings])
    said = _left_minus_right(sides)
    slice_, unit = np.nonzero(np.abs(true) >= UNEVEN)
    clip = np.repeat(np.arange(clips), [r.slices for r in recordings])[slice_]
    true, said = true[slice_, unit], said[slice_, unit]
    right = (1 + np.sign(true) * np.sign(said)) / 2

    def scores(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            'named': _share(right[chosen].sum(), chosen.sum()),
            'auc': metrics.area_under_curve(true[chosen] > 0, said[chosen]),
            'n_slices': int(chosen.sum()),
            'n_clips': len(np.unique(clip[chosen])),
        }

    rights, numbers = (np.bincount(clip, weights, clips) for weights in (right, None))
    drawn = bootstrap(
        np.array([r.clip.identity for r in recordings], np.int64),
        lambda rows: _share(rights[rows].sum(), numbers[rows].sum()),
    )
    by_unit = {str(code): scores(unit == k) for k, code in enumerate(CODES)}
    return {
        **scores(np.ones(len(unit), np.bool_)),
        'ci95': confidence_interval(drawn),
        'chance': 0.5,
        'per_au': {code: row for code, row in by_unit.items() if row['n_clips'] >= LEAST_CLIPS},
    }


def _left_minus_right(sides: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    left, right = np.moveaxis(np.concatenate(sides), 2, 0)
    return np.asarray(left - right)


def _share(right: float, number: int) -> float:
    return float(right / number) if number else math.nan
