"""What `microexpr inspect` finds, in bags that are made to have it."""

from __future__ import annotations

import json
from dataclasses import replace

import event_streams as streams
import numpy as np
import pytest
from command_line import invoke
from damaged_bags import MS, flip, make_packets, write_with_others
from packet_bags import EPOCH, SECOND
from ros1_bags import write_arrays

from microexpr_ros import bags
from microexpr_ros.cli.inspect import app
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.inspection import inspect
from microexpr_ros.events.packets import packetize


@pytest.fixture
def drifting(tmp_path):
    """20 s of packets whose stamps drift by 200 ppm and are late at random, and frames."""
    sensor = np.arange(0, 20 * SECOND, 20 * MS)
    events = streams.events_at(sensor)
    late = np.random.default_rng(0).exponential(MS, len(sensor)).astype(np.int64)
    with bags.BagWriter(tmp_path / 'bag') as writer:
        for packet in packetize([(events, Triggers.empty())], 48, 64):
            stamp_ns = EPOCH + int(sensor[packet.seq] * 1.0002 + late[packet.seq])
            if packet.seq not in range(500, 503):
                writer.write_packet('/events', replace(packet, stamp_ns=stamp_ns))
            if 50 <= packet.seq < 900 and packet.seq % 2 == 0:
                writer.write_image('/rgb', np.zeros((2, 2), np.uint8), stamp_ns, 'rgb')
    return tmp_path / 'bag'


def test_clocks_gaps_and_frames(drifting):
    found = inspect(drifting)
    topics = {topic.name: topic for topic in found.topics}
    assert topics['/events'].messages == 997
    assert (topics['/events'].seq_gaps, topics['/events'].seq_missing) == (1, 3)
    ((at_s, missing),) = topics['/events'].largest_gaps
    assert (at_s, missing) == (pytest.approx(10.06, abs=0.02), 3)
    assert topics['/rgb'].rate_hz == pytest.approx(25, rel=0.01)
    (events,) = found.events
    assert (events.events, events.sensor, events.error) == (997, (64, 48), '')
    assert events.left_out == {'packets_missing_in_source': 3}
    assert events.clock.drift_ppm == pytest.approx(200, abs=5)
    assert events.clock.offset_s == pytest.approx(EPOCH / SECOND, abs=0.001)
    assert events.clock.late_p50_ms == pytest.approx(np.log(2), abs=0.3)
    (frames,) = found.frames
    assert (frames.topic, frames.frames) == ('/rgb', 425)
    assert frames.first_s == pytest.approx(1.0, abs=0.02)
    assert frames.last_s == pytest.approx(-2.02, abs=0.03)


def test_text_and_json_name_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    file = tmp_path / 'bag.mcap'
    write_with_others(file)
    content = file.read_bytes()
    flip(file, content.index(b'\x28\xb5\x2f\xfd', 6000) + 50)
    shown = invoke(app, file).stdout
    assert '/log' in shown
    assert 'foxglove.Log (json, not of ROS 2)' in shown
    assert 'damaged: bag.mcap at byte ' in shown
    assert 'messages lost' in shown
    found = json.loads(invoke(app, file, '--json').stdout)
    read = sum(topic['messages'] for topic in found['topics'])
    assert found['messages_damaged'] > 0
    assert read + found['messages_damaged'] == 72
    assert len(found['damage']) == 1
    assert found['complete']


def test_events_that_are_refused_are_named_and_the_rest_is_shown(tmp_path):
    with bags.BagWriter(tmp_path / 'bag') as writer:
        for packet in make_packets():
            writer.write_packet('/good', packet)
            writer.write_packet('/big', replace(packet, is_bigendian=True))
    found = {report.topic: report for report in inspect(tmp_path / 'bag').events}
    assert 'big-endian' in found['/big'].error
    assert (found['/good'].error, found['/good'].events) == ('', 2400)
    shown = invoke(app, tmp_path / 'bag').stdout
    assert '/big: not read: ' in shown


def test_a_recording_of_another_format(tmp_path):
    zeros = np.zeros(5, int)
    times = np.arange(5) * 250_000_000
    np.savez(tmp_path / 'in.npz', t=times, x=zeros, y=zeros, p=zeros)
    found = inspect(tmp_path / 'in.npz', time_unit='ns', sensor=(64, 48))
    (events,) = found.events
    assert (events.events, events.duration_s, events.clock) == (5, 1.0, None)
    assert (found.topics, found.frames, found.damage) == ((), (), ())
    shown = invoke(app, tmp_path / 'in.npz', '--time-unit', 'ns', '--sensor', '64x48').stdout
    assert '64x48' in shown


def test_every_topic_of_a_ros_1_bag_and_its_damage(tmp_path):
    path = tmp_path / 'events.bag'
    events = streams.random_events(np.random.default_rng(0), 900, 40 * MS)
    parts = [events[start : start + 100] for start in range(0, 900, 100)]
    write_arrays(path, parts, 'dvs_msgs', topics=('/left', '/right'), chunk_bytes=2000)
    found = inspect(path)
    assert [(report.topic, report.events) for report in found.events] == [
        ('/left', 900),
        ('/right', 900),
    ]
    assert (found.complete, found.damage) == (True, ())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    found = inspect(path)
    left, right = found.events
    assert (left.topic, right.topic, found.complete) == ('/left', '/right', False)
    assert left.events == 900 > right.events > 300
    assert len(found.damage) == 1
