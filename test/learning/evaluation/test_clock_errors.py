"""The bars that the clocks must hold, against the generator's truth."""

import json

import pytest
from command_line import invoke

from microexpr_ros.cli import app
from microexpr_ros.learning.evaluation.clock_errors import ClockConditions, evaluate_clocks


def test_stamps_hold_their_bars():
    software, trigger = evaluate_clocks(ClockConditions(seconds=20.0, histories=4))
    assert software.p95_ms < 1.0
    assert trigger.p95_ms < 0.05
    assert trigger.share > 0.95
    # Slices of 10 ms and frames at 30 Hz, from 5 s on.
    assert software.count == pytest.approx(4 * 1500, rel=0.01)
    assert trigger.count == pytest.approx(4 * 15 * 30, rel=0.05)


def test_clocks_without_any_fault_are_met_exactly():
    exact = ClockConditions(
        seconds=12.0, histories=2, drift_ppm=0.0, jitter_ms=0.0, outliers=0.0, lost=0.0
    )
    software, trigger = evaluate_clocks(exact)
    assert software.max_ms < 1e-3
    assert trigger.max_ms < 1e-3
    assert trigger.share == 1.0


def test_worse_stamps_give_worse_slices():
    few = ClockConditions(seconds=12.0, histories=2)
    bad = ClockConditions(seconds=12.0, histories=2, jitter_ms=20.0)
    assert evaluate_clocks(bad)[0].p95_ms > 2 * evaluate_clocks(few)[0].p95_ms


def test_the_command_prints_what_it_measured_and_under_which_conditions():
    result = invoke(app, 'evaluate', 'clock', '--seconds', '10', '--histories', '2', '--json')
    found = json.loads(result.stdout)
    assert found['conditions']['drift_ppm'] == 50.0
    assert set(found['errors']) == {'software', 'trigger'}
    assert found['errors']['trigger']['count'] > 200
    table = invoke(app, 'evaluate', 'clock', '--seconds', '10', '--histories', '1').stdout
    assert 'TRIGGER' in table
