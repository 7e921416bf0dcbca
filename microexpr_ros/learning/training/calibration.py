"""Thresholds, peaks, probabilities and limits, fitted on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning import metrics
from microexpr_ros.learning.data.clips import SparseClip, dense_counts
from microexpr_ros.learning.prediction import (
    Prediction,
    largest_decisive,
    largest_intensities,
)
from microexpr_ros.perception.activity import Activity, ActivityConfiguration
from microexpr_ros.perception.presence import Presence, log_odds, with_hysteresis

BACKGROUND: Final = (45,)
"""Units that are dominant only if no other is active, as blinks occur at any time."""

HEAD: Final = ('sway', 'nod', 'turn')
"""Distractors of a clip that are movements of the head."""

NONE: Final = len(CODES)
"""Label of a clip without a dominant unit."""

LIMITS: Final = (-8.0, 4.0)
"""Range of thresholds and peaks, in log-odds: 0.0003 to 0.98."""

DIFFERENCE_COST: Final = 0.05
"""Penalty in F1 on the squared difference of a unit's threshold from the common one, log-odds."""


def dominant(decisive: NDArray[np.float32], presence: Presence) -> NDArray[np.int64]:
    """Return the dominant unit of each clip.

    That is the unit with the largest margin over its `Presence.decision`, or else its
    `Presence.peak`, in log-odds. Evidence knows by itself when a blink is the expression.

    Args:
        decisive: float32 [N, 18], largest evidence of each unit; intensities only of a method
            that gathers none.
        presence: the limits.

    Returns:
        int64 [N], position in `facs.CODES`, `NONE` if no unit reaches its limit.
    """
    margin = presence.decide(decisive)
    if presence.decision is not None:
        return np.where(margin.max(1) >= 0, margin.argmax(1), NONE).astype(np.int64)
    background = [CODES.index(code) for code in BACKGROUND]
    others = margin.copy()
    others[:, background] = -np.inf
    chosen = np.where(others.max(1) >= 0, others.argmax(1), margin.argmax(1))
    return np.where(margin.max(1) >= 0, chosen, NONE).astype(np.int64)


def fit_presence(predicted: Sequence[Prediction], clips: Sequence[SparseClip]) -> Presence:
    """Fit thresholds and probabilities to slices, peaks and the decision to clips.

    Args:
        predicted: of each clip.
        clips: the clips, of the validation split.
    """
    intensity = np.concatenate([prediction.intensity for prediction in predicted])
    score = log_odds(intensity)
    truth = np.concatenate([r.clip.intensity for r in clips]) >= PRESENT
    begins = np.concatenate([np.arange(len(p.intensity)) == 0 for p in predicted])
    threshold = fit_thresholds(intensity, truth, begins)
    real = np.stack([r.peaks for r in clips])
    label = np.array([r.label for r in clips], np.int64)
    peak = fit_peaks(log_odds(largest_intensities(predicted)), real, label)
    decision = None
    if predicted[0].evidence is not None:
        # Every unit competes, as in the loss that the evidence was trained by.
        decision = fit_peaks(log_odds(largest_decisive(predicted)), np.zeros_like(real), label)
    common = fit_logistic(score.ravel(), truth.ravel(), np.array([1.0, 0.0]), 1e-3)
    # Slices of one clip are highly correlated: a strong prior towards the fit of all units
    # keeps the probability of a rare unit plausible.
    fits = np.stack(
        [fit_logistic(score[:, k], truth[:, k], common, 100.0) for k in range(len(CODES))]
    ).astype(np.float32)
    # An expression must have been active.
    return Presence(threshold, np.maximum(peak, threshold), fits[:, 0], fits[:, 1], decision)


