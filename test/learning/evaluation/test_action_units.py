import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from microexpr_ros.facs import CODES
from microexpr_ros.learning.data.clips import make_sparse
from microexpr_ros.learning.evaluation import report_from_json, report_to_json
from microexpr_ros.learning.evaluation.action_units import Benchmark, evaluate_action_units
from microexpr_ros.learning.evaluation.rounding import rounded
from microexpr_ros.learning.evaluation.trained_baselines import IntensityEstimator
from microexpr_ros.learning.prediction import Prediction
from microexpr_ros.perception.classifier import ActionUnitClassifier, Status
from microexpr_ros.perception.presence import Presence
from microexpr_ros.perception.spiking.configuration import SpikingConfiguration
from microexpr_ros.perception.spiking.network import SpikingNetwork

SMALL = SpikingConfiguration(pool=4, channels=(4, 4), kernels=(5, 3), strides=(4, 2),
                             tau_ms=(20.0, 30.0), integrators=8)  # fmt: skip

PROMISED = {
    'clip_accuracy', 'clip_accuracy_rgb', 'clip_accuracy_mediapipe', 'chance', 'uf1', 'uar',
    'per_au', 'spotting_f1', 'false_alarms_per_min', 'median_delay_ms', 'shift_drop', 'ece',
    'controls', 'by', 'synops_per_s', 'twin_macs_per_s', 'n_clips', 'n_identities', 'weights',
    'asymmetry', 'ece_active',
}  # fmt: skip


def classifier(threshold):
    torch.manual_seed(0)
    network = SpikingNetwork(SMALL).deployed()
    return ActionUnitClassifier(network, Presence.uncalibrated(threshold))


def perfect(clips):
    return [Prediction(r.clip.intensity) for r in clips]


def blind(clips):
    return [Prediction(np.zeros((r.slices, 18), np.float32)) for r in clips]


@pytest.fixture(scope='module')
def calm(make_clip):
    kinds = ((), ('talk',), ('blink', 'gaze'), ('sway', 'nod'))
    clips = [replace(make_clip(n, slices=100, code=0), distractors=k) for n, k in enumerate(kinds)]
    return [make_sparse(clip) for clip in clips]


@pytest.fixture(scope='module')
def report(sparse_clips, calm):
    presence = Presence.uncalibrated(0.1)
    estimators = (
        IntensityEstimator('rgb', blind, presence),
        IntensityEstimator('twin', perfect, presence),
        IntensityEstimator('time-shuffled', blind, presence),
    )
    benchmark = Benchmark(
        sparse_clips,
        'test',
        calm,
        sparse_clips[:6],
        np.full(5, 18),
        {e.name: e for e in estimators},
    )
    # Every unit is over its threshold all the time: one long detection per clip.
    eager = classifier(1e-4)
    return report_to_json(evaluate_action_units(eager, eager.network, benchmark))


def test_the_report_has_what_is_promised(report):
    assert set(report) >= PROMISED
    assert set(report['false_alarms_per_min']) == {'neutral', 'talking', 'blinking', 'head'}
    assert set(report['controls']) == {'time_shuffled', 'memoryless', 'twin', 'linear'}
    assert set(report['by']) >= {'sensor', 'light', 'amplitude', 'head'}
    assert list(report['per_au']) == [str(code) for code in CODES]
    assert set(report['per_au']['4']) >= {'f1', 'auc', 'n'}
    assert report['n_clips'] == 12
    assert report['n_identities'] == 3
    json.dumps(report, allow_nan=False)


def test_baselines_are_scored_on_the_same_clips(report):
    assert report['clip_accuracy_rgb'] == pytest.approx(4 / 12, abs=1e-4)
    assert report['controls']['twin'] == 1
    # That was trained as a control goes before the same weights in random order.
    assert report['controls']['time_shuffled'] == pytest.approx(4 / 12, abs=1e-4)
    assert report['controls']['linear'] is None
    assert report['clip_accuracy_mediapipe'] is None
    lead = report['against']['rgb']['lead']
    assert lead == pytest.approx(report['clip_accuracy'] - 4 / 12, abs=2e-4)
    assert report['methods']['majority']['clip_accuracy'] == pytest.approx(4 / 12, abs=1e-4)
    assert set(report['robustness']['late_frames']) == {'rgb'}


