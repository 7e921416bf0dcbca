"""The report on Action Units: all that `microexpr evaluate au` tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip
from microexpr_ros.learning.evaluation.asymmetry import score_asymmetry
from microexpr_ros.learning.evaluation.breakdown import (
    confusion_matrix,
    detection_delay,
    scores_by_condition,
    scores_by_unit,
    spotting_scores,
)
from microexpr_ros.learning.evaluation.clip_estimates import (
    ClipEstimates,
    classify_clip,
    count_reliability,
)
from microexpr_ros.learning.evaluation.clip_scores import dominant_labels, score_clips
from microexpr_ros.learning.evaluation.costs import count_multiply_adds, count_operations
from microexpr_ros.learning.evaluation.false_alarms import measure_false_alarms
from microexpr_ros.learning.evaluation.method_scores import (
    MethodOutcomes,
    headline_scores,
    resample_score,
    score_method,
)
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.evaluation.robustness import (
    score_with_late_frames,
    score_with_lost_packets,
)
from microexpr_ros.learning.evaluation.trained_baselines import IntensityEstimator
from microexpr_ros.learning.models import baselines
from microexpr_ros.learning.models.networks import CHANNELS
from microexpr_ros.learning.training.action_units import Control, predict
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.network import SpikingNetwork

CONTROLS: Final[Mapping[str, Control]] = {
    'time_shuffled': 'time-shuffled',
    'memoryless': 'memoryless',
}

TRUSTED: Final = tuple(status for status in Status if status is not Status.WARMING_UP)
"""A fifth of every clip is warm-up, but next to nothing of a stream."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What to evaluate on.

    Attributes:
        recordings: clips that had no part in training or calibration, with images if there are
            baselines.
        calm: clips of the split calm, without expressions; none if it was not made.
        shift: clips of the split shift; none if it was not made.
        train_labels: int64 [M], dominant units of the training clips; None if they are unknown.
        baselines: other methods, by name.
    """

    recordings: Sequence[SparseClip]
    calm: Sequence[SparseClip] = ()
    shift: Sequence[SparseClip] = ()
    train_labels: NDArray[np.int64] | None = None
    baselines: Mapping[str, IntensityEstimator] = field(default_factory=dict)


def evaluate_action_units(
    classifier: ActionUnitClassifier,
    network: SpikingNetwork,
    benchmark: Benchmark,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return the report.

    `clip_accuracy` is that of the dominant unit or none of each clip, as in the paper.
    `uf1`, `uar`, `auc` and `per_au` are over the slices of all clips: a unit is present where
    its true intensity is at least `PRESENT`, and found where `active` is published. `clip` has
    such scores by clip. `n` of a unit counts the clips in which it is present.

    The controls are trained as such where the baselines have them; else they are the same
    weights, with the slices in random order or with a state that is forgotten after every slice.

    `ece` is over all units, most of which are absent and easily so; `ece_active` is over those
    that are called active.

    What was not measured is nan: there were no baselines, or no clips of the split.

    Args:
        classifier: what to evaluate, as the node runs it.
        network: the same weights, for the controls and for counting.
        benchmark: what to evaluate on.
        tell: called with what is done next.
    """
    recordings = benchmark.recordings
    tell('events, as published')
    published = [classify_clip(classifier, r) for r in recordings]
    scored = _score_methods(classifier.presence, network, benchmark, published, tell)
    ours = scored['events']
    methods = {name: headline_scores(s) for name, s in scored.items()}
    found = {name: own['clip_accuracy'] for name, own in methods.items()}
    tell('calm, shift')
    alarms = measure_false_alarms(classifier, benchmark.calm)
    shift = _score_published(classifier, benchmark.shift) if benchmark.shift else None
    shift_drop, shift_interval = _shift_drop(ours, shift)
    tell('calibration, cost')
    pairs = list(zip(published, recordings, strict=True))
    calibration = np.stack([count_reliability(*pair, TRUSTED) for pair in pairs])
    if_present = np.stack([count_reliability(*pair, TRUSTED, active=True) for pair in pairs])
    operations = count_operations(network, recordings)
    twin = benchmark.baselines.get('twin')
    return {
        **methods['events'],
        'ci95': {
            **methods['events']['ci95'],
            'false_alarms_per_min': {kind: alarm['ci95'] for kind, alarm in alarms.items()},
            'shift_drop': shift_interval,
            'ece': _error_interval(ours.identities, calibration),
            'ece_active': _error_interval(ours.identities, if_present),
        },
        'clip_accuracy_rgb': found.get('rgb', math.nan),
        'clip_accuracy_mediapipe': found.get('mediapipe', math.nan),
        'chance': baselines.chance(),
        'false_alarms_per_min': {kind: alarm['per_min'] for kind, alarm in alarms.items()},
        'shift_drop': shift_drop,
        'ece': metrics.calibration_error(calibration.sum(0)),
        'ece_active': metrics.calibration_error(if_present.sum(0)),
        'ece_by_status': _errors_by_status(pairs),
        'controls': {
            **{name: found.get(name, found[f'events_{name}']) for name in CONTROLS},
            **{name: found.get(name, math.nan) for name in ('twin', 'linear')},
        },
        'against': {
            _key(name): _compare(ours, scored[_key(name)]) for name in benchmark.baselines
        },
        'methods': {**methods, **_free(benchmark)},
        'clip': score_clips([p.intensity for p in published], recordings, classifier.presence),
        'per_au': scores_by_unit(ours, recordings),
        'asymmetry': score_asymmetry([p.sides for p in published], recordings),
        'confusion': confusion_matrix(ours),
        'by': scores_by_condition(ours, recordings),
        'shift': headline_scores(shift) if shift else None,
        'spotting': spotting_scores(ours),
        'delay': detection_delay(ours),
        'false_alarms': alarms,
        'reliability': {
            'all': _bins(calibration.sum(0)),
            'present': _bins(if_present.sum(0)),
        },
        'robustness': _robustness(classifier.presence, network, benchmark, tell),
        'synops_per_s': operations['synops_per_s'],
        'spikes_per_s': operations['spikes_per_s'],
        'synops_per_s_by_layer': operations['layers'],
        'twin_macs_per_s': count_multiply_adds(twin, recordings[0]) if twin else math.nan,
        'n_clips': len(recordings),
        'n_identities': len(np.unique(ours.identities)),
        'weights': classifier.model,
    }


