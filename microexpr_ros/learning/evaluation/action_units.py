"""The evaluation of Action Units: all that `microexpr evaluate au` reports."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip, in_boxes
from microexpr_ros.learning.evaluation.action_unit_report import (
    ActionUnitReport,
    Calibration,
    Comparison,
    ConditionComparison,
    ConfidenceBin,
    LateFrames,
    Operations,
    ReferenceScores,
    Robustness,
    Score,
    ShiftScores,
)
from microexpr_ros.learning.evaluation.asymmetry import score_asymmetry
from microexpr_ros.learning.evaluation.breakdown import (
    confusion_matrix,
    count_spotting,
    detection_delays,
    score_conditions,
    score_units,
)
from microexpr_ros.learning.evaluation.clip_estimates import (
    ClipEstimates,
    classify_clip,
    count_reliability,
)
from microexpr_ros.learning.evaluation.clip_scores import dominant_labels, score_clips
from microexpr_ros.learning.evaluation.conditions import comparison_conditions, strength
from microexpr_ros.learning.evaluation.costs import count_multiply_adds, count_operations
from microexpr_ros.learning.evaluation.false_alarms import measure_false_alarms
from microexpr_ros.learning.evaluation.method_scores import (
    MethodOutcomes,
    clip_accuracy,
    resample_score,
    score_method,
    summarize_method,
)
from microexpr_ros.learning.evaluation.resampling import bootstrap, confidence_interval
from microexpr_ros.learning.evaluation.robustness import (
    score_with_late_frames,
    score_with_lost_packets,
)
from microexpr_ros.learning.evaluation.rounding import rounded
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

COUNTED_STATUSES: Final = tuple(status for status in Status if status is not Status.WARMING_UP)
"""Slices with these count for the calibration: a fifth of every clip is warm-up, but next to
nothing of a stream."""

Pairs = Sequence[tuple[ClipEstimates, SparseClip]]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What to evaluate on.

    Attributes:
        recordings: clips that had no part in training or calibration, with images if there are
            baselines; in their coarse boxes.
        split: name of their split.
        calm: clips of the split calm, without expressions; none if it was not made.
        shift: clips of the split shift; none if it was not made.
        train_labels: int64 [M], dominant units of the training clips; None if they are unknown.
        baselines: other methods, by name.
        controls: also run the network on slices in random order, without memory and on damaged
            streams, and count its operations, which takes most of the time.
    """

    recordings: Sequence[SparseClip]
    split: str = 'test'
    calm: Sequence[SparseClip] = ()
    shift: Sequence[SparseClip] = ()
    train_labels: NDArray[np.int64] | None = None
    baselines: Mapping[str, IntensityEstimator] = field(default_factory=dict)
    controls: bool = True


def evaluate_action_units(
    classifier: ActionUnitClassifier,
    network: SpikingNetwork,
    benchmark: Benchmark,
    progress: Callable[[str], None] = lambda _: None,
) -> ActionUnitReport:
    """Score a network, and other methods on the same clips.

    A unit is present in a slice where its true intensity is at least `PRESENT`, and found where
    the classifier calls it active.

    Args:
        classifier: what to evaluate, as the node runs it.
        network: the same weights, for the controls and to count operations.
        benchmark: what to evaluate on.
        progress: called with the name of each step as it begins.

    Returns:
        The report, its numbers rounded to `rounding.DECIMALS`.
    """
    recordings = in_boxes(benchmark.recordings, classifier.boxes)
    progress('events, as the node runs them')
    estimates = [classify_clip(classifier, r) for r in recordings]
    outcomes = _score_methods(
        classifier.presence, network, recordings, benchmark, estimates, progress
    )
    events = outcomes['events']
    progress('calm, shift')
    false_alarms = measure_false_alarms(classifier, in_boxes(benchmark.calm, classifier.boxes))
    shifted = in_boxes(benchmark.shift, classifier.boxes)
    shift = _score_classifier(classifier, shifted) if shifted else None
    robustness, operations = Robustness((), {}), Operations(math.nan, math.nan, {})
    if benchmark.controls:
        robustness = _score_damaged(classifier.presence, network, recordings, benchmark, progress)
        progress('operations')
        operations = count_operations(network, recordings)
    progress('calibration')
    twin = benchmark.baselines.get('twin')
    report = ActionUnitReport(
        weights=classifier.model,
        boxes=classifier.boxes,
        split=benchmark.split,
        n_clips=len(recordings),
        n_identities=len(np.unique(events.identities)),
        methods={name: summarize_method(method) for name, method in outcomes.items()},
        references=_score_references(benchmark),
        against={
            _key(name): _compare(events, outcomes[_key(name)]) for name in benchmark.baselines
        },
        against_by_condition={
            _key(name): _compare_conditions(events, outcomes[_key(name)], recordings)
            for name in benchmark.baselines
        },
        clip=score_clips([e.prediction for e in estimates], recordings, classifier.presence),
        per_au=score_units(events, recordings),
        asymmetry=score_asymmetry([e.sides for e in estimates], recordings),
        confusion=confusion_matrix(events),
        by_condition=score_conditions(events, recordings),
        spotting=count_spotting(events),
        delay=detection_delays(events),
        false_alarms=false_alarms,
        shift=summarize_method(shift) if shift else None,
        shift_drop=_shift_drop(events, shift) if shift else Score(),
        shift_by_strength=(
            _score_shift_by_strength(events, recordings, shift, shifted) if shift else {}
        ),
        calibration=_calibrate(list(zip(estimates, recordings, strict=True)), events.identities),
        robustness=robustness,
        operations=operations,
        twin_macs_per_s=count_multiply_adds(twin, recordings[0]) if twin else math.nan,
    )
    return rounded(report)


