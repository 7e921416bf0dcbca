"""Bags are written by rosbags' own writer of ROS 1."""

from __future__ import annotations

import re

import event_streams as streams
import numpy as np
import pytest
from ros1_bags import EPOCH_NS, PACKET, SENSOR, Bag, write_arrays, write_packets
from rosbags.rosbag1 import Writer

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.files import open_recording


@pytest.fixture
def events():
    return streams.random_events(np.random.default_rng(0), 3000, 40_000_000)


@pytest.fixture
def triggers():
    return streams.make_triggers(np.arange(40) * 1_000_000, [6] * 40, [0, 1] * 20)


@pytest.mark.parametrize(
    'kind', ['event_camera_msgs/msg/EventPacket', 'event_array_msgs/msg/EventArray']
)
def test_event_packets(tmp_path, events, triggers, kind):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, kind)
    recording = open_recording(path)
    assert (recording.width, recording.height, recording.epoch_ns) == (*SENSOR, EPOCH_NS)
    assert recording.other_messages == 1
    got, got_triggers = streams.read(path)
    streams.assert_same(got, events)
    streams.assert_same(got_triggers, triggers)


def test_packets_that_are_missing_are_counted(tmp_path, events, triggers):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, 'event_camera_msgs/msg/EventPacket', skipped=(3, 4, 9))
    recording = open_recording(path)
    assert sum(len(chunk[0]) for chunk in recording.chunks()) < len(events)
    assert recording.losses['packets_missing_in_source'] == 3


@pytest.mark.parametrize('package', ['dvs_msgs', 'prophesee_event_msgs'])
def test_arrays_of_events(tmp_path, events, package):
    path = tmp_path / 'events.bag'
    dated = streams.make_events(events.t + EPOCH_NS, events.x, events.y, events.p)
    write_arrays(path, [dated[:1000], dated[1000:]], package)
    streams.assert_same(streams.read(path)[0], dated)


def test_a_sensor_that_arrays_do_not_tell_must_be_given(tmp_path, events):
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:10]], 'dvs_msgs', sensor=(0, 0))
    with pytest.raises(MicroexprError, match='--sensor'):
        open_recording(path)
    streams.assert_same(streams.read(path, sensor=SENSOR)[0], events[:10])


def test_of_several_topics_one_must_be_given(tmp_path, events):
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:10]], 'dvs_msgs', topics=('/left', '/right'))
    for topic in (None, '/middle'):
        with pytest.raises(MicroexprError, match='give one as --topic: /left, /right'):
            open_recording(path, topic=topic)
    streams.assert_same(streams.read(path, topic='/left')[0], events[:10])


def test_a_bag_without_events_is_told(tmp_path):
    path = tmp_path / 'events.bag'
    with Bag(path, {}) as bag:
        message = bag.make('std_msgs/msg/String', data='other')
        bag.write('/rosout', 'std_msgs/msg/String', message, EPOCH_NS)
    with pytest.raises(MicroexprError, match='no topic of events: it has /rosout'):
        open_recording(path)


def test_an_event_out_of_order_is_held_and_counted(tmp_path):
    # 99 ms back inside a message, and 1 us back between two.
    times = np.arange(200) * 1_000_000 + EPOCH_NS
    times[[120, 150]] = times[21], times[149] - 1000
    expected = np.maximum.accumulate(times)
    events = streams.events_at(times)
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:150], events[150:]], 'dvs_msgs')
    recording = open_recording(path)
    got = streams.concatenate(part for part, _ in recording.chunks())
    streams.assert_same(got, streams.make_events(expected, events.x, events.y, events.p))
    assert recording.held == 2
    report = convert_recording(recording, tmp_path / 'out', encoding='mono')
    assert (report.events_out, report.times_held, sum(report.dropped.values())) == (200, 2, 0)
    streams.assert_same(streams.read(tmp_path / 'out')[0], got)


