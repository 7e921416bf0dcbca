"""The synchronizer node where clocks are odd."""

import dataclasses
import re
import time

import numpy as np
import pytest

pytest.importorskip('microexpr_ros.msg')

from event_camera_msgs.msg import EventPacket as EventPacketMessage
from microexpr_ros.msg import ActionUnitArray, AlignedEvents
from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.perception.classifier import Status
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import packet_to_message, pixels_to_image, to_ns
from microexpr_ros.ros.diagnostics import OK, WARN, ProblemLog
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode, parse_frame_offset
from microexpr_ros.ros.subscriptions import SubscriptionThread

MS = 1_000_000
REGION = [64, 64, 128, 128]


def make_packets(seconds=2.0, seed=0, events_per_s=10_000):
    random, count = np.random.default_rng(seed), round(seconds * events_per_s)
    events = Events(
        np.sort(random.integers(0, round(seconds * 1e6), count)) * 1000,
        random.integers(0, 256, count).astype(np.uint16),
        random.integers(0, 256, count).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
    )
    return list(packetize([(events, Triggers.empty())], 256, 256, epoch_ns=0, packet_ns=10 * MS))


class Rig:
    """A synchronizer, and what publishes to it and hears it."""

    def __init__(self, world, **parameters):
        self.world = world
        self.node = world.add(SynchronizerNode, region=REGION, **parameters)
        self.node.start()
        self.slices = []
        camera = world.plain('camera')
        camera.create_subscription(AlignedEvents, 'aligned_events', self.slices.append, qos.SLICES)
        self.events = camera.create_publisher(
            EventPacketMessage, 'event_camera/events', qos.EVENTS
        )
        self.frames = camera.create_publisher(Image, 'rgb_camera/image_raw', qos.FRAMES)
        for publisher in (self.events, self.frames):
            world.until(lambda p=publisher: p.get_subscription_count() > 0)
        world.until(lambda: camera.count_publishers('aligned_events') > 0)
        world.run(0.2)

    def send(self, packets, stamp):
        for packet in packets:
            message = dataclasses.replace(packet, stamp_ns=stamp(packet.stamp_ns))
            self.events.publish(packet_to_message(message))

    def diagnose(self):
        with self.node.subscription_thread.lock:
            return self.node.diagnose()


@pytest.mark.parametrize('rate', [0.0, 0.5, 2.0])
def test_estimates_are_ok_after_the_warm_up_at_any_rate(world, rate):
    """A rate of 0: stamps that stand still."""
    classifier = world.add(ActionUnitClassifierNode)
    classifier.start()
    units = []
    world.plain('robot').create_subscription(
        ActionUnitArray, 'au_predictions', units.append, qos.RESULTS
    )
    rig = Rig(world)
    now_ns = time.time_ns()
    packets = make_packets(2.0)
    for begin in range(0, 200, 40):
        part = packets[begin : begin + 40]
        rig.send(part, lambda t: now_ns + (round(t / rate) if rate else 0))
        world.until(lambda n=begin: sum(m.state != Status.STALE for m in units) >= n + 39)
    world.until(lambda: len(rig.slices) >= 199)
    live = [message.state for message in units if message.state != Status.STALE]
    assert live[:19] == [Status.WARMING_UP] * 19
    assert Status.WARMING_UP not in live[19:]
    stamps = [to_ns(message.header.stamp) for message in rig.slices]
    assert (np.diff(stamps) > 0).all()
    assert classifier.diagnose().values['missed_slices'] == 0


def test_a_pause_is_filled_at_once_without_a_slice_being_lost(world):
    rig, thread, slices, errors = Rig(world), SubscriptionThread(), [], []
    reader = world.plain('reader')
    take = (AlignedEvents, 'aligned_events', lambda message, _: slices.append(message), qos.SLICES)
    thread.subscribe(reader, [take], errors.append)
    world.until(lambda: reader.count_subscribers('aligned_events') == 2)
    world.run(0.2)
    t = np.concatenate([np.arange(100), 9_900 + np.arange(100)]) * MS
    x = np.full(len(t), 100, np.uint16)
    events = Events(t, x, x, np.ones(len(t), np.uint8))
    now_ns = time.time_ns()
    with thread.lock:  # A reader that is slower than the synchronizer by all there is.
        rig.send(
            packetize([(events, Triggers.empty())], 256, 256, packet_ns=10 * MS),
            lambda t: now_ns + t,
        )
        world.until(lambda: rig.node.diagnose().values.get('slices', 0) >= 999)
        world.run(0.5)
    world.until(lambda: len(slices) >= 999)
    thread.close()
    stamps = [to_ns(message.header.stamp) for message in slices]
    assert (np.diff(stamps) == 10 * MS).all()
    assert not errors


