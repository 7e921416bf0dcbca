"""A camera that starts again within a recording, against one whose clock merely loops."""

from __future__ import annotations

from dataclasses import replace

import event_streams as streams
import numpy as np
import pytest

from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files.packet_decoder import RESTARTS, PacketDecoder
from microexpr_ros.events.packets import packetize

SECOND = 1_000_000_000
MS = 1_000_000
EPOCH = 1_700_000_000 * SECOND


def events_at(*times_s):
    return streams.make_events(
        np.array([round(t * SECOND) for t in times_s]),
        [3] * len(times_s),
        [2] * len(times_s),
        [1] * len(times_s),
    )


def packets_of(events, encoding, epoch_ns):
    stream = [(events, Triggers.empty())]
    return list(
        packetize(stream, streams.HEIGHT, streams.WIDTH, encoding=encoding, epoch_ns=epoch_ns)
    )


def decode(packets, encoding):
    decoder = PacketDecoder(encoding, streams.HEIGHT, streams.WIDTH)
    parts = [decoder.decode(packet)[0] for packet in packets]
    return np.concatenate([part.t for part in parts]) / SECOND, decoder.losses


@pytest.mark.parametrize('encoding', ['evt3', 'libcaer', 'libcaer_cmp', 'mono'])
def test_time_goes_on_as_long_as_passed_by_the_stamps(encoding):
    before = packets_of(events_at(5.0, 5.5, 6.0), encoding, EPOCH)
    # Pulled out at 6 s, plugged in again at 9 s, when its clock began anew.
    after = packets_of(events_at(0.25, 0.5), encoding, EPOCH + 9 * SECOND)
    times, losses = decode(before + after, encoding)
    np.testing.assert_allclose(times, [5.0, 5.5, 6.0, 9.25, 9.5])
    assert losses[RESTARTS] == 1
    assert losses['undated'] == 0


def test_a_recording_that_begins_again_leaves_a_gap_of_a_millisecond():
    once = packets_of(events_at(0.5, 1.0, 2.5), 'evt3', EPOCH)
    times, losses = decode(once + once, 'evt3')
    np.testing.assert_allclose(times, [0.5, 1.0, 2.5, 2.501, 3.001, 4.501])
    assert losses[RESTARTS] == 1


def test_a_clock_that_loops_has_not_begun_anew():
    times = [0.1, 0.9, 8.0, 16.7, 16.8, 24.0, 33.5, 33.6]
    got, losses = decode(packets_of(events_at(*times), 'evt3', EPOCH), 'evt3')
    np.testing.assert_allclose(got, times)
    assert losses[RESTARTS] == 0


def test_late_packets_and_stamps_that_tell_nothing_change_nothing():
    events = events_at(0.0, 0.1, 4.0, 4.1, 9.0)
    packets = packets_of(events, 'evt3', EPOCH)
    late = [
        replace(packet, stamp_ns=packet.stamp_ns + k * 200 * MS)
        for k, packet in enumerate(packets)
    ]
    alike = [replace(packet, stamp_ns=EPOCH) for packet in packets]
    for some in (late, alike):
        times, losses = decode(some, 'evt3')
        np.testing.assert_allclose(times, events.t / SECOND)
        assert losses[RESTARTS] == 0


def test_what_was_left_out_before_a_restart_is_not_forgotten():
    inside_and_outside = streams.make_events([5 * SECOND, 5 * SECOND], [3, 10], [2, 2], [1, 1])
    packets = packets_of(inside_and_outside, 'mono', EPOCH)
    decoder = PacketDecoder('mono', 3, 4)
    for packet in (*packets, *(replace(packet, time_base=0) for packet in packets)):
        assert len(decoder.decode(packet)[0]) == 1
    assert decoder.losses[RESTARTS] == 1
    assert decoder.losses['outside_sensor'] == 2
