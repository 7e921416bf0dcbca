"""One method's scores taken apart: by unit, by condition, by kind of mistake."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.clip_scores import present_units
from microexpr_ros.learning.evaluation.conditions import condition_groups
from microexpr_ros.learning.evaluation.method_scores import HEADLINE, MethodOutcomes
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.models.baselines import CLASSES


def scores_by_unit(
    ours: MethodOutcomes, recordings: Sequence[SparseClip]
) -> dict[str, dict[str, Any]]:
    """Return scores of each unit by slice, and the clips in which it is present and dominant."""
    confusion = ours.units.sum(0)
    f1 = metrics.f1_of(confusion).tolist()
    clips = present_units(recordings).sum(0).tolist()
    slices = (confusion[0] + confusion[2]).tolist()
    return {
        str(code): {
            'f1': f1[k],
            'auc': float(ours.area[k]),
            'n': clips[k],
            'n_slices': slices[k],
            'dominant_recall': _share(ours.right[ours.label == k]),
            'n_dominant': int((ours.label == k).sum()),
        }
        for k, code in enumerate(CODES)
    }


def confusion_matrix(ours: MethodOutcomes) -> list[list[int]]:
    """Count clips by true dominant unit (row) and found one (column); the last is none."""
    pairs = np.bincount(ours.label * CLASSES + ours.predicted, minlength=CLASSES**2)
    return [[int(n) for n in row] for row in pairs.reshape(CLASSES, CLASSES)]


def scores_by_condition(
    ours: MethodOutcomes, recordings: Sequence[SparseClip]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the scores of `HEADLINE` and the number of clips for each of `condition_groups`.

    `ci95` is the interval of the clip accuracy.
    """
    groups: dict[str, dict[str, list[int]]] = {}
    for number, recording in enumerate(recordings):
        for what, names in condition_groups(recording.clip).items():
            for name in names:
                groups.setdefault(what, {}).setdefault(name, []).append(number)
    return {
        what: {name: _scores(ours, np.array(members[name])) for name in sorted(members)}
        for what, members in groups.items()
    }


def _scores(ours: MethodOutcomes, chosen: NDArray[np.int64]) -> dict[str, Any]:
    right = ours.right[chosen]
    drawn = bootstrap(ours.identities[chosen], lambda rows: float(right[rows].mean()))
    return {
        **{name: statistic(ours, chosen) for name, statistic in HEADLINE.items()},
        'ci95': confidence_interval(drawn),
        'n': len(chosen),
    }


def spotting_scores(ours: MethodOutcomes) -> dict[str, float]:
    """Return what the F1 of spotting is made of."""
    right, wrong, missed = ours.spotted.sum(0).tolist()
    return {
        'right': right,
        'wrong': wrong,
        'missed': missed,
        'precision': right / (right + wrong) if right + wrong else math.nan,
        'recall': right / (right + missed) if right + missed else math.nan,
        'names_dominant': ours.named.sum().item() / right if right else math.nan,
    }


def detection_delay(ours: MethodOutcomes) -> dict[str, Any]:
    """Return the share of dominant units that were found in time, and how late they were."""
    known = np.sort(ours.delay[~np.isnan(ours.delay)])
    expressions = int((ours.label < len(CODES)).sum())
    return {
        'found': len(known) / expressions if expressions else math.nan,
        'p90_ms': float(np.percentile(known, 90)) if len(known) else math.nan,
        'all_ms': known.tolist(),
    }


def _share(right: NDArray[np.bool_]) -> float:
    return float(right.mean()) if len(right) else math.nan
