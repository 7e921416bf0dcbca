from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.facs import CODES, PRESENT
from microexpr_ros.learning.evaluation import score_clips
from microexpr_ros.learning.evaluation.breakdown import (
    confusion_matrix,
    count_spotting,
    detection_delays,
    score_conditions,
    score_units,
)
from microexpr_ros.learning.evaluation.method_scores import (
    active_slices,
    score_method,
    summarize_method,
)
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.perception.presence import Presence


@pytest.fixture
def perfect(sparse_clips):
    return [Prediction(r.clip.intensity) for r in sparse_clips]


@pytest.fixture
def scored(perfect, sparse_clips):
    return score_method(perfect, sparse_clips, Presence.uncalibrated(PRESENT))


def test_presence_has_hysteresis_within_a_clip_and_starts_at_rest():
    intensity = np.zeros((6, 18), np.float32)
    intensity[:, 3] = 0.45, 0.5, 0.4, 0.35, 0.34, 0.49
    active = active_slices(intensity, Presence.uncalibrated(0.5))
    assert active[:, 3].tolist() == [False, True, True, True, False, False]
    assert not active[:, :3].any()


def test_perfect_intensities_get_full_marks(scored):
    result = summarize_method(scored)
    assert result.clip_accuracy.value == result.spotting_f1.value == result.auc == 1
    # Hysteresis holds on for a slice after the truth has gone under the threshold.
    assert result.uf1.value > 0.9
    assert result.uar.value > 0.99
    # From 100 ms on the truth rises by 0.04 per slice: it is at 0.05 at the end of slice 12.
    assert result.median_delay_ms.value == 30
    assert result.clip_accuracy.ci95 == (1, 1)


def test_silence_gets_none(sparse_clips):
    silent = [Prediction(np.zeros((40, 18), np.float32))] * len(sparse_clips)
    result = summarize_method(score_method(silent, sparse_clips, Presence.uncalibrated()))
    assert result.clip_accuracy.value == pytest.approx(1 / 3)
    assert result.uf1.value == result.spotting_f1.value == 0
    assert result.uar.value == result.auc == 0.5
    assert np.isnan(result.median_delay_ms.value)


def test_slices_are_counted_by_hand(scored, sparse_clips):
    unit = CODES.index(4)
    truth = sparse_clips[1].clip.intensity[:, unit] >= PRESENT
    counts = scored.units[1, :, unit]
    assert counts[0] == truth.sum()
    assert counts[2] == 0
    assert counts.sum() == 40


def test_clip_scores_of_perfect_intensities(perfect, sparse_clips):
    scores = score_clips(perfect, sparse_clips, Presence.uncalibrated(0.2))
    assert scores.clip_accuracy == scores.clip_uar == scores.clip_auc == 1
    assert scores.clip_uf1 == pytest.approx(2 / 18)


def test_evidence_decides_where_there_is_some(perfect, sparse_clips):
    """Evidence for the next unit, whatever the intensities are."""
    shifted = [Prediction(p.intensity, np.roll(p.intensity, 1, axis=1)) for p in perfect]
    presence = replace(Presence.uncalibrated(0.2), decision=np.full(18, 0.2, np.float32))
    scores = score_clips(shifted, sparse_clips, presence)
    assert scores.clip_accuracy == pytest.approx(1 / 3)
    assert scores.clip_uf1 == pytest.approx(2 / 18)
    assert score_method(shifted, sparse_clips, presence).right.tolist() == [True, False, False] * 4


def test_parts_of_the_score(scored, sparse_clips):
    units = score_units(scored, sparse_clips)
    assert units[4].n == units[4].n_dominant == 4
    assert units[4].dominant_recall == 1
    assert units[1].n == 0
    assert np.isnan(units[1].f1)
    matrix = np.array(confusion_matrix(scored))
    assert matrix.sum() == len(sparse_clips)
    assert np.trace(matrix) == len(sparse_clips)
    assert matrix[18, 18] == 4
    assert count_spotting(scored).names_dominant == 1
    assert detection_delays(scored).found == 1
    assert detection_delays(scored).all_ms == (30,) * 8


def test_conditions_share_out_the_clips(scored, sparse_clips):
    groups = score_conditions(scored, sparse_clips)
    assert {name: row.n for name, row in groups['head'].items()} == {'still': 6, 'sway': 6}
    assert groups['sensor']['vga'].n == 12
    whole = summarize_method(scored)
    assert groups['sensor']['vga'].clip_accuracy == whole.clip_accuracy
    assert groups['sensor']['vga'].uf1 == whole.uf1.value
    assert groups['sensor']['vga'].median_delay_ms == whole.median_delay_ms.value
    # Of clips without an expression there is no amplitude.
    assert {name: row.n for name, row in groups['amplitude'].items()} == {'0.35-1.00': 8}


def test_without_expressions_nothing_is_spotted_late_or_named(sparse_clips):
    calm = sparse_clips[::3]
    nothing = [Prediction(np.zeros((40, 18), np.float32))] * 4
    silent = score_method(nothing, calm, Presence.uncalibrated())
    counts, delays = count_spotting(silent), detection_delays(silent)
    assert (counts.right, counts.wrong, counts.missed) == (0, 0, 0)
    assert np.isnan([counts.precision, counts.recall, counts.names_dominant]).all()
    assert np.isnan([delays.found, delays.p90_ms]).all()
    assert delays.all_ms == ()
    result = summarize_method(silent)
    assert result.clip_accuracy.value == 1
    assert np.isnan([result.uf1.value, result.spotting_f1.value, result.auc]).all()
    assert np.isnan(result.uf1.ci95).all()