def test_a_camera_machine_that_is_behind_is_reported_once_and_while_it_lasts(world, log):
    rig = Rig(world)
    for number, packet in enumerate(make_packets(1.0)):
        rig.send([packet], lambda t: time.time_ns() - 3000 * MS)
        if number % 2:
            world.run(0.02)
    for _ in range(3):
        diagnosis = rig.diagnose()
    assert diagnosis.level == WARN
    line = r"/event_camera/events are (3\.\d) s behind this machine's clock"
    assert re.search(line, diagnosis.message)
    assert diagnosis.values['host_offset_s'] == pytest.approx(-3, abs=0.3)
    world.until(lambda: re.search(line, str(log)))
    assert len(re.findall(line, str(log))) == 1
    assert '(chrony)' in log


def test_overload_is_reported_once_and_while_it_lasts(world, capfd, monkeypatch):
    rig = Rig(world)
    packets = make_packets(2.0, events_per_s=1_000_000)
    lag = rig.node._packets_in.lag
    monkeypatch.setattr(lag, 'add', lambda *_: False)

    def send(some):
        for packet in some:
            rig.send([packet], lambda t: 10**18 + t)
            world.run(0.005)
        world.until(lambda: rig.node._packets.total == some[-1].seq + 1)

    # As if the thread came to its packets 60 ms late, between half of the limit and the limit.
    lag.excess_ns = 60 * MS
    send(packets[:60])
    diagnosis = rig.diagnose()
    assert diagnosis.level == WARN
    assert 'of the events are thinned out' in diagnosis.message
    assert 0 < diagnosis.values['events_thinned'] < 600_000
    send(packets[60:100])
    assert rig.diagnose().values['thinned_percent'] == pytest.approx(50, abs=2)
    lag.excess_ns = 0
    send(packets[100:])
    rig.diagnose()
    assert rig.diagnose().values['thinned_percent'] == 0
    world.until(lambda: len(rig.slices) >= 199)
    stamps = [to_ns(message.header.stamp) for message in rig.slices]
    assert (np.diff(stamps) == 10 * MS).all()
    said = capfd.readouterr().err
    assert said.count('of the events are thinned out') == 1
    assert said.count('no longer: overload') == 1


def test_frames_of_another_clock_are_left_out_with_a_warning(world):
    rig = Rig(world)
    pixels = np.zeros((48, 64, 3), np.uint8)
    started_ns = time.time_ns()
    for number, packet in enumerate(make_packets(1.0)):
        rig.send([packet], lambda t: started_ns + t)
        if number % 4 == 0:
            stamp_ns = started_ns + packet.stamp_ns + 400 * MS
            rig.frames.publish(pixels_to_image(pixels, stamp_ns, 'rgb_camera'))
            world.run(0.02)
    world.until(lambda: len(rig.slices) >= 99)
    world.until(lambda: rig.diagnose().values['frames_refused'] > 15)
    diagnosis = rig.diagnose()
    assert diagnosis.level == WARN
    # A busy machine reads a frame later than the events that came before it.
    assert re.search(r'0\.[34] s ahead of the events: frames are left out', diagnosis.message)
    assert not any(message.image for message in rig.slices)
    assert rig.slices[-1].sync_source == AlignedEvents.NONE


def test_frames_of_the_event_camera_share_its_clock(world, hindrance):
    rig = Rig(world)
    pixels = np.zeros((48, 64), np.uint8)
    started_ns = time.time_ns()
    for number, packet in enumerate(make_packets(0.5)):
        rig.send([packet], lambda t: started_ns + t)
        if number % 4 == 3:
            stamp_ns = started_ns + packet.stamp_ns
            rig.frames.publish(pixels_to_image(pixels, stamp_ns, 'event_camera'))
            world.run(0.02)
    world.until(lambda: len(rig.slices) >= 49)
    assert rig.slices[-1].sync_source == AlignedEvents.SHARED_CLOCK
    assert any(message.image for message in rig.slices)
    # Stamps are behind where the test itself was kept from sending in time.
    assert 'image_raw' not in rig.diagnose().message
    assert rig.diagnose().level == OK or hindrance.seconds() > 0.3


