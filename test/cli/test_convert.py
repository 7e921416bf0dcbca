"""`microexpr convert` in a process of its own; test/events has what a conversion keeps."""

import json

import numpy as np
import pytest
from command_line import assert_one_clear_line, invoke

from microexpr_ros import bags
from microexpr_ros.cli import convert
from microexpr_ros.errors import MicroexprError


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


@pytest.fixture
def one_topic(tmp_path):
    """Write a bag with events on one topic."""
    write_array(tmp_path / 'events.npy', 5)
    path = tmp_path / 'one'
    options = ('--sensor', '640x480', '--topic', '/eye/events')
    assert invoke(convert.app, tmp_path / 'events.npy', path, *options).exit_code == 0
    return path


def topics_of(path):
    return [topic.name for topic in bags.read_contents(path).topics]


def test_a_topic_that_a_bag_does_not_have_is_refused(one_topic, tmp_path):
    with pytest.raises(MicroexprError, match=r'--topic /eye/evnts: .* are /eye/events: leave'):
        invoke(convert.app, one_topic, tmp_path / 'out', '--topic', '/eye/evnts')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('options', 'written'),
    [
        ((), '/event_camera/events'),
        (('--topic', '/eye/events'), '/eye/events'),
        (('--target-topic', '/new'), '/new'),
        (('--topic', '/eye/events', '--target-topic', '/new'), '/new'),
    ],
)
def test_the_topic_that_is_written(one_topic, tmp_path, options, written):
    assert topics_of(one_topic) == ['/eye/events']
    assert invoke(convert.app, one_topic, tmp_path / 'out', *options).exit_code == 0
    assert topics_of(tmp_path / 'out') == [written]
