"""`microexpr convert` in a process of its own; test/events has what a conversion keeps."""

import json

import numpy as np
from command_line import assert_one_clear_line


def write_array(path, x):
    table = np.zeros(10, [('t', 'f8'), ('x', 'u2'), ('y', 'u2'), ('p', '?')])
    table['t'], table['x'] = np.arange(10) * 0.0015, x
    np.save(path, table)


def test_the_result_is_one_line_or_one_object(microexpr, tmp_path):
    write_array(tmp_path / 'events.npy', 5)
    arguments = ('convert', 'events.npy', '--sensor', '640x480')
    result = microexpr(*arguments, 'one.raw')
    assert result.returncode == 0
    assert result.stdout.startswith('one.raw: 10 events, 0 triggers, 0 frames in ')
    assert result.stdout.count('\n') == 1
    assert result.stderr == ''
    assert json.loads(microexpr(*arguments, 'two.raw', '--json').stdout)['events_out'] == 10


def test_events_outside_the_sensor_are_one_clear_line_and_leave_nothing(microexpr, tmp_path):
    write_array(tmp_path / 'wide.npy', 900)
    before = set(tmp_path.rglob('*'))
    options = ('--sensor', '640x480', '--time-unit', 's')
    assert_one_clear_line(microexpr('convert', 'wide.npy', 'bag', *options))
    assert set(tmp_path.rglob('*')) == before
