from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.facs import CODES
from microexpr_ros.learning.calibration import (
    NONE,
    choose_thresholds,
    dominant,
    fit_activity,
    fit_logistic,
    fit_presence,
)
from microexpr_ros.perception.presence import Presence

BLINK = CODES.index(45)


def test_dominant_is_furthest_over_its_threshold():
    threshold = np.full(18, 0.5, np.float32)
    threshold[3] = 0.1
    presence = Presence(threshold, threshold, threshold)
    peaks = np.full((4, 18), 0.01, np.float32)
    peaks[0, 2], peaks[0, 3] = 0.6, 0.3  # log-odds 0.41 against 1.35 over the threshold
    peaks[1, 2] = 0.49
    peaks[2, BLINK], peaks[2, 5] = 0.99, 0.51
    peaks[3, BLINK] = 0.99
    assert dominant(peaks, presence).tolist() == [3, NONE, 5, BLINK]


def test_thresholds_separate_what_can_be_separated():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 19, 400)
    present = label[:, None] == np.arange(18)
    peaks = np.where(present, 0.6, 0.2) * rng.uniform(0.8, 1.2, (400, 18))
    threshold = choose_thresholds(peaks.astype(np.float32), present, label)
    assert np.all((threshold > 0.2) & (threshold < 0.72))
    presence = Presence(threshold, threshold, threshold)
    assert (dominant(peaks.astype(np.float32), presence) == label).mean() > 0.97


def test_logistic_regression_finds_its_own_parameters():
    rng = np.random.default_rng(0)
    score = rng.normal(0, 2, 20_000).astype(np.float32)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(1.7 * score - 0.6)))
    fit = fit_logistic(score, truth, np.array([1.0, 0.0]), 1e-3)
    assert fit == pytest.approx([1.7, -0.6], abs=0.08)


def test_logistic_regression_without_positives_stays_finite():
    fit = fit_logistic(np.ones(50, 'f4'), np.zeros(50, bool), np.array([1.0, 0.0]), 1.0)
    assert np.isfinite(fit).all()


def test_presence_and_activity_from_clips(recordings):
    traces = [np.clip(r.clip.intensity, 0.01, 0.99) for r in recordings]
    presence = fit_presence(traces, recordings)
    peaks = np.stack([t.max(0) for t in traces])
    assert dominant(peaks, presence).tolist() == [r.label for r in recordings]
    limits = fit_activity(recordings)
    assert 0 < limits.silent_hz < limits.moving_hz


@pytest.mark.parametrize('motion', ['sway', 'nod', 'turn', 'shake'])
def test_clips_that_move_as_a_whole_set_no_limit(recordings, motion):
    still = [r for r in recordings if not r.clip.distractors]
    loud = replace(still[0], clip=replace(still[0].clip, distractors=(motion,)))
    loud = replace(loud, counts=np.full_like(loud.counts, 255))
    assert fit_activity([*still, loud]).moving_hz == fit_activity(still).moving_hz