def test_times_that_decrease_between_messages_are_told(tmp_path, events):
    path = tmp_path / 'events.bag'
    write_arrays(path, [events[:10], events[:10]], 'dvs_msgs')
    with pytest.raises(MicroexprError, match=r'times in .* decrease'):
        streams.read(path)


def test_a_bag_that_was_cut_off_at_its_beginning_is_told(tmp_path, events, triggers):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers)
    content = path.read_bytes()
    for size in (0, 5, 100, 3000, 4200):
        path.write_bytes(content[:size])
        with pytest.raises(MicroexprError, match=r'cannot read|is empty'):
            streams.read(path)


@pytest.mark.parametrize('compression', [None, *Writer.CompressionFormat])
def test_a_bag_that_was_cut_off_is_read_up_to_there(tmp_path, events, triggers, compression):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, compression=compression, chunk_bytes=2000)
    content = path.read_bytes()
    for size in (len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        recording = open_recording(path)
        got = streams.concatenate(part for part, _ in recording.chunks())
        streams.assert_same(got, events[: len(got)])
        assert len(got) > 0.4 * size / len(content) * len(events)
        assert recording.losses['files_cut_off'] == 1
        assert len(recording.damage) == 1
    assert len(got) == len(events)


def test_a_bag_whose_recorder_was_killed_is_read(tmp_path, events, triggers):
    path = tmp_path / 'events.bag.active'
    write_packets(tmp_path / 'events.bag', events, triggers, chunk_bytes=2000)
    content = (tmp_path / 'events.bag').read_bytes()
    place = content.index(b'index_pos=') + len(b'index_pos=')
    index = int.from_bytes(content[place : place + 8], 'little')
    path.write_bytes(content[:place] + bytes(8) + content[place + 8 : index])
    recording = open_recording(path)
    streams.assert_same(streams.concatenate(part for part, _ in recording.chunks()), events)
    assert recording.losses['files_cut_off'] == 1
    assert (len(recording.damage), recording.other_messages) == (0, 1)


@pytest.mark.parametrize('compression', Writer.CompressionFormat)
def test_a_damaged_chunk_costs_that_chunk(tmp_path, events, triggers, compression):
    path = tmp_path / 'events.bag'
    write_packets(path, events, triggers, compression=compression, chunk_bytes=2000)
    content = bytearray(path.read_bytes())
    name = f'compression={compression.name.lower()}'.encode()
    chunks = [match.end() for match in re.finditer(name, bytes(content))]
    assert len(chunks) > 4
    # The first bytes of its data, behind two more fields of its header.
    start = chunks[2] + 4 + len(b'op=.') + 4 + len(b'size=....') + 4
    content[start] ^= 0x55
    path.write_bytes(content)
    recording = open_recording(path)
    got = streams.concatenate(part for part, _ in recording.chunks())
    (place,) = recording.damage
    assert 0 < place.messages == recording.losses['packets_missing_in_source']
    assert len(events) * 0.6 < len(got) < len(events)
    report = convert_recording(open_recording(path), tmp_path / 'out')
    assert report.dropped['messages_damaged'] == place.messages
    assert report.damage == (str(place),)


def test_messages_come_in_the_order_of_their_times_from_any_chunk(tmp_path, events):
    path = tmp_path / 'events.bag'
    parts = [events[start : start + 300] for start in range(0, 3000, 300)]
    swapped = [parts[1], parts[0], *parts[2:]]
    write_arrays(path, swapped, 'dvs_msgs', chunk_bytes=1000)
    streams.assert_same(streams.read(path)[0], events)


def test_a_message_that_was_cut_off_is_told(tmp_path, events, triggers):
    path = tmp_path / 'events.bag'
    kind = 'event_camera_msgs/msg/EventPacket'
    write_packets(path, events, triggers, kind)
    with Bag(tmp_path / 'cut.bag', {kind: PACKET}) as bag:
        connection = bag.writer.add_connection('/camera/events', kind, typestore=bag.store)
        bag.writer.write(connection, EPOCH_NS, b'\0' * 40)
    with pytest.raises(MicroexprError, match='cannot read'):
        open_recording(tmp_path / 'cut.bag')
