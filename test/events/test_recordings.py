"""Sums over real recordings, counted once with the reference codec.

`MICROEXPR_TEST_DATA` names the folder that holds `recordings/`.
"""

from __future__ import annotations

import os
from pathlib import Path

import event_streams as streams
import numpy as np
import pytest

from microexpr_ros.bags import read_contents, read_packets
from microexpr_ros.events import codecs
from microexpr_ros.events.files import open_recording

DATA = os.environ.get('MICROEXPR_TEST_DATA')
pytestmark = pytest.mark.skipif(not DATA, reason='MICROEXPR_TEST_DATA is not set')

# events, triggers, sums of t (ns), x, y and p
GOLDEN = {
    'test_data_evt3_trigger_0.db3': (82469, 2, 1222326831810000, 42078718, 31656267, 41439),
    'test_data_mono_cd_0.db3': (100, 0, 4950000, 34450, 26450, 50),
    'test_events_1.db3': (343474, 4157, 2851601611994000, 116731888, 80879209, 125183),
}


@pytest.mark.parametrize('name', GOLDEN)
def test_golden_sums(name):
    chunks = list(open_recording(Path(DATA, 'recordings', name)).chunks())
    events = streams.concatenate(chunk[0] for chunk in chunks)
    triggers = sum(len(chunk[1]) for chunk in chunks)
    sums = tuple(int(getattr(events, column).sum(dtype=np.int64)) for column in 'txyp')
    assert (len(events), triggers, *sums) == GOLDEN[name]


@pytest.mark.parametrize('name', GOLDEN)
def test_encoding_again_says_the_same(name):
    path = Path(DATA, 'recordings', name)
    packets = [packet for _, packet in read_packets(path)]
    first = packets[0]
    shape = first.encoding, first.height, first.width
    decoder, encoder, second = (
        codecs.decoder(*shape),
        codecs.encoder(*shape),
        codecs.decoder(*shape),
    )
    for packet in packets:
        events, triggers = decoder.decode(packet.events, packet.time_base)
        time_base, payload = encoder.encode(events, triggers)
        decoded, decoded_triggers = second.decode(payload, time_base)
        streams.assert_same(decoded, events)
        streams.assert_same(decoded_triggers, triggers)
        # Ours may start with three words that the sensor's packet did without.
        assert len(payload) <= len(packet.events) + 6


def test_triggers_come_every_millisecond():
    chunks = open_recording(Path(DATA, 'recordings', 'test_events_1.db3')).chunks()
    triggers = streams.concatenate_triggers(chunk[1] for chunk in chunks)
    assert set(triggers.id.tolist()) == {6}
    rising = triggers.t[triggers.edge == 1]
    assert np.unique(np.diff(rising)).tolist() == [1_000_000]


def test_an_older_type_is_told_as_the_newer():
    bag = read_contents(Path(DATA, 'recordings', 'test_data_mono_cd_0.db3'))
    assert [topic.type for topic in bag.topics] == ['event_camera_msgs/msg/EventPacket']
