"""Reports: what the networks reach on a split, beside what costs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning import baselines, metrics
from microexpr_ros.learning.calibration import dominant
from microexpr_ros.learning.datasets import Recording
from microexpr_ros.learning.reconstruction_training import Task, paint
from microexpr_ros.learning.training import Control, predict
from microexpr_ros.perception.action_units import ActionUnitClassifier
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.reconstruction import Reconstructor
from microexpr_ros.perception.spiking import SpikingNetwork

WARM_UP_SLICES = 20
"""Slices of a clip before its first image is scored."""

MOVED_LEVELS = 6
"""Grey levels by which a pixel must differ from the clip's first target to count as moved."""

MOVED_PIXELS = 64
"""Fewest moved pixels of an image whose moving region is scored."""


def score_peaks(
    traces: Sequence[NDArray[np.float32]], recordings: Sequence[Recording], presence: Presence
) -> dict[str, float]:
    """Return clip accuracy, UAR and macro F1 of predicted intensities.

    Args:
        traces: predicted intensities of each clip, float32 [T, 18].
        recordings: the clips.
        presence: thresholds.
    """
    peaks = np.stack([trace.max(0) for trace in traces])
    present = np.stack([r.peaks for r in recordings]) >= PRESENT
    label = np.array([r.label for r in recordings], np.int64)
    predicted = dominant(peaks, presence)
    active = peaks >= presence.threshold
    return {
        'clip_accuracy': metrics.accuracy(label, predicted),
        'uar': metrics.unweighted_recall(label, predicted),
        'uf1': float(
            np.mean([metrics.f1(*pair) for pair in zip(present.T, active.T, strict=True)])
        ),
    }


def validation_score(network: SpikingNetwork, recordings: Sequence[Recording]) -> float:
    """Return what chooses the best epoch: mean AUC of the units and of the dominant one.

    It needs no thresholds, so it does not depend on how these are fitted.
    """
    traces = predict(network, recordings)
    peaks = np.stack([trace.max(0) for trace in traces])
    present = np.stack([r.peaks for r in recordings]) >= PRESENT
    leads = np.array([r.label for r in recordings])[:, None] == np.arange(len(CODES))
    areas = [
        metrics.area_under_curve(truth[:, k], peaks[:, k])
        for truth in (present, leads)
        for k in range(len(CODES))
    ]
    return float(np.nanmean(areas))


def evaluate_action_units(
    classifier: ActionUnitClassifier,
    recordings: Sequence[Recording],
    train_labels: NDArray[np.int64],
) -> dict[str, Any]:
    """Return the report of `microexpr evaluate au`.

    Units are scored by clip: a unit is there if its ground truth reaches `PRESENT` anywhere, and
    found if its intensity reaches its threshold anywhere. `uf1` is the mean of the units' F1.
    The controls use the same weights on the same clips: with the slices in random order, and
    with a state that is forgotten after every slice.

    Args:
        classifier: what to evaluate.
        recordings: clips that had no part in training or calibration.
        train_labels: int64 [M], dominant units of the training clips, for the majority.
    """
    network, presence = classifier.network, classifier.presence
    traces = predict(network, recordings)
    label = np.array([r.label for r in recordings], np.int64)
    present = np.stack([r.peaks for r in recordings]) >= PRESENT
    peaks = np.stack([trace.max(0) for trace in traces])
    truth = np.concatenate([r.clip.intensity for r in recordings])
    intensity = np.concatenate(traces)
    predicted = dominant(peaks, presence)
    controls: tuple[Control, ...] = ('time-shuffled', 'memoryless')
    return {
        **score_peaks(traces, recordings, presence),
        'chance': baselines.chance(),
        'majority': baselines.majority(train_labels, label),
        'always_positive_uf1': baselines.always_positive(present),
        'auc': float(
            np.nanmean(
                [metrics.area_under_curve(present[:, k], peaks[:, k]) for k in range(len(CODES))]
            )
        ),
        'dominant_or_partner_accuracy': _lenient(predicted, label, present),
        'intensity_mae_when_present': float(np.abs(intensity - truth)[truth >= PRESENT].mean()),
        'intensity_correlation': metrics.correlation(intensity, truth),
        'per_au': {
            str(code): {
                'f1': metrics.f1(present[:, k], peaks[:, k] >= presence.threshold[k]),
                'auc': metrics.area_under_curve(present[:, k], peaks[:, k]),
                'n': int(present[:, k].sum()),
                'dominant_recall': _recall(predicted, label, k),
                'n_dominant': int((label == k).sum()),
            }
            for k, code in enumerate(CODES)
        },
        'none': {
            'recall': _recall(predicted, label, len(CODES)),
            'n': int((label == len(CODES)).sum()),
        },
        'by_condition': _by_condition(predicted, label, recordings),
        'controls': {
            control.replace('-', '_'): score_peaks(
                predict(network, recordings, control), recordings, presence
            )
            for control in controls
        },
        'n_clips': len(recordings),
        'n_identities': len({r.clip.identity for r in recordings}),
        'weights': classifier.model,
    }


def _lenient(
    predicted: NDArray[np.int64], label: NDArray[np.int64], present: NDArray[np.bool_]
) -> float:
    # Also right: another unit that really is in the clip.
    padded = np.pad(present, ((0, 0), (0, 1)))
    return float(((predicted == label) | padded[np.arange(len(label)), predicted]).mean())