def test_frames_are_taken_when_their_trigger_came(world):
    random, epoch_ns = np.random.default_rng(0), time.time_ns()
    t = np.sort(random.integers(0, 2_000_000, 20_000)) * 1000
    x, y = (random.integers(0, 256, len(t)).astype(np.uint16) for _ in range(2))
    events = Events(t, x, y, np.ones(len(t), np.uint8))
    taken = 5 * MS + np.arange(50) * 40 * MS
    edges = np.sort(np.concatenate([taken, taken + 2 * MS]))
    triggers = Triggers(edges, np.ones(100, np.uint8), np.tile([1, 0], 50).astype(np.uint8))
    rig = Rig(world)
    pixels = np.zeros((48, 64), np.uint8)
    for number, packet in enumerate(packetize([(events, triggers)], 256, 256, packet_ns=10 * MS)):
        rig.send([packet], lambda t: epoch_ns + t)
        if number % 4 == 3:
            stamp_ns = epoch_ns + int(taken[number // 4]) + 12 * MS
            rig.frames.publish(pixels_to_image(pixels, stamp_ns, 'rgb_camera'))
            world.run(0.02)
    world.until(lambda: len(rig.slices) >= 199)
    shown = [message for message in rig.slices[100:] if message.image]
    assert len(shown) > 10
    for message in shown:
        assert message.sync_source == AlignedEvents.TRIGGER
        assert message.sync_error_ms < 0.05
        since_ns = to_ns(message.image[0].header.stamp) - epoch_ns - int(taken[0])
        assert abs(since_ns - round(since_ns / (40 * MS)) * 40 * MS) < MS
    assert rig.diagnose().values['trigger_period_ms'] == 40.0


def test_a_driver_that_starts_again_is_one_restart(world):
    rig = Rig(world)
    started_ns = time.time_ns()
    for part in range(3):
        rig.send(make_packets(1.0), lambda t, part=part: started_ns + part * 1500 * MS + t)
        world.until(lambda part=part: len(rig.slices) >= 99 + part * 100)
    assert rig.diagnose().values['restarts'] == 2
    stamps = [to_ns(message.header.stamp) for message in rig.slices]
    assert (np.diff(stamps) > 0).all()


def test_packets_of_a_second_camera_are_left_out_and_named(world, log):
    rig = Rig(world)
    other = world.plain('other_camera')
    second = other.create_publisher(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    world.until(lambda: second.get_subscription_count() > 0)
    started_ns = time.time_ns()
    for packet in make_packets(0.5):
        rig.send([packet], lambda t: started_ns + t)
        foreign = dataclasses.replace(packet, height=720, width=1280, frame_id='face')
        second.publish(packet_to_message(foreign))
    world.until(lambda: len(rig.slices) >= 49)
    world.until(lambda: rig.diagnose().values['packets_refused'] == 50)
    line = "packets of a second camera, evt3 1280 x 720 'face', come on /event_camera/events"
    assert rig.slices[0].header.frame_id != 'face'
    assert rig.diagnose().values['restarts'] == 0
    assert line in rig.diagnose().message
    # Discovery may still know a node of an earlier run on this domain too.
    assert {'/camera', '/other_camera'} <= set(re.findall(r'/\w+', rig.diagnose().message))
    world.until(lambda: line in log)
    world.until(lambda: line not in rig.diagnose().message)
    # The first one is silent by now.
    second.publish(packet_to_message(foreign))
    world.until(lambda: 'events: evt3 1280 x 720' in log)


def test_cameras_that_look_alike_are_named_when_they_share_a_topic(world):
    rig = Rig(world)
    other = world.plain('other_camera')
    second = other.create_publisher(EventPacketMessage, 'event_camera/events', qos.EVENTS)
    world.until(lambda: second.get_subscription_count() > 0)
    for number, packet in enumerate(make_packets(0.5)):
        message = packet_to_message(packet)
        rig.events.publish(message)
        message.seq = 10_000 + number
        second.publish(message)
    line = 'packets of two cameras alternate on /event_camera/events'
    world.until(lambda: line in rig.diagnose().message)


def test_packets_of_a_big_endian_computer_are_refused(world, log):
    rig = Rig(world)
    message = packet_to_message(make_packets(0.1)[0])
    message.is_bigendian = True
    rig.events.publish(message)
    world.until(lambda: 'of a big-endian computer, which are not read' in log)
    world.until(lambda: rig.node.malformed == 1)


class Lines:
    """A logger that remembers."""

    def __init__(self):
        self.warned, self.informed = [], []

    def warning(self, line):
        self.warned.append(line)

    def info(self, line):
        self.informed.append(line)


def test_a_problem_is_logged_when_it_begins_and_when_it_ends():
    lines = Lines()
    log = ProblemLog(lines)
    for away in ('3.0', '3.1'):
        log.update({'OFFSET': f'stamps are {away} s behind: use chrony'})
    log.update({'OFFSET': 'stamps are 3.2 s behind: use chrony', 'ZERO': 'stamps are 0: no'})
    assert lines.warned == ['stamps are 3.0 s behind: use chrony', 'stamps are 0: no']
    assert lines.informed == []
    log.update({})
    assert sorted(lines.informed) == [
        'no longer: stamps are 0',
        'no longer: stamps are 3.2 s behind',
    ]
    log.update({'ZERO': 'stamps are 0: no'})
    assert len(lines.warned) == 3


def test_the_frame_offset_is_a_number_or_auto():
    assert parse_frame_offset('auto') is None
    assert parse_frame_offset('-0.25') == -250 * MS
    for text in ('soon', 'inf', ''):
        with pytest.raises(MicroexprError, match='frame_offset'):
            parse_frame_offset(text)