def _score_methods(
    presence: Presence,
    network: SpikingNetwork,
    recordings: Sequence[SparseClip],
    benchmark: Benchmark,
    estimates: Sequence[ClipEstimates],
    progress: Callable[[str], None],
) -> dict[str, MethodOutcomes]:
    outcomes = {'events': _score_estimates(estimates, recordings, presence)}
    for name, control in CONTROLS.items() if benchmark.controls else ():
        progress(f'events, {control}')
        predicted = predict(network, recordings, control)
        outcomes[f'events_{name}'] = score_method(predicted, recordings, presence)
    for name, baseline in benchmark.baselines.items():
        progress(name)
        predicted = baseline.predict(benchmark.recordings)
        outcomes[_key(name)] = score_method(predicted, recordings, baseline.presence)
    return outcomes


def _score_references(benchmark: Benchmark) -> dict[str, ReferenceScores]:
    truth = np.concatenate([r.clip.intensity for r in benchmark.recordings]) >= PRESENT
    rows = {
        'chance': ReferenceScores(clip_accuracy=baselines.chance(), auc=0.5),
        'always_positive': ReferenceScores(uf1=baselines.always_positive(truth), uar=0.5),
    }
    if benchmark.train_labels is not None:
        label = dominant_labels(benchmark.recordings)
        majority = baselines.majority(benchmark.train_labels, label)
        rows['majority'] = ReferenceScores(clip_accuracy=majority)
    return rows


def _compare_conditions(
    events: MethodOutcomes, baseline: MethodOutcomes, recordings: Sequence[SparseClip]
) -> dict[str, ConditionComparison]:
    groups: dict[str, list[int]] = {}
    for number, recording in enumerate(recordings):
        for name in comparison_conditions(recording.clip):
            groups.setdefault(name, []).append(number)
    return {
        name: ConditionComparison(
            _compare(events, baseline, np.array(groups[name])), len(groups[name])
        )
        for name in sorted(groups)
    }


def _compare(
    events: MethodOutcomes, baseline: MethodOutcomes, rows: NDArray[np.int64] | None = None
) -> Comparison:
    """Compare two methods on all clips, or on those with these positions."""
    every = np.arange(len(events.label)) if rows is None else rows
    # Equal seeds draw equal persons, so these are pairs.
    ours, theirs = (_resample_accuracy(method, every) for method in (events, baseline))
    a, b = float(events.right[every].mean()), float(baseline.right[every].mean())
    positive = theirs > 0
    return Comparison(
        lead=Score(a - b, confidence_interval(ours - theirs)),
        ratio=Score(
            a / b if b else math.nan, confidence_interval(ours[positive] / theirs[positive])
        ),
    )


