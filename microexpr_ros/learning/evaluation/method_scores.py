"""All scores of one method on one split, kept by clip so that clips can be drawn anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.clip_scores import dominant_labels
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.evaluation.spotting import (
    count_detections,
    detection_delay_ms,
    names_dominant,
    spot_clip,
)
from microexpr_ros.learning.training.calibration import dominant
from microexpr_ros.perception.presence import Presence


@dataclass(frozen=True, slots=True)
class MethodOutcomes:
    """What a method said of N clips, against the truth.

    Attributes:
        identities: int64 [N], persons.
        label: int64 [N], true dominant units, as `SparseClip.label`.
        predicted: int64 [N], those that were found.
        units: int64 [N, 4, 18], `metrics.confusion` of each unit's presence over the slices.
        area: float64 [18], area under the curve of each unit's intensity over all slices.
        spotted: int64 [N, 3], `count_detections`.
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


def active_slices(trace: NDArray[np.float32], presence: Presence) -> NDArray[np.bool_]:
    """Return which units are present in each slice, with hysteresis from rest, bool [T, 18]."""
    active = np.zeros(trace.shape, np.bool_)
    before = np.zeros(trace.shape[1], np.bool_)
    for number, intensity in enumerate(trace):
        before = active[number] = presence.active(intensity, before)
    return active


def score_method(
    traces: Sequence[NDArray[np.float32]],
    recordings: Sequence[SparseClip],
    presence: Presence,
    statuses: Sequence[NDArray[np.int64] | None] | None = None,
) -> MethodOutcomes:
    """Score predicted intensities.

    Args:
        traces: of each clip, float32 [T, 18].
        recordings: the clips.
        presence: limits.
        statuses: of each clip, int64 [T]; None for a method that tells none.
    """
    active = [active_slices(trace, presence) for trace in traces]
    truth = [r.clip.intensity >= PRESENT for r in recordings]
    told = statuses or [None] * len(traces)
    found = [
        spot_clip(trace, presence, status) for trace, status in zip(traces, told, strict=True)
    ]
    every, intensity = np.concatenate(truth), np.concatenate(list(traces))
    return MethodOutcomes(
        np.array([r.clip.identity for r in recordings], np.int64),
        dominant_labels(recordings),
        dominant(np.stack([trace.max(0) for trace in traces]), presence),
        np.stack([metrics.confusion(*pair) for pair in zip(truth, active, strict=True)]),
        np.array(
            [metrics.area_under_curve(every[:, k], intensity[:, k]) for k in range(len(CODES))]
        ),
        np.stack([count_detections(*pair) for pair in zip(recordings, found, strict=True)]),
        np.array([names_dominant(*pair) for pair in zip(recordings, found, strict=True)]),
        np.array([detection_delay_ms(*pair) for pair in zip(recordings, active, strict=True)]),
    )


def clip_accuracy(scored: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return the share of clips whose dominant unit, or none, was found."""
    return float(scored.right[rows].mean())


def slice_f1(scored: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return UF1: the mean F1 of the units' presence over all slices.

    Units that never occur in these clips have no F1 and do not count.
    """
    return metrics.mean_of_known(metrics.f1_of(scored.units[rows].sum(0)))


def slice_recall(scored: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return UAR: the recall of present and absent over all slices, mean of both and of units."""
    return metrics.mean_of_known(metrics.recall_of(scored.units[rows].sum(0)))


def spotting_f1(scored: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return the F1 of spotting over all clips."""
    right, wrong, missed = scored.spotted[rows].sum(0)
    return float(2 * right / (2 * right + wrong + missed)) if right + missed else math.nan


def median_delay_ms(scored: MethodOutcomes, rows: NDArray[np.int64]) -> float:
    """Return the median delay of the expressions whose dominant unit was found in time."""
    known = scored.delay[rows][~np.isnan(scored.delay[rows])]
    return float(np.median(known)) if len(known) else math.nan


HEADLINE: Final[Mapping[str, Callable[[MethodOutcomes, NDArray[np.int64]], float]]] = {
    'clip_accuracy': clip_accuracy,
    'uf1': slice_f1,
    'uar': slice_recall,
    'spotting_f1': spotting_f1,
    'median_delay_ms': median_delay_ms,
}
"""The scores that stand for a method, by their name in reports."""


def headline_scores(scored: MethodOutcomes) -> dict[str, Any]:
    """Return the scores of `HEADLINE` over all clips, and `ci95`, their intervals."""
    every = np.arange(len(scored.label))
    return {
        **{name: statistic(scored, every) for name, statistic in HEADLINE.items()},
        'auc': metrics.mean_of_known(scored.area),
        'ci95': {name: confidence_interval(resample_score(scored, name)) for name in HEADLINE},
    }


def resample_score(scored: MethodOutcomes, name: str, seed: int = 0) -> NDArray[np.float64]:
    """Return a score of `HEADLINE` of persons drawn anew; `bootstrap` says how."""
    statistic = HEADLINE[name]
    return bootstrap(scored.identities, lambda rows: statistic(scored, rows), seed=seed)
