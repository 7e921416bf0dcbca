"""`microexpr convert` in a process of its own; test/events has what a conversion keeps."""

import json

import numpy as np
import pytest
from command_line import assert_one_clear_line, invoke
from videos import moving_texture, write_video

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


def test_a_video_becomes_a_bag_of_events_and_frames(microexpr, tmp_path):
    write_video(tmp_path / 'clip.mp4', moving_texture(10), 25.0)
    result = microexpr('convert', 'clip.mp4', 'bag', '--json')
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report['source'], report['frames']) == ('video', 10)
    assert report['events_out'] > 100
    images = list(bags.read_messages(tmp_path / 'bag', ['/event_camera/image_raw']))
    assert [one.time_ns for one in images] == pytest.approx(np.arange(10) * 40e6, abs=1000)
    clear = microexpr('convert', 'clip.mp4', 'other', '--time-unit', 'us')
    assert_one_clear_line(clear)
    assert 'has times of its own: leave out --time-unit' in clear.stderr


def test_a_redacted_bag_says_what_was_left_out(microexpr, tmp_path):
    with bags.BagWriter(tmp_path / 'bag') as writer:
        writer.write_image('/rgb_camera/image_raw', np.zeros((2, 2), np.uint8), 5, 'camera')
        types = bags.typestore().types
        time = types['builtin_interfaces/msg/Time'](sec=0, nanosec=5)
        header = types['std_msgs/msg/Header'](stamp=time, frame_id='')
        message = types['diagnostic_msgs/msg/DiagnosticArray'](header=header, status=[])
        writer.write('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', message, 5)
    result = microexpr('convert', 'bag', 'kept', '--redact')
    assert result.returncode == 0, result.stderr
    assert result.stdout == 'kept: /diagnostics 1; left out: /rgb_camera/image_raw 1\n'
    assert [topic.name for topic in bags.read_contents(tmp_path / 'kept').topics] == [
        '/diagnostics'
    ]
    for arguments, error in (
        (('kept.raw', '--redact'), '--redact makes a bag'),
        (('more', '--redact', '--packet-ms', '5'), 'leave out --packet-ms'),
        (('more', '--redact', '--sensor', '4x4'), 'leave out --sensor'),
        (('more', '--redact', '--topic', '/a'), 'leave out --topic'),
        (('more', '--redact', '--target-topic', '/a'), 'leave out --target-topic'),
    ):
        result = microexpr('convert', 'bag', *arguments)
        assert_one_clear_line(result)
        assert error in result.stderr


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
