from dataclasses import replace

import numpy as np
import pytest

from microexpr_ros.learning.data.clips import dense_counts
from microexpr_ros.learning.evaluation.robustness import (
    BURST_SLICES,
    LATE_SLICES,
    LOST_SHARES,
    delay_frames,
    lose_packets,
    score_with_late_frames,
    score_with_lost_packets,
)
from microexpr_ros.learning.evaluation.trained_baselines import IntensityEstimator
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.perception.presence import Presence


def lost_slices(before, after):
    whole = np.diff(before.starts) > 0
    return whole & (np.diff(after.starts) == 0)


def test_nothing_is_lost_of_a_whole_stream(sparse_clips):
    same = lose_packets(sparse_clips[0], 0.0, seed=1)
    np.testing.assert_array_equal(same.cells, sparse_clips[0].cells)
    np.testing.assert_array_equal(same.starts, sparse_clips[0].starts)


def test_slices_are_lost_whole_and_the_others_kept(sparse_clips):
    recording = sparse_clips[4]
    damaged = lose_packets(recording, 0.3, seed=3)
    lost = lost_slices(recording, damaged)
    assert 0 < lost.sum() < 40
    for number in range(40):
        expected = np.zeros((2, 128, 128)) if lost[number] else dense_counts(recording, number)
        np.testing.assert_array_equal(dense_counts(damaged, number), expected)


def test_losses_reach_their_share_in_bursts(sparse_clips):
    # One event in every slice of a long stream.
    ones, starts = np.ones(4000, np.uint8), np.arange(4001)
    recording = replace(sparse_clips[0], cells=ones.astype(np.uint16), counts=ones, starts=starts)
    lost = lost_slices(recording, lose_packets(recording, 0.2, seed=0))
    assert lost.mean() == pytest.approx(0.2, abs=0.04)
    bursts = np.diff(np.flatnonzero(np.diff(np.r_[0, lost, 0])))[::2]
    assert bursts.mean() == pytest.approx(BURST_SLICES, abs=0.5)


def test_losses_are_drawn_by_seed(sparse_clips):
    first, again, other = (lose_packets(sparse_clips[2], 0.3, seed).starts for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_late_frames_keep_their_order_and_end_with_the_clip(sparse_clips):
    recording = sparse_clips[0]
    late = delay_frames(recording, 4)
    # Frames come every three slices from slice 2 on: the last one came in slice 38.
    assert late.clip.frame_slice.tolist() == list(range(6, 40, 3))
    np.testing.assert_array_equal(late.clip.frames, recording.clip.frames[:12])
    assert delay_frames(recording, 0).clip.frame_slice.tolist() == list(range(2, 40, 3))


def test_curves_go_down_with_what_is_lost(sparse_clips):
    # Finds the unit by its events alone, so it cannot when these are gone.
    def predict(clips):
        scale = [len(c.cells) / len(r.cells) for c, r in zip(clips, sparse_clips, strict=True)]
        pairs = zip(sparse_clips, scale, strict=True)
        return [Prediction(r.clip.intensity * s) for r, s in pairs]

    estimator = IntensityEstimator('events', predict, Presence.uncalibrated(0.38))
    curve = score_with_lost_packets(estimator, sparse_clips)
    assert [row.share for row in curve] == list(LOST_SHARES)
    assert curve[0].scores.clip_accuracy == 1
    assert curve[-1].scores.clip_accuracy < 0.7


def test_misalignment_shows_in_what_a_method_makes_of_frames(sparse_clips):
    def predict(clips):
        # Right as long as the first frame comes early.
        return [Prediction(r.clip.intensity * (r.clip.frame_slice[0] < 5)) for r in clips]

    estimator = IntensityEstimator('fusion', predict, Presence.uncalibrated(0.1))
    curve = score_with_late_frames(estimator, sparse_clips)
    assert [row.late_ms for row in curve] == [10 * n for n in LATE_SLICES]
    assert [row.scores.clip_accuracy == 1 for row in curve] == [True, True, True, False, False]