def test_events_and_frames_are_compared_under_each_condition(report, sparse_clips):
    rows = report['against_by']['rgb']
    lights = {clip.clip.light for clip in sparse_clips}
    moving = {'head or camera moving', 'head and camera still'}
    assert lights <= set(rows) <= lights | moving
    assert sum(rows[light]['n'] for light in lights) == len(sparse_clips)
    assert sum(rows[name]['n'] for name in moving & set(rows)) == len(sparse_clips)
    for light in lights:
        # What sees nothing is right where there is nothing.
        none = np.mean([not c.clip.dominant for c in sparse_clips if c.clip.light == light])
        accuracy = report['by']['light'][light]['clip_accuracy']
        assert rows[light]['lead'] == pytest.approx(accuracy - none, abs=2e-4)
    assert report['against_by']['twin'].keys() == rows.keys()
    low, high = rows[min(lights)]['ci95']['lead']
    assert low is None or low <= rows[min(lights)]['lead'] <= high


def test_strong_and_faint_expressions_of_shift_are_apart(sparse_clips):
    def scaled(clips, amplitude):
        return [replace(one, clip=replace(one.clip, amplitude=amplitude)) for one in clips]

    shown = [clip for clip in sparse_clips if clip.clip.dominant]
    shift = scaled(shown[:4], 0.08) + scaled(shown[4:6], 0.07)
    eager = classifier(1e-4)
    benchmark = Benchmark(scaled(sparse_clips, 0.3), shift=shift)
    report = evaluate_action_units(eager, eager.network, benchmark)
    strong, faint = (report.shift_by_strength[name] for name in ('strong', 'faint'))
    assert (strong.n, faint.n) == (4, 2)
    right = np.array([row[n] for n, row in enumerate(report.confusion[:18])]).sum()
    expected = right / len(shown) - strong.clip_accuracy.value
    assert strong.drop.value == pytest.approx(expected, abs=2e-4)
    # The split has no faint ones to compare with.
    assert np.isnan(faint.drop.value)
    again = report_from_json(report_to_json(report))
    assert again.shift_by_strength['strong'] == strong


def test_false_alarms_are_per_minute_of_their_kind(report):
    # All units begin with the clip and end with it: a blink by itself, all others in one.
    assert set(report['false_alarms_per_min'].values()) == {120}
    assert report['false_alarms']['head']['minutes'] == pytest.approx(1 / 60, abs=1e-4)


def test_calibration_is_given_by_status(report):
    errors = report['ece_by_status']
    assert set(errors) == {status.name for status in Status}
    # Clips have a face in every slice.
    assert errors['NO_FACE'] is None
    assert None not in (errors['WARMING_UP'], report['ece'])


def test_shift_is_compared_with_the_split(report, sparse_clips):
    eager = classifier(1e-4)
    there = evaluate_action_units(eager, eager.network, Benchmark(sparse_clips[:6]))
    drop = report['clip_accuracy'] - there.events.clip_accuracy.value
    assert report['shift_drop'] == pytest.approx(drop, abs=2e-4)
    assert report['shift']['uf1'] == pytest.approx(there.events.uf1.value, abs=1e-4)


def test_controls_can_be_left_out(report, sparse_clips):
    eager = classifier(1e-4)
    benchmark = Benchmark(sparse_clips, controls=False)
    alone = report_to_json(evaluate_action_units(eager, eager.network, benchmark))
    assert alone['clip_accuracy'] == report['clip_accuracy']
    assert set(alone['controls'].values()) == {None}
    assert alone['robustness'] == {'lost_packets': [], 'late_frames': {}}
    assert alone['synops_per_s'] is None
    assert None not in (report['controls']['memoryless'], report['synops_per_s'])


def test_what_was_not_measured_is_null(sparse_clips):
    quiet = classifier(0.9)
    report = evaluate_action_units(quiet, quiet.network, Benchmark(sparse_clips[:6], 'val'))
    assert report.split == 'val'
    assert report.shift is None
    assert repr(report) == repr(rounded(report))
    result = report_to_json(report)
    for key in ('clip_accuracy_rgb', 'shift_drop', 'twin_macs_per_s', 'median_delay_ms'):
        assert result[key] is None
    assert set(result['false_alarms_per_min'].values()) == {None}
    assert 'majority' not in result['methods']
    assert result['uf1'] == 0
    json.dumps(result, allow_nan=False)
