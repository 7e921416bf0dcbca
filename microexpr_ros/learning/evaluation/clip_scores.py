"""Scores by clip: one answer for about a second, as the paper gives them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import ClipScores
from microexpr_ros.learning.prediction import (
    Prediction,
    largest_decisive,
    largest_intensities,
)
from microexpr_ros.learning.training.calibration import dominant
from microexpr_ros.perception.presence import Presence


def dominant_labels(recordings: Sequence[SparseClip]) -> NDArray[np.int64]:
    """Return the dominant unit of each clip, int64 [N], as `SparseClip.label`."""
    return np.array([r.label for r in recordings], np.int64)


def present_units(recordings: Sequence[SparseClip]) -> NDArray[np.bool_]:
    """Return which units are truly present at any time of each clip, bool [N, 18]."""
    return np.stack([r.peaks for r in recordings]) >= PRESENT


def score_clips(
    predicted: Sequence[Prediction], recordings: Sequence[SparseClip], presence: Presence
) -> ClipScores:
    """Score the largest predicted intensity of each unit in each clip, and what is decided.

    A unit is present if its true intensity reaches `PRESENT` anywhere in the clip, and found if
    its predicted intensity reaches its `Presence.peak` anywhere.

    Args:
        predicted: of each clip.
        recordings: the clips.
        presence: thresholds.
    """
    peaks = largest_intensities(predicted)
    truth, label = present_units(recordings), dominant_labels(recordings)
    chosen = dominant(largest_decisive(predicted), presence)
    found = peaks >= presence.peak
    units = range(len(CODES))
    areas = [metrics.area_under_curve(truth[:, k], peaks[:, k]) for k in units]
    return ClipScores(
        clip_accuracy=metrics.accuracy(label, chosen),
        clip_uar=metrics.unweighted_recall(label, chosen),
        clip_uf1=float(np.mean([metrics.f1(truth[:, k], found[:, k]) for k in units])),
        clip_auc=metrics.mean_of_known(np.array(areas)),
    )
