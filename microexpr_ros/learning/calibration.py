"""Thresholds, probabilities and limits, chosen on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.histogram import GRID, SLICE_NS
from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning.datasets import Recording
from microexpr_ros.learning.metrics import accuracy, f1
from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.presence import Presence, log_odds

BACKGROUND: Final = (45,)
"""Units that are the dominant one only where no other is active: blinks go on under all."""

HEAD: Final = ('sway', 'nod', 'turn')
"""Distractors that are movements of the head."""

NONE: Final = len(CODES)
"""Label of a clip without a dominant unit."""


def dominant(peaks: NDArray[np.float32], presence: Presence) -> NDArray[np.int64]:
    """Return the dominant unit of each clip.

    That is the unit whose peak is furthest over its threshold, in log-odds.

    Args:
        peaks: float32 [N, 18], largest intensity of each unit.
        presence: thresholds.

    Returns:
        int64 [N], position in `facs.CODES`, `NONE` if no unit is over its threshold.
    """
    margin = presence.margin(peaks)
    background = [CODES.index(code) for code in BACKGROUND]
    others = margin.copy()
    others[:, background] = -np.inf
    chosen = np.where(others.max(1) >= 0, others.argmax(1), margin.argmax(1))
    return np.where(margin.max(1) >= 0, chosen, NONE).astype(np.int64)


def choose_thresholds(
    peaks: NDArray[np.float32], present: NDArray[np.bool_], label: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Choose one threshold per unit, for presence and for the dominant unit at once.

    Starts from the best F1 of each unit, then changes one threshold at a time as long as the
    mean of macro F1 and accuracy of the dominant unit grows.

    Args:
        peaks: float32 [N, 18], largest intensity of each unit in a clip.
        present: bool [N, 18], ground truth.
        label: int64 [N], as `dominant` returns.

    Returns:
        float32 [18].
    """
    candidates = [_candidates(column) for column in peaks.T]
    scores = [
        [f1(present[:, k], peaks[:, k] >= value) for value in values]
        for k, values in enumerate(candidates)
    ]
    at = [int(np.argmax(row)) for row in scores]

    def value_of(positions: Sequence[int]) -> float:
        threshold = np.array([candidates[k][p] for k, p in enumerate(positions)], np.float32)
        ones = np.ones_like(threshold)
        predicted = dominant(peaks, Presence(threshold, ones, ones))
        macro = float(np.mean([scores[k][p] for k, p in enumerate(positions)]))
        return macro + accuracy(label, predicted)

    best = value_of(at)
    for _ in range(3):
        before = best
        for k, values in enumerate(candidates):
            for p in range(len(values)):
                trial = [*at[:k], p, *at[k + 1 :]]
                now = value_of(trial)
                if now > best + 1e-9:
                    best, at = now, trial
        if best == before:
            break
    return np.array([candidates[k][p] for k, p in enumerate(at)], np.float32)


def _candidates(peaks: NDArray[np.float32]) -> NDArray[np.float32]:
    # Fewer candidates than clips: a threshold per clip would be fitted to their noise. The
    # highest comes first, over every peak: where nothing is gained, a unit is never active.
    quantiles = np.unique(np.quantile(peaks, np.linspace(0.3, 0.995, 40)))[::-1]
    values = np.r_[1.1 * peaks.max(), quantiles].clip(0.01, 0.99)
    return np.asarray(values, np.float32)


def fit_presence(
    traces: Sequence[NDArray[np.float32]], recordings: Sequence[Recording]
) -> Presence:
    """Choose thresholds by clip and fit probabilities by slice.

    Args:
        traces: predicted intensities of each clip, float32 [T, 18].
        recordings: the clips, of the validation split.
    """
    peaks = np.stack([trace.max(0) for trace in traces])
    present = np.stack([r.peaks for r in recordings]) >= PRESENT
    label = np.array([r.label for r in recordings], np.int64)
    score = log_odds(np.concatenate(list(traces)))
    truth = np.concatenate([r.clip.intensity for r in recordings]) >= PRESENT
    common = fit_logistic(score.ravel(), truth.ravel(), np.array([1.0, 0.0]), 1e-3)
    # Slices of one clip say nearly the same, so a unit counts by its clips: a strong prior
    # towards the fit of all units keeps a rare unit's probability sane.
    fits = np.stack(
        [fit_logistic(score[:, k], truth[:, k], common, 100.0) for k in range(len(CODES))]
    ).astype(np.float32)
    return Presence(choose_thresholds(peaks, present, label), fits[:, 0], fits[:, 1])


def fit_logistic(
    score: NDArray[np.float32],
    truth: NDArray[np.bool_],
    prior: NDArray[np.float64],
    strength: float,
) -> NDArray[np.float64]:
    """Return slope and bias of the logistic regression of a truth on a score.

    Maximum a posteriori by Newton's method, with a Gaussian prior.

    Args:
        score: float32 [N].
        truth: bool [N].
        prior: float64 [2], slope and bias that are expected.
        strength: inverse variance of the prior.
    """
    x = np.stack([score.astype(np.float64), np.ones(len(score))], 1)
    fit = prior.copy()
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ fit, -30, 30)))
        gradient = x.T @ (p - truth) + strength * (fit - prior)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + strength * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        fit = fit - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-6:
            break
    return fit


def fit_activity(
    recordings: Sequence[Recording], configuration: ActivityConfiguration | None = None
) -> ActivityConfiguration:
    """Choose the limits on event rates.

    The head counts as moving above what 98 % of the slices reach in clips where neither head
    nor camera move; the region counts as silent under half of what 99 % of all slices reach.

    Args:
        recordings: clips of the validation split.
        configuration: time constants and share of blocks, which stay.
    """
    c = configuration or ActivityConfiguration()
    still_hz: list[float] = []
    total_hz: list[float] = []
    for recording in recordings:
        still = not {*HEAD, 'shake'}.intersection(recording.clip.distractors)
        activity = Activity.none()
        for number in range(recording.slices):
            counts = dense(recording, number)
            activity = c.observe(counts, recording.clip.pixels_per_cell, SLICE_NS, activity)
            if number >= recording.slices // 3:
                total_hz.append(activity.total_hz)
                if still:
                    still_hz.append(float(np.quantile(activity.blocks_hz, 1 - c.moving_share)))
    return ActivityConfiguration(
        moving_tau_ms=c.moving_tau_ms,
        moving_hz=float(np.quantile(still_hz, 0.98)) if still_hz else c.moving_hz,
        moving_share=c.moving_share,
        silent_tau_ms=c.silent_tau_ms,
        silent_hz=0.5 * float(np.quantile(total_hz, 0.01)),
    )


def dense(recording: Recording, number: int) -> NDArray[np.uint8]:
    """Return the counts of one slice, uint8 [2, GRID, GRID]."""
    counts = np.zeros(2 * GRID * GRID, np.uint8)
    span = slice(int(recording.starts[number]), int(recording.starts[number + 1]))
    counts[recording.cells[span]] = recording.counts[span]
    return counts.reshape(2, GRID, GRID)
