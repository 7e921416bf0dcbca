from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.facs import CODES
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.learning.training.calibration import (
    NONE,
    dominant,
    fit_activity,
    fit_logistic,
    fit_peaks,
    fit_presence,
    fit_softmax,
    fit_thresholds,
)
from microexpr_ros.perception.presence import HYSTERESIS, Presence, log_odds

BLINK = CODES.index(45)


def test_dominant_is_furthest_over_its_peak():
    peak = np.full(18, 0.5, np.float32)
    peak[3] = 0.1
    presence = replace(Presence.uncalibrated(0.9), peak=peak)
    peaks = np.full((4, 18), 0.01, np.float32)
    peaks[0, 2], peaks[0, 3] = 0.6, 0.3  # log-odds 0.41 against 1.35 over the peak
    peaks[1, 2] = 0.49
    peaks[2, BLINK], peaks[2, 5] = 0.99, 0.51
    peaks[3, BLINK] = 0.99
    assert dominant(peaks, presence).tolist() == [3, NONE, 5, BLINK]


def clips(number, seed=0, high=0.6, low=0.2):
    """Labels, which unit is present, and its predicted peak."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 19, number)
    present = label[:, None] == np.arange(18)
    peaks = np.where(present, high, low) * rng.uniform(0.8, 1.2, (number, 18))
    return label, present, peaks.astype(np.float32)


def test_limits_separate_what_can_be_separated():
    label, present, peaks = clips(400)
    threshold = fit_thresholds(peaks, present, np.ones(len(peaks), np.bool_))
    assert np.array_equal(peaks >= threshold, present)
    peak = fit_peaks(log_odds(peaks), present.astype(np.float32), label)
    presence = replace(Presence.uncalibrated(), peak=peak)
    assert (dominant(peaks, presence) == label).mean() > 0.97


def test_a_unit_that_reads_high_has_higher_limits_the_more_clips_show_it():
    def difference(number):
        label, present, peaks = clips(number)
        peaks[:, 3] = 1 / (1 + np.exp(-log_odds(peaks[:, 3]) - 2))
        peak = log_odds(fit_peaks(log_odds(peaks), present.astype(np.float32), label))
        return peak[3] - np.median(peak)

    few, many = difference(40), difference(4000)
    assert 0 < few < many < 2.2


def test_a_rare_unit_keeps_the_common_threshold():
    rng = np.random.default_rng(0)
    _, present, peaks = clips(400)
    peaks[:, 7] = rng.uniform(0.1, 0.9, 400)
    present[:, 7] = np.arange(400) == peaks[:, 7].argmax()
    threshold = fit_thresholds(peaks, present, np.ones(len(peaks), np.bool_))
    # By itself it would have the highest F1 just below its only positive.
    common = np.median(np.delete(threshold, 7))
    assert abs(log_odds(threshold[7]) - log_odds(common)) < 3


def test_thresholds_know_that_units_stay_active():
    peaks = np.repeat(np.tile(np.r_[[0.01] * 5, [0.6] * 5, [0.3] * 10], 20)[:, None], 18, 1)
    begins = np.arange(len(peaks)) % 20 == 0
    peaks, present = peaks.astype(np.float32), peaks > 0.5
    # From 0.31 on, the weak slices are below; but a unit that is active goes on down to 0.7 of it.
    alone = fit_thresholds(peaks, present, np.ones_like(begins))
    held = fit_thresholds(peaks, present, begins)
    assert (HYSTERESIS * alone < 0.3).all()
    assert (HYSTERESIS * held > 0.3).all()
    assert (held <= 0.6).all()


def test_a_blink_beneath_an_expression_does_not_compete():
    label, present, peaks = clips(400)
    real = present.astype(np.float32)
    expression = (label != NONE) & (label != BLINK)
    quiet = fit_peaks(log_odds(peaks), 0.5 * real, label)
    peaks[expression, BLINK], real[expression, BLINK] = 0.9, 2
    blinking = fit_peaks(log_odds(peaks), 0.5 * real, label)
    np.testing.assert_allclose(blinking, quiet, atol=0.02)


def test_softmax_finds_its_own_weights():
    rng = np.random.default_rng(0)
    w = np.array([1.2, -0.7])
    x = rng.normal(0, 1, (20_000, 4, 2))
    noise = rng.gumbel(size=(20_000, 4))
    label = (x @ w + noise).argmax(1)
    fit = fit_softmax(x, label, np.zeros(2), np.full(2, 1e-3))
    assert fit == pytest.approx(w, abs=0.05)


def test_logistic_regression_finds_its_own_parameters():
    rng = np.random.default_rng(0)
    score = rng.normal(0, 2, 20_000).astype(np.float32)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(1.7 * score - 0.6)))
    fit = fit_logistic(score, truth, np.array([1.0, 0.0]), 1e-3)
    assert fit == pytest.approx([1.7, -0.6], abs=0.08)


def test_logistic_regression_without_positives_stays_finite():
    fit = fit_logistic(np.ones(50, 'f4'), np.zeros(50, bool), np.array([1.0, 0.0]), 1.0)
    assert np.isfinite(fit).all()


def test_presence_and_activity_from_clips(sparse_clips):
    traces = [np.clip(r.clip.intensity, 0.01, 0.99) for r in sparse_clips]
    presence = fit_presence([Prediction(t) for t in traces], sparse_clips)
    peaks = np.stack([t.max(0) for t in traces])
    assert dominant(peaks, presence).tolist() == [r.label for r in sparse_clips]
    assert presence.decision is None
    decided = fit_presence([Prediction(0 * t + 0.01, t) for t in traces], sparse_clips)
    assert dominant(peaks, decided).tolist() == [r.label for r in sparse_clips]
    limits = fit_activity(sparse_clips)
    assert 0 < limits.silent_hz < limits.moving_hz


@pytest.mark.parametrize(
    'change',
    [{'distractors': (motion,)} for motion in ('sway', 'nod', 'turn', 'shake')]
    + [{'light': 'flicker'}],
)
def test_clips_that_move_or_flicker_as_a_whole_set_no_limit(sparse_clips, change):
    still = [r for r in sparse_clips if not r.clip.distractors]
    loud = replace(still[0], clip=replace(still[0].clip, **change))
    loud = replace(loud, counts=np.full_like(loud.counts, 255))
    assert fit_activity([*still, loud]).moving_hz == fit_activity(still).moving_hz
