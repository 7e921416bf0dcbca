import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import small_reports

from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.evaluation import read_report, report_from_json, report_to_json
from microexpr_ros.learning.evaluation.action_unit_report import Operations
from microexpr_ros.learning.evaluation.rounding import rounded
from microexpr_ros.learning.report import format_action_units, render_page
from microexpr_ros.perception import weights

WEIGHTS = Path(weights.__file__).with_name('weights')


@pytest.mark.parametrize('value', [math.nan, 0.125])
def test_a_report_is_read_back_as_it_was(value, tmp_path):
    report = rounded(small_reports.make_report(value))
    path = tmp_path / 'au.report.json'
    path.write_text(json.dumps(report_to_json(report), allow_nan=False))
    # Two nan are not equal, but are written alike.
    assert repr(read_report(path)) == repr(report)
    assert report_to_json(read_report(path)) == report_to_json(report)


def test_operations_that_were_not_measured_are_read_back(tmp_path):
    unknown = Operations(math.nan, math.nan, {})
    report = rounded(replace(small_reports.make_report(0.125), operations=unknown))
    path = tmp_path / 'au.report.json'
    path.write_text(json.dumps(report_to_json(report), allow_nan=False))
    assert repr(read_report(path)) == repr(report)
    assert '| synaptic operations | – |' in format_action_units(read_report(path))


@pytest.mark.parametrize('path', sorted(WEIGHTS.glob('au*.report.json')), ids=lambda p: p.name)
def test_reports_beside_the_weights_can_be_shown(path):
    report = read_report(path)
    assert report.weights in format_action_units(report)
    assert report.weights in render_page(report)


def test_numbers_that_are_looked_for_first_are_repeated():
    report = small_reports.make_report(0.125)
    values = report_to_json(report)
    assert values['clip_accuracy'] == values['methods']['events']['clip_accuracy'] == 0.25
    assert values['clip_accuracy_rgb'] == 0.25
    assert values['false_alarms_per_min']['head'] == values['false_alarms']['head']['per_min']
    assert values['ci95']['false_alarms_per_min']['head'] == [0.125, 0.125]
    assert values['ci95']['uf1'] == [0.4, 0.6]
    assert values['chance'] == values['methods']['chance']['clip_accuracy'] == 0.05
    assert values['asymmetry']['chance'] == 0.5
    # An answer that looks at no clip has only the scores that apply to it.
    assert values['methods']['always_positive'] == {'uf1': 0.1, 'uar': 0.5}


def test_trained_controls_come_before_the_same_weights():
    report = small_reports.make_report(0.125)
    same, trained = (
        replace(report.events, clip_accuracy=replace(report.events.clip_accuracy, value=value))
        for value in (0.3, 0.2)
    )
    report = replace(report, methods={**report.methods, 'events_memoryless': same})
    assert report_to_json(report)['controls']['memoryless'] == 0.3
    report = replace(report, methods={**report.methods, 'memoryless': trained})
    assert report_to_json(report)['controls']['memoryless'] == 0.2


def test_what_was_not_measured_is_null():
    values = report_to_json(small_reports.make_report(math.nan))
    assert values['clip_accuracy_rgb'] is values['shift'] is values['twin_macs_per_s'] is None
    assert set(values['controls'].values()) == {None}
    assert values['against'] == values['robustness']['late_frames'] == {}
    assert values['ci95']['shift_drop'] == [None, None]
    assert values['ece_by_status'] == {'OK': 0.01, 'STALE': None}
    json.dumps(values, allow_nan=False)


@pytest.mark.parametrize(
    ('key', 'value'), [('ci95', None), ('methods', []), ('delay', {}), ('asymmetry', None)]
)
def test_values_that_are_no_report_are_refused(key, value):
    values = {**report_to_json(small_reports.make_report(0.125)), key: value}
    with pytest.raises(MicroexprError, match=r'microexpr evaluate au --json'):
        report_from_json(values)


def test_a_missing_key_is_named():
    values = report_to_json(small_reports.make_report(0.125))
    del values['spotting']
    with pytest.raises(MicroexprError, match='spotting'):
        report_from_json(values)


@pytest.mark.parametrize('content', [None, '{', '[1, 2]', '{"split": "test"}'])
def test_files_without_a_report_are_named(tmp_path, content):
    path = tmp_path / 'au.report.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(MicroexprError, match=r'au\.report\.json'):
        read_report(path)
