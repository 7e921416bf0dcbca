"""One method's scores taken apart: by unit, by condition, by kind of mistake."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import (
    ConditionScores,
    DetectionDelays,
    Score,
    SpottingCounts,
    UnitScores,
)
from microexpr_ros.learning.evaluation.clip_scores import present_units
from microexpr_ros.learning.evaluation.conditions import condition_groups
from microexpr_ros.learning.evaluation.method_scores import (
    MethodOutcomes,
    clip_accuracy,
    median_delay_ms,
    slice_f1,
    slice_recall,
    spotting_f1,
)
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.models.baselines import CLASSES


def score_units(
    outcomes: MethodOutcomes, recordings: Sequence[SparseClip]
) -> dict[int, UnitScores]:
    """Return scores of each unit, by its FACS code."""
    confusion = outcomes.units.sum(0)
    f1 = metrics.f1_of(confusion).tolist()
    clips = present_units(recordings).sum(0).tolist()
    slices = (confusion[0] + confusion[2]).tolist()
    return {
        code: UnitScores(
            f1=f1[k],
            auc=float(outcomes.area[k]),
            n=clips[k],
            n_slices=slices[k],
            dominant_recall=_share(outcomes.right[outcomes.label == k]),
            n_dominant=int((outcomes.label == k).sum()),
        )
        for k, code in enumerate(CODES)
    }


def confusion_matrix(outcomes: MethodOutcomes) -> tuple[tuple[int, ...], ...]:
    """Count clips by true dominant unit (row) and found one (column); the last is none."""
    pairs = np.bincount(outcomes.label * CLASSES + outcomes.predicted, minlength=CLASSES**2)
    return tuple(tuple(map(int, row)) for row in pairs.reshape(CLASSES, CLASSES))


def score_conditions(
    outcomes: MethodOutcomes, recordings: Sequence[SparseClip]
) -> dict[str, dict[str, ConditionScores]]:
    """Return scores of the clips of each of `condition_groups`, by what divides the clips."""
    groups: dict[str, dict[str, list[int]]] = {}
    for number, recording in enumerate(recordings):
        for what, names in condition_groups(recording.clip).items():
            for name in names:
                groups.setdefault(what, {}).setdefault(name, []).append(number)
    return {
        what: {name: _score_clips_at(outcomes, np.array(at[name])) for name in sorted(at)}
        for what, at in groups.items()
    }


def _score_clips_at(outcomes: MethodOutcomes, rows: NDArray[np.int64]) -> ConditionScores:
    right = outcomes.right[rows]
    samples = bootstrap(outcomes.identities[rows], lambda drawn: float(right[drawn].mean()))
    return ConditionScores(
        clip_accuracy=Score(clip_accuracy(outcomes, rows), confidence_interval(samples)),
        uf1=slice_f1(outcomes, rows),
        uar=slice_recall(outcomes, rows),
        spotting_f1=spotting_f1(outcomes, rows),
        median_delay_ms=median_delay_ms(outcomes, rows),
        n=len(rows),
    )


def count_spotting(outcomes: MethodOutcomes) -> SpottingCounts:
    """Return what the F1 of spotting is made of."""
    right, wrong, missed = outcomes.spotted.sum(0).tolist()
    return SpottingCounts(
        right=right,
        wrong=wrong,
        missed=missed,
        precision=right / (right + wrong) if right + wrong else math.nan,
        recall=right / (right + missed) if right + missed else math.nan,
        names_dominant=outcomes.named.sum().item() / right if right else math.nan,
    )


def detection_delays(outcomes: MethodOutcomes) -> DetectionDelays:
    """Return the share of dominant units that were found in time, and their delays."""
    known = np.sort(outcomes.delay[~np.isnan(outcomes.delay)])
    expressions = int((outcomes.label < len(CODES)).sum())
    return DetectionDelays(
        found=len(known) / expressions if expressions else math.nan,
        p90_ms=float(np.percentile(known, 90)) if len(known) else math.nan,
        all_ms=tuple(known.tolist()),
    )


def _share(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else math.nan
