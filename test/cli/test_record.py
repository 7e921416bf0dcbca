"""`microexpr record` in a process of its own."""

import json
import signal
import time

import pytest
from command_line import read_line, wait_for
from rosbags.rosbag2 import Reader

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros import bags


def padded(cdr):
    """Return a message as it comes out of DDS, which sends multiples of four bytes."""
    return cdr + bytes(-len(cdr) % 4)


@pytest.mark.slow
def test_what_is_played_is_recorded(start, bag, tmp_path):
    again = tmp_path / 'again'
    recorder = start('record', '/moved', '-o', again, '--json', '--max-bag-duration', 1)
    wait_for(again.exists)
    # Until the recorder has found the topic, however long that takes.
    waiting = ('--wait-for-subscribers', 60)
    player = start('play', bag, '--json', '--remap', '/eye/events:=/moved', '--clock', *waiting)
    played = json.loads(player.communicate(timeout=120)[0])
    assert player.returncode == 0
    recorder.send_signal(signal.SIGINT)
    recorded = json.loads(recorder.communicate(timeout=120)[0])
    assert recorder.returncode == 0
    assert played['messages'] == 200
    assert played['late_p50_ms'] <= played['late_p99_ms'] <= played['late_max_ms']
    assert recorded['topics'] == {'/moved': {'messages': 200, 'overrun': 0, 'lost_packets': 0}}
    assert (recorded['lost'], recorded['files']) == (0, 2)
    want = [padded(message.cdr) for message in bags.read_messages(bag)]
    assert [message.cdr for message in bags.read_messages(again)] == want
    assert bags.read_contents(again).complete
    # As `ros2 bag info` counts them, by the metadata.
    with Reader(again) as reader:
        assert reader.message_count == 200
        assert {name: topic.msgcount for name, topic in reader.topics.items()} == {'/moved': 200}


@pytest.mark.slow
def test_a_killed_recorder_leaves_a_bag(start, bag, tmp_path):
    again = tmp_path / 'again'
    recorder = start('record', '--topics', '/eye/events', '-o', again)
    wait_for(again.exists)
    player = start('play', bag, '--json', '--loop')
    wait_for(lambda: sum(file.stat().st_size for file in again.glob('*.mcap')) > 500_000)

    def kept():
        return bags.read_contents(again).topics[0].messages

    # What has come is written while it is recorded, not at the end: at 100 Hz, of two seconds all
    # but the last one.
    before = kept()
    assert before > 70
    time.sleep(2.0)
    wait_for(lambda: kept() > before + 90)
    recorder.kill()
    player.send_signal(signal.SIGINT)
    player.communicate(timeout=120)
    assert not bags.read_contents(again).complete
    assert kept() > before + 90
    # And another command reads it.
    run = start('convert', again, tmp_path / 'whole.raw', '--topic', '/eye/events', '--json')
    assert json.loads(run.communicate(timeout=120)[0])['events_in'] > 0


def test_two_interrupts_end_it_in_order(start, tmp_path):
    again = tmp_path / 'again'
    recorder = start('record', '/nothing', '-o', again, '--json')
    # The folder is there a moment before the recording is.
    assert 'recording to' in read_line(recorder, recorder.stderr)
    recorder.send_signal(signal.SIGINT)
    time.sleep(0.05)
    recorder.send_signal(signal.SIGINT)
    out, err = recorder.communicate(timeout=120)
    assert recorder.returncode == 0
    assert 'Traceback' not in err
    assert json.loads(out)['messages'] == 0
    assert bags.read_contents(again).complete


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (['record', '-o', 'bag'], 'bag is already there'),
        (['record', '--storage', 'tape'], 'choose one of mcap, sqlite3'),
        (['record', '--redact', '/rgb_camera/image_raw'], 'not /rgb_camera/image_raw: leave them'),
        (['record', 'bad topic'], "'bad topic' cannot be recorded"),
    ],
)
def test_what_cannot_be_recorded_is_told(start, bag, arguments, error):
    process = start(*arguments)
    out, told = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error in told
    assert out == ''