def fit_thresholds(
    intensity: NDArray[np.float32], truth: NDArray[np.bool_], begins: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the intensities from which units are active, float32 [18].

    They maximise the F1 over slices, less a penalty on the difference from the one threshold
    that is best for all units: few clips show a unit, too few to fit its threshold alone.

    Args:
        intensity: float32 [N, 18], of the slices of all clips.
        truth: bool [N, 18].
        begins: bool [N], the first slice of each clip: no unit is active before it.
    """
    candidates = np.linspace(*LIMITS, 61)
    # For all candidates at once: bool [candidates, N, 18].
    threshold = _intensity(candidates)[:, None]
    found = np.zeros((len(candidates), *intensity.shape), np.bool_)
    before = found[:, 0]
    for number, values in enumerate(intensity):
        before = found[:, number] = with_hysteresis(values, threshold, before & ~begins[number])
    gain = metrics.f1_of(np.stack([metrics.confusion(truth, f) for f in found], 1))
    gain = np.nan_to_num(gain)
    common = candidates[gain.mean(1).argmax()]
    loss = DIFFERENCE_COST * (candidates[:, None] - common) ** 2
    return _intensity(candidates[(gain - loss).argmax(0)])


def fit_peaks(
    score: NDArray[np.float32], real: NDArray[np.float32], label: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the intensities from which an apex counts as an expression, float32 [18].

    There, the multinomial logistic regression of the dominant unit on the peaks of a clip finds
    a unit as probable as none. All units share one slope; a Gaussian prior draws
    their offsets to a common one.

    Args:
        score: float32 [N, 18], log-odds of the largest intensities.
        real: float32 [N, 18], largest intensities of the ground truth.
        label: int64 [N], as `dominant` returns.
    """
    clips, units = score.shape
    x = np.zeros((clips, units + 1, units + 2))
    x[:, :-1, 0], x[:, :-1, 1], x[:, :-1, 2:] = score, 1, np.eye(units)
    # A unit that is truly stronger than the dominant one, as a blink can be, does not compete.
    every = np.pad(real, ((0, 0), (0, 1)))
    own = np.take_along_axis(every, label[:, None], 1)
    possible = (every <= own) | (label[:, None] == np.arange(units + 1))
    strength = np.r_[1e-3, 1e-3, np.full(units, 30.0)]
    prior = np.r_[1.0, np.zeros(units + 1)]
    slope, common, *own_offsets = fit_softmax(x, label, prior, strength, possible)
    return _intensity(-(common + np.array(own_offsets)) / max(slope, 0.1))


def fit_logistic(
    score: NDArray[np.float32],
    truth: NDArray[np.bool_],
    prior: NDArray[np.float64],
    strength: float,
) -> NDArray[np.float64]:
    """Return slope and bias of the logistic regression of a truth on a score.

    Args:
        score: float32 [N].
        truth: bool [N].
        prior: float64 [2], mean of slope and bias.
        strength: inverse variance of the prior.
    """
    x = np.zeros((len(score), 2, 2))
    x[:, 1, 0], x[:, 1, 1] = score, 1
    return fit_softmax(x, truth.astype(np.int64), prior, np.full(2, strength))


def fit_softmax(
    x: NDArray[np.float64],
    label: NDArray[np.int64],
    prior: NDArray[np.float64],
    strength: NDArray[np.float64],
    possible: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Return the weights w for which the label is distributed as the softmax of x @ w.

    Maximum a posteriori by Newton's method, with a Gaussian prior.

    Args:
        x: float64 [N, K, J], features of each of K possible labels.
        label: int64 [N].
        prior: float64 [J], mean of the weights.
        strength: float64 [J], inverse variances of the prior.
        possible: bool [N, K], False where a label does not compete; None if all do.
    """
    one_hot = np.eye(x.shape[1])[label]
    w = prior.copy()
    for _ in range(50):
        score = x @ w
        if possible is not None:
            score = np.where(possible, score, -np.inf)
        p = np.exp(score - score.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        gradient = np.tensordot(p - one_hot, x, 2) + strength * (w - prior)
        mean = np.einsum('nk,nkj->nj', p, x)
        square = np.tensordot(p[..., None] * x, x, ((0, 1), (0, 1)))
        step = np.linalg.solve(square - mean.T @ mean + np.diag(strength), gradient)
        w = w - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-6:
            break
    return w


def _intensity(score: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-score.clip(*LIMITS))), np.float32)


def fit_activity(
    clips: Sequence[SparseClip], configuration: ActivityConfiguration | None = None
) -> ActivityConfiguration:
    """Choose the limits on event rates.

    The head counts as moving above the 98 % quantile of the slices in clips where neither head
    nor camera move and no lamp flickers: a region full of flicker counts as moving, too. It counts
    as silent below half of the 1 % quantile of all slices.

    Args:
        clips: clips of the validation split.
        configuration: time constants and share of blocks, which are kept.
    """
    c = configuration or ActivityConfiguration()
    still_hz: list[float] = []
    total_hz: list[float] = []
    for sparse in clips:
        still = not {*HEAD, 'shake'}.intersection(sparse.clip.distractors)
        still = still and sparse.clip.light != 'flicker'
        activity = Activity.none()
        for number in range(sparse.slices):
            counts = dense_counts(sparse, number)
            activity = c.observe(counts, sparse.clip.pixels_per_cell, SLICE_NS, activity)
            if number >= sparse.slices // 3:
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
