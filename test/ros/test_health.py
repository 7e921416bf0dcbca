"""What the pipeline says when its input stops: from the camera to the estimates."""

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from microexpr_ros.msg import ActionUnitArray
from rclpy.clock import ROSClock

from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import packet_to_message, to_ns, to_time
from microexpr_ros.ros.diagnostics import OK, WARN
from microexpr_ros.ros.nodes.au_classifier import ActionUnitClassifierNode
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
from microexpr_ros.ros.subscriptions import SubscriptionThread

MS = 1_000_000
REGION = [100, 50, 256, 256]


class FakeCamera:
    """Sends a packet each 10 ms, with stamps of the host and events or none."""

    def __init__(self, world):
        self.world = world
        self.feed = world.feed_packets()
        random = np.random.default_rng(0)
        count = 20_000 * 20
        events = Events(
            np.sort(random.integers(0, 20_000_000, count)) * 1000,
            random.integers(100, 356, count).astype(np.uint16),
            random.integers(50, 306, count).astype(np.uint16),
            random.integers(0, 2, count).astype(np.uint8),
        )
        stream = [(events, Triggers.empty())]
        self._packets = packetize(stream, 480, 640, packet_ns=10 * MS)
        self._began_s = time.monotonic()
        self._sent = self._seq = 0

    def send_until(self, condition, is_still=False):
        """Send until a condition holds."""
        until_s = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < until_s, 'did not happen in time'
            self.send(0.1, is_still)

    def send(self, seconds, is_still=False):
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            # As many packets as the time since the last ones holds.
            while self._sent * 0.01 < time.monotonic() - self._began_s:
                message = packet_to_message(next(self._packets))
                message.header.stamp = to_time(ROSClock().now().nanoseconds)
                if is_still:
                    message.events = b''
                message.seq = self._seq
                self._sent += 1
                self._seq += 1
                self.feed([message])
            self.world.run(0.01)

    def hang(self, seconds):
        """Send nothing; the clock of the sensor goes on."""
        self.world.run(seconds)
        while self._sent * 0.01 < time.monotonic() - self._began_s:
            next(self._packets)
            self._sent += 1


class Pipeline:
    """Synchronizer and classifier in one process, and what they say."""

    def __init__(self, world):
        self.world = world
        thread = SubscriptionThread()
        self.nodes = {}
        for kind in (ActionUnitClassifierNode, SynchronizerNode):
            parameters = {'region': REGION} if kind is SynchronizerNode else {}
            node = world.add(kind, **parameters)
            node.subscription_thread = thread
            node.start()
            self.nodes[node.get_name()] = node
        self.estimates, self.statuses = [], []
        tester = world.tester
        tester.create_subscription(
            ActionUnitArray,
            'au_predictions',
            lambda message: self.estimates.append((time.monotonic(), message)),
            qos.RESULTS,
        )
        tester.create_subscription(
            DiagnosticArray,
            '/diagnostics',
            lambda message: self.statuses.append((time.monotonic(), message.status[0])),
            100,
        )

    @property
    def state(self):
        return self.estimates[-1][1].state if self.estimates else None

    def since(self, moment_s):
        return [message for at_s, message in self.estimates if at_s >= moment_s]

    def first(self, name, level, text, since_s):
        """Wait until a node says something; return when it first did, and what.

        On a busy machine it may say at the same time that it falls behind.
        """

        def find():
            for at_s, status in self.statuses:
                is_meant = status.name == name and status.level == level and text in status.message
                if is_meant and at_s >= since_s:
                    return at_s - since_s, status.message
            return None

        self.world.until(find)
        return find()


@pytest.fixture
def pipeline(world):
    return Pipeline(world)


def test_a_camera_that_hangs_makes_estimates_stale_and_is_named(pipeline, world, log, hindrance):
    camera = FakeCamera(world)
    camera.send(2.5)
    camera.send_until(lambda: pipeline.state == ActionUnitArray.OK)
    camera.hang(2.5)
    world.until(lambda: pipeline.state == ActionUnitArray.STALE)
    # On a busy machine, the last packet is read late.
    silence = pipeline.nodes['synchronizer']._packets_in._silence
    began_s = time.monotonic() - silence.lasts_ns(time.monotonic_ns()) / 1e9
    stale_s = next(at_s for at_s, m in pipeline.estimates if at_s > began_s and m.state == m.STALE)
    assert stale_s - began_s < 1.5 + hindrance.seconds(began_s)
    later = [m for at_s, m in pipeline.estimates if at_s >= stale_s]
    assert {m.state for m in later} == {ActionUnitArray.STALE}
    assert not any(unit.confidence for m in later for unit in m.units)
    # The one message that repeats the last stamp.
    live = [to_ns(m.header.stamp) for _, m in pipeline.estimates if m.state != m.STALE]
    assert (np.diff(live) > 0).all()
    assert {to_ns(m.header.stamp) for m in later} == {live[-1]}
    warned_s, message = pipeline.first('/synchronizer', WARN, 'no event packets for ', began_s)
    assert warned_s < 1.5 + hindrance.seconds(began_s)
    assert 's on /event_camera/events: the publisher /tester is silent' in message
    warned_s, _ = pipeline.first('/au_classifier', WARN, 'no slices for ', began_s)
    assert warned_s < 1.5 + hindrance.seconds(began_s)
    assert pipeline.nodes['au_classifier'].diagnose().values['state'] == 'STALE'
    again_s = time.monotonic()
    camera.send(2.0)
    camera.send_until(lambda: pipeline.state == ActionUnitArray.OK)
    first = next(m for m in pipeline.since(again_s) if m.state != m.STALE)
    assert to_ns(first.header.stamp) > live[-1]
    pipeline.first('/synchronizer', OK, 'running', again_s)
    # Once, unless the test itself could not send for a while.
    most = 1 + hindrance.stalls()
    assert 1 <= log.count('no event packets for') <= most
    again = 'event packets come again on /event_camera/events, after'
    world.until(lambda: again in log)
    assert log.count(again) <= most


def test_a_still_scene_is_not_a_dead_camera(pipeline, world, hindrance):
    camera = FakeCamera(world)
    camera.send(2.0)
    camera.send_until(lambda: pipeline.state == ActionUnitArray.OK)
    began_s = time.monotonic()
    camera.send(5.0, is_still=True)
    camera.send_until(lambda: len(pipeline.since(began_s + 0.5)) > 300, is_still=True)
    camera.send_until(lambda: pipeline.state == ActionUnitArray.TOO_FEW_EVENTS, is_still=True)
    estimates = pipeline.since(began_s + 0.5)
    if not hindrance.stalls():
        # Otherwise, packets did not come for a while.
        assert ActionUnitArray.STALE not in {m.state for m in estimates}
    assert not pipeline.nodes['synchronizer']._packets_in.is_silent
