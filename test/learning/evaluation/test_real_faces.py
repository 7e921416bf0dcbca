"""Scores of a network whose answers are known, on small files of published layouts."""

import math

import numpy as np
import pytest
from counting_network import counting_classifier
from labelled_faces import write_dvs_lip, write_facemorphic, write_fes, write_nefer

from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.learning.datasets import DATASETS, LabelledRecording, read_dataset
from microexpr_ros.learning.evaluation.real_faces import (
    evaluate_real_faces,
    format_real_faces,
)

HELD = SynchronizerOptions(region=Region(0, 0, 128, 128))


def score(name, path, recordings=None):
    dataset = DATASETS[name]
    found = recordings or read_dataset(dataset, path, 'test')
    return evaluate_real_faces(dataset, 'test', found, counting_classifier(), HELD)


def test_units_are_scored_by_what_moves_where_the_label_is(tmp_path):
    write_facemorphic(tmp_path)
    report = score('facemorphic', tmp_path)
    assert (report.recordings, report.persons) == (4, 1)
    assert report.followed == 1
    units = {one.code: one for one in report.units}
    # Unit 12 moves in every recording, as the network counts slices; from 0.3 to 0.6 s.
    assert (units[12].labelled, units[12].others) == (1, 1)
    assert units[12].found.value == 1
    assert units[12].found_elsewhere.value == 1
    assert units[4].found.value == 0
    assert units[2].labelled == 0
    assert math.isnan(units[2].auc.value)
    # A single person says nothing of others.
    assert math.isnan(units[12].found.ci95[0])
    # The recording of unit 12 is right, that of unit 4 is wrong.
    assert report.unit_accuracy.value == 0.5
    # One expression, 1 + 12, in each 2.2 s.
    assert report.false_alarms['head'].value == pytest.approx(60 / 2.2, rel=0.01)
    assert report.false_alarms['speech'].value == pytest.approx(60 / 2.2, rel=0.01)


def test_weak_labels_have_intervals_over_persons(tmp_path):
    write_nefer(tmp_path)
    report = score('nefer', tmp_path)
    assert report.persons == 3
    units = {one.code: one for one in report.units}
    assert (units[12].labelled, units[12].others) == (1, 2)
    assert units[12].found.value == 1
    assert math.isnan(report.unit_accuracy.value)
    low, high = units[12].found_elsewhere.ci95
    assert low <= units[12].found_elsewhere.value <= high
    text = format_real_faces(report)
    assert '| 12 lip corner puller | 1 of 3 |' in text
    for emotion in ('Happiness', 'Sadness'):
        assert emotion not in text


def test_speech_is_found_by_its_openings(tmp_path):
    write_dvs_lip(tmp_path)
    report = score('dvs-lip', tmp_path)
    assert report.opened.value == 1
    assert math.isnan(report.opened.ci95[0])
    assert report.persons == 0
    assert report.units == ()
    assert 'an unknown number of persons' in format_real_faces(report)


def test_the_face_region_is_compared_with_boxes_and_landmarks(tmp_path):
    write_fes(tmp_path)
    report = score('fes', tmp_path)
    region = report.region
    assert (region.moments, region.followed) == (3, 1)
    # The centre, (64, 64), is in the two boxes of the one recording, not in that of the other.
    assert region.hit == pytest.approx(2 / 3)
    assert region.overlap == pytest.approx(80 * 80 / 128**2)
    assert region.landmarks == 1
    assert '| moments with labels of faces | 3 |' in format_real_faces(report)


def test_a_recording_that_cannot_be_read_costs_itself(tmp_path):
    write_dvs_lip(tmp_path)

    def fail():
        raise MicroexprError('it is damaged')

    good = read_dataset(DATASETS['dvs-lip'], tmp_path, 'test')
    bad = LabelledRecording('bad', '', fail, 'speech')
    report = score('dvs-lip', tmp_path, [bad, *good])
    assert (report.recordings, report.unreadable, report.reason) == (2, 1, 'it is damaged')
    with pytest.raises(MicroexprError, match='it is damaged'):
        score('dvs-lip', tmp_path, [bad])


def test_nothing_is_said_of_what_has_no_labels(tmp_path):
    write_dvs_lip(tmp_path)
    report = score('dvs-lip', tmp_path)
    assert report.region is None
    assert np.isnan([report.mean_auc.value, report.unit_accuracy.value]).all()