def _recall(predicted: NDArray[np.int64], label: NDArray[np.int64], which: int) -> float:
    chosen = label == which
    return float((predicted[chosen] == which).mean()) if chosen.any() else math.nan


def _by_condition(
    predicted: NDArray[np.int64], label: NDArray[np.int64], recordings: Sequence[Recording]
) -> dict[str, dict[str, Any]]:
    conditions = [
        {
            f'light {r.clip.light}',
            f'sensor {r.clip.sensor}',
            'macro' if r.clip.amplitude >= 0.35 else 'micro',
            *(f'with {name}' for name in r.clip.distractors or ('no distractor',)),
        }
        for r in recordings
    ]
    result = {}
    for name in sorted(set().union(*conditions)):
        chosen = np.array([name in c for c in conditions])
        if name in ('macro', 'micro'):
            chosen &= label < len(CODES)
        if chosen.any():
            right = float((predicted == label)[chosen].mean())
            result[name] = {'clip_accuracy': right, 'n': int(chosen.sum())}
    return result


def evaluate_reconstruction(
    reconstructor: Reconstructor,
    recordings: Sequence[Recording],
    mean_face: NDArray[np.uint8],
    targets: int = 4,
) -> dict[str, Any]:
    """Return the report of `microexpr evaluate reconstruction`.

    All methods are scored on the same targets: of each clip, some that have had `WARM_UP_SLICES`
    of events and a frame. The moving region is where a target differs from the clip's first one
    by at least `MOVED_LEVELS`; images with fewer than `MOVED_PIXELS` of it do not count there.

    Args:
        reconstructor: what to evaluate.
        recordings: clips that had no part in training.
        mean_face: uint8 [grid, grid], of `baselines.mean_face`.
        targets: from each clip.
    """
    with_frame = [task for r in recordings for task in _tasks(reconstructor, r, targets)]
    without = [Task(t.recording, t.number, None) for t in with_frame]
    truth = np.stack([t.recording.clip.target[t.number] for t in with_frame])
    first = np.stack([t.recording.clip.target[0] for t in with_frame])
    moved = np.abs(truth.astype(np.int16) - first) >= MOVED_LEVELS
    # The similarity has no value where its window leaves the image.
    border = metrics.SSIM_RADIUS
    moved[:, :border] = moved[:, -border:] = moved[..., :border] = moved[..., -border:] = False
    network = reconstructor.network
    images = {
        'events_only': paint(network, without),
        'events_and_frame': paint(network, with_frame),
        'mean_face': np.broadcast_to(mean_face, truth.shape),
        'copy_last_frame': np.stack([t.recording.clip.frames[t.frame] for t in with_frame]),
    }
    return {
        **{name: score_images(truth, image, first, moved) for name, image in images.items()},
        'n_images': len(truth),
        'n_images_with_motion': int((moved.sum((1, 2)) >= MOVED_PIXELS).sum()),
        'n_clips': len(recordings),
        'n_identities': len({r.clip.identity for r in recordings}),
        'weights': reconstructor.model,
    }


def score_images(
    truth: NDArray[np.uint8],
    image: NDArray[np.uint8],
    first: NDArray[np.uint8],
    moved: NDArray[np.bool_],
) -> dict[str, float]:
    """Return mean PSNR and SSIM over the images, whole and on the moving region.

    Args:
        truth: uint8 [N, H, W].
        image: uint8 [N, H, W].
        first: uint8 [N, H, W], the face at rest, for the correlation of the change.
        moved: bool [N, H, W], the moving region.
    """
    triples = list(zip(truth, image, strict=True))
    moving = [k for k in range(len(truth)) if moved[k].sum() >= MOVED_PIXELS]
    change = [
        metrics.correlation(
            truth[k][moved[k]].astype(np.float64) - first[k][moved[k]],
            image[k][moved[k]].astype(np.float64) - first[k][moved[k]],
        )
        for k in moving
    ]
    return {
        'psnr': float(np.mean([metrics.psnr(t, i) for t, i in triples])),
        'ssim': float(np.mean([metrics.ssim(t, i) for t, i in triples])),
        'psnr_moving': _mean([metrics.psnr(truth[k], image[k], moved[k]) for k in moving]),
        'ssim_moving': _mean([metrics.ssim(truth[k], image[k], moved[k]) for k in moving]),
        'change_correlation': _mean(change),
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _tasks(reconstructor: Reconstructor, recording: Recording, targets: int) -> list[Task]:
    clip, oldest = recording.clip, reconstructor.configuration.frame_slices
    tasks = []
    for number, at in enumerate(clip.target_slice.tolist()):
        frame = baselines.newest_frame(recording, at)
        if at >= WARM_UP_SLICES and frame is not None and at - clip.frame_slice[frame] < oldest:
            tasks.append(Task(recording, number, frame))
    chosen = np.unique(np.linspace(0, len(tasks) - 1, targets).round().astype(int))
    return [tasks[k] for k in chosen] if tasks else []


def json_values(report: Any) -> Any:
    """Return a report that JSON can hold: no number where there is none, four digits else."""
    if isinstance(report, dict):
        return {key: json_values(value) for key, value in report.items()}
    if isinstance(report, float):
        return round(report, 4) if math.isfinite(report) else None
    return report
