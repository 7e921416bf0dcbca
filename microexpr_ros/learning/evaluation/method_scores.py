"""All scores of one method on one split, kept by clip so that persons can be resampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import MethodScores, Score
from microexpr_ros.learning.evaluation.clip_scores import dominant_labels
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.evaluation.spotting import (
    count_detections,
    detection_delay_ms,
    names_dominant,
    spot_clip,
)
from microexpr_ros.learning.prediction import Prediction, largest_decisive
from microexpr_ros.learning.training.calibration import dominant
from microexpr_ros.perception.presence import Presence


@dataclass(frozen=True, slots=True)
class MethodOutcomes:
    """What a method found in N clips, against the truth.

    Attributes:
        identities: int64 [N], persons.
        label: int64 [N], true dominant units, as `SparseClip.label`.
        predicted: int64 [N], those that were found.
        units: int64 [N, 4, 18], `metrics.confusion` of each unit's presence over the slices.
        area: float64 [18], area under the curve of each unit's intensity over all slices.
        spotted: int64 [N, 3], of `count_detections`.
        named: bool [N], the right detection also names the dominant unit.
        delay: float64 [N], ms from onset to detection, nan without one.
    """

    identities: NDArray[np.int64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    units: NDArray[np.int64]
    area: NDArray[np.float64]
    spotted: NDArray[np.int64]
    named: NDArray[np.bool_]
    delay: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Clips whose dominant unit was found, bool [N]."""
        return np.asarray(self.predicted == self.label)


ScoreOfClips: TypeAlias = Callable[[MethodOutcomes, NDArray[np.int64]], float]
"""A score of the clips with these positions; a clip may come more than once."""


def active_slices(intensity: NDArray[np.float32], presence: Presence) -> NDArray[np.bool_]:
    """Return which units are active in each slice, with hysteresis, bool [T, 18].

    Args:
        intensity: float32 [T, 18]; before the first slice, no unit is active.
        presence: limits.
    """
    active = np.zeros(intensity.shape, np.bool_)
    before = np.zeros(intensity.shape[1], np.bool_)
    for number, values in enumerate(intensity):
        before = active[number] = presence.active(values, before)
    return active


def score_method(
    predicted: Sequence[Prediction],
    recordings: Sequence[SparseClip],
    presence: Presence,
    statuses: Sequence[NDArray[np.int64] | None] | None = None,
) -> MethodOutcomes:
    """Compare predictions with the truth of their clips.

    Args:
        predicted: of each clip.
        recordings: the clips.
        presence: limits.
        statuses: of each clip, int64 [T] of `Status`; None for a method without statuses.
    """
    active = [active_slices(prediction.intensity, presence) for prediction in predicted]
    truth = [r.clip.intensity >= PRESENT for r in recordings]
    given = statuses or [None] * len(predicted)
    found = [
        spot_clip(prediction, presence, status)
        for prediction, status in zip(predicted, given, strict=True)
    ]
    every, estimated = np.concatenate(truth), np.concatenate([p.intensity for p in predicted])
    return MethodOutcomes(
        np.array([r.clip.identity for r in recordings], np.int64),
        dominant_labels(recordings),
        dominant(largest_decisive(predicted), presence),
        np.stack([metrics.confusion(*pair) for pair in zip(truth, active, strict=True)]),
        np.array(
            [metrics.area_under_curve(every[:, k], estimated[:, k]) for k in range(len(CODES))]
        ),
        np.stack([count_detections(*pair) for pair in zip(recordings, found, strict=True)]),
        np.array([names_dominant(*pair) for pair in zip(recordings, found, strict=True)]),
        np.array([detection_delay_ms(*pair) for pair in zip(recordings, active, strict=True)]),
    )


def clip_accuracy(outcomes: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return the share of clips whose dominant unit, or none, was found."""
    return float(outcomes.right[rows].mean())


def slice_f1(outcomes: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return UF1: the mean F1 of the units' presence over all slices.

    Units that never occur in these clips have no F1 and do not count.
    """
    return metrics.mean_of_known(metrics.f1_of(outcomes.units[rows].sum(0)))


def slice_recall(outcomes: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return UAR: the recall of present and absent over all slices, mean of both and of units."""
    return metrics.mean_of_known(metrics.recall_of(outcomes.units[rows].sum(0)))


def spotting_f1(outcomes: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return the F1 of spotting over all clips; nan if they hold no expression."""
    right, wrong, missed = outcomes.spotted[rows].sum(0)
    return float(2 * right / (2 * right + wrong + missed)) if right + missed else math.nan


def median_delay_ms(outcomes: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return the median delay of the expressions whose dominant unit was found in time."""
    known = outcomes.delay[rows][~np.isnan(outcomes.delay[rows])]
    return float(np.median(known)) if len(known) else math.nan


def summarize_method(outcomes: MethodOutcomes) -> MethodScores:
    """Return the scores over all clips, with their confidence intervals."""

    def score(statistic: ScoreOfClips) -> Score:
        every = np.arange(len(outcomes.label))
        interval = confidence_interval(resample_score(outcomes, statistic))
        return Score(statistic(outcomes, every), interval)

    return MethodScores(
        clip_accuracy=score(clip_accuracy),
        uf1=score(slice_f1),
        uar=score(slice_recall),
        spotting_f1=score(spotting_f1),
        median_delay_ms=score(median_delay_ms),
        auc=metrics.mean_of_known(outcomes.area),
    )


def resample_score(
    outcomes: MethodOutcomes, statistic: ScoreOfClips, seed: int = 0
) -> NDArray[np.float64]:
    """Return a score of the clips of resampled persons, float64 [samples]; see `bootstrap`."""
    return bootstrap(outcomes.identities, lambda rows: statistic(outcomes, rows), seed=seed)
