"""Bags of packets that are not as they should be: other cameras, other clocks, other hosts."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import event_streams as streams
import numpy as np
import pytest
from command_line import invoke
from damaged_bags import MS, make_packets, write_with_others
from packet_bags import EPOCH, SECOND

from microexpr_ros import bags
from microexpr_ros.cli.convert import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.conversion import convert_recording
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.topics import EVENTS_TOPIC


def write(path, packets, topic='/events'):
    with bags.BagWriter(path) as writer:
        for number, packet in enumerate(packets):
            writer.write_packet(topic, packet, EPOCH + number * MS)
    return path


def read_all(path, **options):
    recording = open_recording(path, **options)
    return recording, streams.concatenate(events for events, _ in recording.chunks())


def test_packets_keep_their_stamps_though_the_clocks_drift_apart_for_an_hour(tmp_path):
    host = np.arange(0, 3600 * SECOND, SECOND)
    # 200 ppm, and a constant delay.
    sensor = (host * 1.0002).astype(np.int64) // 1000 * 1000 + 1_000_000
    events = streams.events_at(sensor)
    sent = packetize([(events, Triggers.empty())], 48, 64)
    packets = [
        replace(packet, stamp_ns=EPOCH + int(time_ns))
        for packet, time_ns in zip(sent, host, strict=True)
    ]
    with bags.BagWriter(tmp_path / 'in') as writer:
        for packet in packets:
            writer.write_packet('/events', packet)
            writer.write_image('/rgb', np.zeros((2, 2), np.uint8), packet.stamp_ns, 'rgb')
    convert_recording(open_recording(tmp_path / 'in'), tmp_path / 'out')
    written = [packet for _, packet in bags.read_packets(tmp_path / 'out')]
    kept = [packet.stamp_ns for packet in written]
    np.testing.assert_allclose(kept, [packet.stamp_ns for packet in packets], rtol=0, atol=2 * MS)
    streams.assert_same(read_all(tmp_path / 'out')[1], events)
    order = [message.topic for message in bags.read_messages(tmp_path / 'out')]
    assert order[:2] == [EVENTS_TOPIC, '/rgb']
    assert order == order[:2] * len(host)


def test_packets_that_are_cut_on_the_way_lie_between_the_stamps(tmp_path):
    packets = [replace(packet, stamp_ns=packet.stamp_ns + 5 * MS) for packet in make_packets()]
    write(tmp_path / 'in', packets)
    convert_recording(open_recording(tmp_path / 'in'), tmp_path / 'out', packet_ns=MS // 4)
    stamps = [packet.stamp_ns for _, packet in bags.read_packets(tmp_path / 'out')]
    assert len(stamps) > 3 * len(packets)
    assert stamps == sorted(stamps)
    assert {packet.stamp_ns for packet in packets} <= set(stamps)


def test_a_recording_without_stamps_keeps_the_times_of_its_sensor(tmp_path):
    packets = [replace(packet, stamp_ns=0) for packet in make_packets()]
    convert_recording(open_recording(write(tmp_path / 'in', packets)), tmp_path / 'out')
    stamps = [packet.stamp_ns for _, packet in bags.read_packets(tmp_path / 'out')]
    assert len(set(stamps)) > 10
    assert stamps == sorted(stamps)


def test_big_endian_packets_are_refused_by_name(tmp_path):
    packets = [replace(packet, is_bigendian=True) for packet in make_packets()]
    with pytest.raises(MicroexprError, match=r'/events in .* packets of a big-endian computer'):
        open_recording(write(tmp_path / 'in', packets))


def test_big_endian_serialization_is_read(tmp_path):
    packets = make_packets()
    store = bags.typestore()
    with bags.BagWriter(tmp_path / 'in') as writer:
        for packet in packets:
            cdr = bags.serialize_packet(packet)
            message = store.deserialize_cdr(cdr, bags.EVENT_PACKET)
            big = bytes(store.serialize_cdr(message, bags.EVENT_PACKET, little_endian=False))
            assert big != cdr
            writer.write_serialized('/events', bags.EVENT_PACKET, big, packet.stamp_ns)
    assert [packet for _, packet in bags.read_packets(tmp_path / 'in')] == packets


def test_packets_of_no_pixels_need_the_size_of_their_sensor(tmp_path):
    packets = make_packets()
    write(tmp_path / 'in', [replace(packet, width=0, height=0) for packet in packets])
    with pytest.raises(MicroexprError, match='does not contain its sensor size: give --sensor'):
        open_recording(tmp_path / 'in')
    recording, events = read_all(tmp_path / 'in', sensor=(streams.WIDTH, streams.HEIGHT))
    assert (recording.width, recording.height) == (streams.WIDTH, streams.HEIGHT)
    streams.assert_same(events, read_all(write(tmp_path / 'whole', packets))[1])


@pytest.mark.parametrize('change', [{'frame_id': 'right'}, {'width': 1280}, {'encoding': 'mono'}])
def test_two_cameras_on_one_topic_are_refused_by_name(tmp_path, change):
    packets = [one for packet in make_packets() for one in (packet, replace(packet, **change))]
    with pytest.raises(MicroexprError, match=r'/events in .* record one camera per topic'):
        read_all(write(tmp_path / 'in', packets))


def test_two_publishers_of_one_camera_are_refused_by_name(tmp_path):
    packets = [
        one for packet in make_packets() for one in (packet, replace(packet, seq=packet.seq + 900))
    ]
    with pytest.raises(MicroexprError, match=r'/events in .* two publishers'):
        read_all(write(tmp_path / 'in', packets))


def test_a_damaged_packet_costs_that_packet(tmp_path):
    packets = make_packets()
    with bags.BagWriter(tmp_path / 'in') as writer:
        for packet in packets:
            cdr = bags.serialize_packet(packet if packet.seq else replace(packet, width=99))
            damaged = cdr[:30] if packet.seq == 7 else cdr
            writer.write_serialized('/events', bags.EVENT_PACKET, damaged, packet.stamp_ns)
    recording, events = read_all(tmp_path / 'in')
    assert recording.losses['packets_damaged'] == 1
    assert recording.losses['packets_of_another_camera'] == 1
    left = [packet for packet in packets if packet.seq not in (0, 7)]
    streams.assert_same(events, read_all(write(tmp_path / 'left', left))[1])


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_foreign_channels_are_copied_or_named(tmp_path, storage, caplog):
    write_with_others(tmp_path / 'in.mcap')
    with caplog.at_level(logging.WARNING):
        result = invoke(
            app, tmp_path / 'in.mcap', tmp_path / 'out', '--json', '--storage', storage
        )
    report = json.loads(result.stdout)
    if storage == 'mcap':
        assert report['topics_left_out'] == []
        assert report['dropped']['messages_of_other_topics'] == 0
        assert list(bags.read_foreign(tmp_path / 'out')) == list(
            bags.read_foreign(tmp_path / 'in.mcap')
        )
    else:
        assert report['topics_left_out'] == ['/chatter', '/log', '/raw', '/scene']
        assert report['dropped']['messages_of_other_topics'] == 12
    assert sum(report['dropped'].values()) == report['dropped']['messages_of_other_topics']
