"""Overload, on a machine whose time is simulated: its work takes as long as the test says."""

from dataclasses import dataclass

import event_streams as streams
import numpy as np
import pytest

from microexpr_ros.alignment.synchronizer import Synchronizer, SynchronizerOptions
from microexpr_ros.alignment.thinning import FULL_BYTES, Thinning, ThinningOptions
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import Region

MS = 1_000_000
HEIGHT, WIDTH = 480, 640
EVENTS_PER_MS = 4000
PACKET_MS = 2


@pytest.fixture(scope='module')
def packets():
    """Return three seconds of 4 Mev/s; the packets repeat, on a clock that goes on."""
    events = streams.random_events(
        np.random.default_rng(0), EVENTS_PER_MS * 3000, 3000 * MS, HEIGHT, WIDTH
    )
    return list(packetize([(events, streams.make_triggers([], [], []))], HEIGHT, WIDTH))


@dataclass
class Step:
    """One packet: when it came, how late it was processed, and the slices that ended."""

    at_ms: float
    late_ms: float
    kept: int
    ended: list


def process(packets, ns_per_event, arrives_ms=lambda sent_ms: sent_ms, options=None):
    """Process packets on a machine that takes so long for an event, which may depend on time."""
    thinning = Thinning(options)
    decoder = codecs.decoder('evt3', HEIGHT, WIDTH)
    region = Region(0, 0, 480, 480)
    synchronizer = Synchronizer(HEIGHT, WIDTH, SynchronizerOptions(region=region))
    free_ns, steps = 0, []
    for packet in packets:
        sent_ms = packet.stamp_ns / MS
        arrived_ns = round(arrives_ms(sent_ms) * MS)
        now_ns = max(arrived_ns, free_ns)
        kept = thinning.kept
        late_ns = now_ns - arrived_ns
        events, _ = thinning.decode(decoder, packet.events, packet.time_base, late_ns, now_ns)
        slices = list(synchronizer.push(events, int(events.t[0]), arrived_ns, 0, now_ns))
        free_ns = now_ns + round(0.1 * MS + len(events) * ns_per_event(sent_ms))
        steps.append(Step(sent_ms, late_ns / MS, thinning.kept - kept, slices))
    return thinning, steps


def ended(steps):
    return [aligned.slice for step in steps for aligned in step.ended]


def assert_no_slice_is_missing(steps, ms):
    ends = [one.sensor_end_ns for one in ended(steps)]
    assert ends == list(range(10 * MS, (len(ends) + 1) * 10 * MS, 10 * MS))
    assert len(ends) >= ms / 10 - 1


def test_half_of_the_events_are_processed_in_time_and_evenly(packets):
    # One ms of events takes two ms.
    thinning, steps = process(packets, lambda _: 2 * MS / EVENTS_PER_MS)
    assert_no_slice_is_missing(steps, 3000)
    assert max(step.late_ms for step in steps) < 150
    settled = [step for step in steps if step.at_ms > 500]
    assert max(step.late_ms for step in settled) < 90
    assert thinning.kept + thinning.thinned == EVENTS_PER_MS * 3000
    share = sum(step.kept for step in settled) / (EVENTS_PER_MS * 2500)
    assert share == pytest.approx(0.475, abs=0.03)
    counts = np.array([one.events for one in ended(settled)])
    assert counts.std() < 0.1 * counts.mean()


def test_a_machine_that_takes_a_tenth_keeps_up_too(packets):
    thinning, steps = process(packets, lambda _: 10 * MS / EVENTS_PER_MS)
    assert_no_slice_is_missing(steps, 3000)
    assert max(step.late_ms for step in steps if step.at_ms > 500) < 90
    assert thinning.is_active
    assert all(one.events for one in ended(steps))


def test_it_recovers_within_a_second(packets):
    thinning, steps = process(packets, lambda ms: (3 if ms < 1500 else 0.3) * MS / EVENTS_PER_MS)
    assert_no_slice_is_missing(steps, 3000)
    assert not thinning.is_active
    after = [step for step in steps if step.at_ms > 2500]
    assert max(step.late_ms for step in after) < 5
    assert min(step.kept for step in after) > 0.9 * EVENTS_PER_MS * PACKET_MS


def test_who_is_fast_enough_keeps_all(packets):
    thinning, steps = process(packets, lambda _: 0.8 * MS / EVENTS_PER_MS)
    assert (thinning.kept, thinning.thinned) == (EVENTS_PER_MS * 3000, 0)
    assert_no_slice_is_missing(steps, 3000)


def test_bursts_and_short_stalls_are_caught_up_with(packets):
    # Packets of 300 ms come at once; processing them takes 135 ms.
    thinning, _ = process(
        packets,
        lambda _: 0.4 * MS / EVENTS_PER_MS,
        arrives_ms=lambda sent_ms: (sent_ms // 300 + 1) * 300,
    )
    assert thinning.thinned == 0


def test_it_can_be_switched_off(packets):
    thinning, steps = process(
        packets[:500], lambda _: 2 * MS / EVENTS_PER_MS, options=ThinningOptions(limit_ns=0)
    )
    assert thinning.thinned == 0
    assert steps[-1].late_ms > 900


def test_small_packets_are_never_thinned():
    decoder, thinning = codecs.decoder('mono', HEIGHT, WIDTH), Thinning()
    for number in range(200):
        events = Events(
            np.full(FULL_BYTES // 8 - 1, number * MS), *np.ones((3, FULL_BYTES // 8 - 1), np.uint8)
        )
        base, payload = codecs.encoder('mono', HEIGHT, WIDTH).encode(events)
        thinning.decode(decoder, payload, base, 500 * MS, number * 2 * MS)
    assert thinning.is_active
    assert thinning.thinned == 0