def _score_methods(
    presence: Presence,
    network: SpikingNetwork,
    benchmark: Benchmark,
    published: Sequence[ClipEstimates],
    tell: Callable[[str], None],
) -> dict[str, MethodOutcomes]:
    recordings = benchmark.recordings
    scored = {'events': _score(published, recordings, presence)}
    for name, control in CONTROLS.items():
        tell(f'events, {control}')
        traces = predict(network, recordings, control)
        scored[f'events_{name}'] = score_method(traces, recordings, presence)
    for name, baseline in benchmark.baselines.items():
        tell(name)
        traces = baseline.predict(recordings)
        scored[_key(name)] = score_method(traces, recordings, baseline.presence)
    return scored


def _free(benchmark: Benchmark) -> dict[str, dict[str, float]]:
    # What costs nothing, in the terms of `headline_scores`.
    truth = np.concatenate([r.clip.intensity for r in benchmark.recordings]) >= PRESENT
    rows = {
        'chance': {'clip_accuracy': baselines.chance(), 'auc': 0.5},
        'always_positive': {'uf1': baselines.always_positive(truth), 'uar': 0.5},
    }
    if benchmark.train_labels is not None:
        label = dominant_labels(benchmark.recordings)
        rows['majority'] = {'clip_accuracy': baselines.majority(benchmark.train_labels, label)}
    return rows


def _compare(ours: MethodOutcomes, other: MethodOutcomes) -> dict[str, Any]:
    mine, theirs = resample_score(ours, 'clip_accuracy'), resample_score(other, 'clip_accuracy')
    a, b = float(ours.right.mean()), float(other.right.mean())
    positive = theirs > 0
    return {
        'lead': a - b,
        'ratio': a / b if b else math.nan,
        'ci95': {
            'lead': confidence_interval(mine - theirs),
            'ratio': confidence_interval(mine[positive] / theirs[positive]),
        },
    }


def _score_published(
    classifier: ActionUnitClassifier, clips: Sequence[SparseClip]
) -> MethodOutcomes:
    return _score([classify_clip(classifier, clip) for clip in clips], clips, classifier.presence)


def _score(
    published: Sequence[ClipEstimates], clips: Sequence[SparseClip], presence: Presence
) -> MethodOutcomes:
    statuses = [p.status for p in published]
    return score_method([p.intensity for p in published], clips, presence, statuses)


def _shift_drop(ours: MethodOutcomes, there: MethodOutcomes | None) -> tuple[float, list[float]]:
    if there is None:
        return math.nan, [math.nan] * 2
    # Other persons: drawn apart from those of the split that it is compared with.
    lost = resample_score(ours, 'clip_accuracy') - resample_score(there, 'clip_accuracy', seed=1)
    return float(ours.right.mean() - there.right.mean()), confidence_interval(lost)


def _error_interval(
    identities: NDArray[np.int64], calibration: NDArray[np.float64]
) -> list[float]:
    return confidence_interval(
        bootstrap(identities, lambda rows: metrics.calibration_error(calibration[rows].sum(0)))
    )


def _errors_by_status(pairs: Sequence[tuple[ClipEstimates, SparseClip]]) -> dict[str, float]:
    errors = {}
    for status in Status:
        rows = np.stack([count_reliability(*pair, [status]) for pair in pairs])
        errors[status.name] = metrics.calibration_error(rows.sum(0))
    return errors


def _bins(reliability: NDArray[np.float64]) -> list[dict[str, float]]:
    return [
        {'confidence': confidence / n, 'right': right / n, 'n': int(n)}
        for n, confidence, right in reliability.T.tolist()
        if n
    ]


def _robustness(
    presence: Presence,
    network: SpikingNetwork,
    benchmark: Benchmark,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    tell('lost packets')
    events = IntensityEstimator('events', lambda clips: predict(network, clips), presence)
    lost = score_with_lost_packets(events, benchmark.recordings)
    tell('late frames')
    late = {
        name: score_with_late_frames(baseline, benchmark.recordings)
        for name, baseline in benchmark.baselines.items()
        if name in CHANNELS
    }
    return {'lost_packets': lost, 'late_frames': late}


def _key(name: str) -> str:
    return name.replace('-', '_')