def _score_classifier(
    classifier: ActionUnitClassifier, clips: Sequence[SparseClip]
) -> MethodOutcomes:
    estimates = [classify_clip(classifier, clip) for clip in clips]
    return _score_estimates(estimates, clips, classifier.presence)


def _score_estimates(
    estimates: Sequence[ClipEstimates], clips: Sequence[SparseClip], presence: Presence
) -> MethodOutcomes:
    statuses = [e.status for e in estimates]
    return score_method([e.prediction for e in estimates], clips, presence, statuses)


def _shift_drop(events: MethodOutcomes, shift: MethodOutcomes) -> Score:
    # The split shift has other persons, so they are drawn independently, with another seed.
    drop = resample_score(events, clip_accuracy) - resample_score(shift, clip_accuracy, seed=1)
    return Score(float(events.right.mean() - shift.right.mean()), confidence_interval(drop))


def _score_shift_by_strength(
    events: MethodOutcomes,
    recordings: Sequence[SparseClip],
    shift: MethodOutcomes,
    shifted: Sequence[SparseClip],
) -> dict[str, ShiftScores]:
    """Compare expressions of the split shift with those of the same strength in the other."""
    out = {}
    for name in ('strong', 'faint'):
        here = np.array([strength(clip.clip) == name for clip in recordings])
        there = np.array([strength(clip.clip) == name for clip in shifted])
        lost = Score()
        if here.any() and there.any():
            # Other persons, as of `_shift_drop`.
            drop = _resample_accuracy(events, here) - _resample_accuracy(shift, there, seed=1)
            value = float(events.right[here].mean() - shift.right[there].mean())
            lost = Score(value, confidence_interval(drop))
        accuracy = Score()
        if there.any():
            interval = confidence_interval(_resample_accuracy(shift, there))
            accuracy = Score(float(shift.right[there].mean()), interval)
        out[name] = ShiftScores(accuracy, lost, int(there.sum()))
    return out


def _resample_accuracy(
    outcomes: MethodOutcomes, clips: NDArray[np.bool_] | NDArray[np.int64], seed: int = 0
) -> NDArray[np.float64]:
    """Return the clip accuracy of resampled persons of some clips, float64 [samples]."""
    right = outcomes.right[clips]
    return bootstrap(outcomes.identities[clips], lambda rows: float(right[rows].mean()), seed=seed)


def _calibrate(pairs: Pairs, identities: NDArray[np.int64]) -> Calibration:
    every = np.stack([count_reliability(*pair, COUNTED_STATUSES) for pair in pairs])
    active = np.stack([count_reliability(*pair, COUNTED_STATUSES, active=True) for pair in pairs])
    return Calibration(
        error=_calibration_error(every, identities),
        error_active=_calibration_error(active, identities),
        by_status={
            status.name: metrics.calibration_error(
                np.stack([count_reliability(*pair, [status]) for pair in pairs]).sum(0)
            )
            for status in Status
        },
        all_decisions=_bins(every.sum(0)),
        called_active=_bins(active.sum(0)),
    )


def _calibration_error(reliability: NDArray[np.float64], identities: NDArray[np.int64]) -> Score:
    samples = bootstrap(
        identities, lambda rows: metrics.calibration_error(reliability[rows].sum(0))
    )
    return Score(metrics.calibration_error(reliability.sum(0)), confidence_interval(samples))


def _bins(reliability: NDArray[np.float64]) -> tuple[ConfidenceBin, ...]:
    return tuple(
        ConfidenceBin(confidence / n, right / n, int(n))
        for n, confidence, right in reliability.T.tolist()
        if n
    )


def _score_damaged(
    presence: Presence,
    network: SpikingNetwork,
    recordings: Sequence[SparseClip],
    benchmark: Benchmark,
    progress: Callable[[str], None],
) -> Robustness:
    progress('lost packets')
    events = IntensityEstimator('events', lambda clips: predict(network, clips), presence)
    lost = score_with_lost_packets(events, recordings)
    progress('late frames')
    late: dict[str, tuple[LateFrames, ...]] = {
        name: score_with_late_frames(baseline, benchmark.recordings)
        for name, baseline in benchmark.baselines.items()
        if name in CHANNELS
    }
    return Robustness(lost, late)


def _key(name: str) -> str:
    return name.replace('-', '_')
