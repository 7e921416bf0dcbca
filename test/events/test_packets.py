from __future__ import annotations

import event_streams as streams
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microexpr_ros.bags.event_packet import SequenceGaps
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize


def decode_all(packets):
    decoder = codecs.decoder(packets[0].encoding, packets[0].height, packets[0].width)
    chunks = [decoder.decode(packet.events, packet.time_base) for packet in packets]
    return (
        streams.concatenate(chunk[0] for chunk in chunks),
        streams.concatenate_triggers(chunk[1] for chunk in chunks),
    )


def test_by_hand():
    ms = 1_000_000
    events = streams.make_events([0, 1 * ms, 2 * ms, 9 * ms], [0] * 4, [1] * 4, [1] * 4)
    packets = list(packetize([(events, Triggers.empty())], 480, 640, epoch_ns=7, frame_id='eye'))
    assert [packet.seq for packet in packets] == [0, 1, 2]
    assert [packet.stamp_ns for packet in packets] == [7, 7 + 2 * ms, 7 + 9 * ms]
    first = packets[0]
    assert (first.height, first.width, first.frame_id) == (480, 640, 'eye')
    assert (first.encoding, first.time_base, first.is_bigendian) == ('evt3', 0, False)


@pytest.mark.parametrize('encoding', ['evt3', 'libcaer', 'mono'])
@given(
    parts=st.lists(streams.events(max_gap=900, start=3000), max_size=3),
    packet_bytes=st.sampled_from([80, 200, 400_000]),
)
@settings(max_examples=60, deadline=None)
def test_packets_say_what_the_stream_said(encoding, parts, packet_bytes):
    shifted, start = [], 0
    for events in parts:
        shifted.append(Events(events.t + start, events.x, events.y, events.p))
        start = int(shifted[-1].t[-1]) if len(events) else start
    stream = [(events, Triggers.empty()) for events in shifted]
    packets = list(
        packetize(
            stream, streams.HEIGHT, streams.WIDTH, encoding=encoding, packet_bytes=packet_bytes
        )
    )
    assert all(len(packet.events) <= packet_bytes for packet in packets)
    assert [packet.seq for packet in packets] == list(range(len(packets)))
    if packets:
        streams.assert_same(decode_all(packets)[0], streams.concatenate(shifted))


@given(streams.events(), streams.triggers(), st.sampled_from([80, 400_000]))
@settings(max_examples=60, deadline=None)
def test_triggers_stay_with_the_events(events, triggers, packet_bytes):
    packets = list(
        packetize([(events, triggers)], streams.HEIGHT, streams.WIDTH, packet_bytes=packet_bytes)
    )
    if packets:
        decoded = decode_all(packets)
        streams.assert_same(decoded[0], events)
        streams.assert_same(decoded[1], triggers)


def test_gaps_are_counted_and_restarts_are_not():
    gaps = SequenceGaps()
    assert [gaps.add(seq) for seq in (5, 6, 9, 9, 10, 0, 1, 4)] == [0, 0, 2, 0, 0, 0, 0, 2]
    assert gaps.total == 4


def test_no_packet_is_longer_than_its_time():
    events = streams.random_events(np.random.default_rng(0), 5000, 100_000_000)
    decoder = codecs.decoder('evt3', streams.HEIGHT, streams.WIDTH)
    for packet in packetize([(events, Triggers.empty())], streams.HEIGHT, streams.WIDTH):
        decoded, _ = decoder.decode(packet.events)
        assert decoded.t[-1] - decoded.t[0] < 2_000_000


def test_unsorted_events_are_refused():
    events = streams.make_events([5000, 4000], [0, 0], [0, 0], [0, 0])
    with pytest.raises(MicroexprError, match='sort'):
        list(packetize([(events, Triggers.empty())], 4, 4))


def test_impossible_limits_are_refused():
    with pytest.raises(MicroexprError, match='too small'):
        list(packetize([], 4, 4, packet_bytes=50))
