"""False alarms: detections in clips of the split calm, in which nobody shows an expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.action_unit_report import FalseAlarms, Score
from microexpr_ros.learning.evaluation.clip_estimates import classify_clip
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.evaluation.spotting import is_false_alarm, spot_clip
from microexpr_ros.learning.training.calibration import HEAD
from microexpr_ros.perception.classifier import ActionUnitClassifier
from microexpr_ros.synthesis.dataset.clip import Clip

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    'neutral': (),
    'talking': ('talk',),
    'blinking': ('blink',),
    'head': HEAD,
}
"""Kinds of calm clips, and the distractors by which they are known."""


def calm_kinds(clip: Clip) -> tuple[str, ...]:
    """Return the kinds of calm that a clip shows; neutral if it shows no other."""
    shown = tuple(kind for kind, names in KINDS.items() if set(names) & set(clip.distractors))
    return shown or ('neutral',)


def measure_false_alarms(
    classifier: ActionUnitClassifier, calm: Sequence[SparseClip]
) -> dict[str, FalseAlarms]:
    """Return the false alarms of each kind of calm.

    A detection is false if none of its units really moves during it: in clips without any
    expression, a real blink that is found is not an error.
    """
    alarms = []
    for recording in calm:
        estimates = classify_clip(classifier, recording)
        detections = spot_clip(estimates.prediction, classifier.presence, estimates.status)
        alarms.append(sum(is_false_alarm(recording, d) for d in detections))
    minutes = np.array([r.slices * SLICE_NS / 60e9 for r in calm])
    identities = np.array([r.clip.identity for r in calm], np.int64)
    counts, rates = np.array(alarms, np.int64), {}
    for kind in KINDS:
        chosen = np.array([kind in calm_kinds(r.clip) for r in calm], np.bool_)
        rates[kind] = _rate(identities[chosen], counts[chosen], minutes[chosen])
    return rates


def _rate(
    identities: NDArray[np.int64], counts: NDArray[np.int64], minutes: NDArray[np.float64]
) -> FalseAlarms:
    if len(counts) == 0:
        return FalseAlarms(Score(), 0.0)

    def rate(rows: NDArray[np.int64]) -> float:
        return float(counts[rows].sum() / minutes[rows].sum())

    interval = confidence_interval(bootstrap(identities, rate))
    return FalseAlarms(Score(rate(np.arange(len(counts))), interval), float(minutes.sum()))
