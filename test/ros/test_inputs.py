"""What nodes say of the topics that they need."""

import re
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from microexpr_ros.ros.diagnostics import OK, WARN
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters

TEXTS = QoSProfile(depth=1000)
FEW = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class ReaderNode(MicroexprNode[NodeParameters]):
    """Needs /text, may do without /note, and takes its time."""

    name = 'reader'
    Parameters = NodeParameters
    pause_s = 0.0

    def activate(self):
        self.texts = self.watch('text', 'texts')
        self.notes = self.watch('note', 'notes', is_optional=True)
        self.subscribe(
            (String, 'text', self._read, TEXTS),
            (String, 'note', self._read, FEW),
            inputs=(self.texts, self.notes),
        )

    def _read(self, message, _):
        time.sleep(self.pause_s)


class Reading:
    def __init__(self, world):
        self.world = world
        self.node = world.add(ReaderNode)
        self.statuses = []
        world.tester.create_subscription(
            DiagnosticArray,
            '/diagnostics',
            lambda message: self.statuses.append((time.monotonic(), message.status[0])),
            10,
        )
        self.node.start()

    def publisher(self, topic, profile=TEXTS):
        publisher = self.world.tester.create_publisher(String, topic, profile)
        self.world.until(lambda: publisher.get_subscription_count())
        return publisher

    def publish(self, publisher, seconds, period_s=0.02):
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            publisher.publish(String())
            self.world.run(period_s)

    def next_status(self, condition):
        """Return the next status that meets a condition, and when it came."""
        self.statuses.clear()
        self.world.until(lambda: any(condition(status) for _, status in self.statuses))
        return next((at_s, status) for at_s, status in self.statuses if condition(status))


@pytest.fixture
def reading(world):
    return Reading(world)


def values(status):
    return {value.key: value.value for value in status.values}


def test_a_topic_without_a_publisher_is_named(reading, world, log):
    _, status = reading.next_status(lambda status: status.level == WARN)
    assert status.message.startswith('waiting for texts since ')
    assert status.message.endswith(' s on /text: nobody publishes it')
    world.until(lambda: 'waiting for texts since' in log)
    world.run(1.0)
    # Once; what may be missing is not missed.
    assert log.count('waiting for texts since') == 1
    assert 'notes' not in log


def test_silence_is_told_in_time_with_its_reason_and_its_end(reading, world, log, hindrance):
    publisher = reading.publisher('text')
    reading.publish(publisher, 0.5)
    began_s = time.monotonic()
    at_s, status = reading.next_status(lambda status: status.level == WARN)
    assert at_s - began_s < 1.5 + hindrance.seconds(began_s)
    assert re.match(r'no texts for \d+\.\d s on /text: ', status.message)
    assert status.message.endswith(' s on /text: the publisher /tester is silent')
    assert float(values(status)['texts_silent_s']) >= 0.5
    world.tester.destroy_publisher(publisher)
    _, status = reading.next_status(lambda status: 'nobody publishes it' in status.message)
    assert status.level == WARN
    publisher = reading.publisher('text')
    publisher.publish(String())
    at_s, status = reading.next_status(lambda status: status.level == OK)
    assert values(status)['texts_silent_s'] == '0.0'
    world.until(lambda: 'texts come again on /text, after ' in log)
    # Once, unless the test itself could not publish for a while.
    most = 1 + hindrance.stalls()
    assert 1 <= log.count('no texts for') <= most
    assert log.count('texts come again on /text, after ') <= most


def test_what_came_and_went_is_missed_even_if_it_is_optional(reading, world):
    texts, notes = reading.publisher('text'), reading.publisher('note', FEW)
    notes.publish(String())
    for _ in range(10):
        reading.publish(texts, 0.2)
        if reading.node.notes.is_silent:
            break
    assert not reading.node.texts.is_silent
    assert [problem[:12] for problem in reading.node.notes.problems()] == ['no notes for']


def test_what_never_came_is_counted(reading, world):
    texts, notes = reading.publisher('text'), reading.publisher('note', FEW)
    notes.publish(String())
    texts.publish(String())
    world.run(0.3)
    with reading.node.subscription_thread.lock:  # Nothing is read, so that the queue overflows.
        for _ in range(20):
            notes.publish(String())
        world.run(0.3)
    world.until(lambda: reading.node.notes.lost)
    # The queue holds 5.
    assert reading.node.notes.lost == 15
    assert reading.node.texts.lost == 0


def test_a_reader_that_is_too_slow_says_so_once_with_the_factor(reading, world, log, hindrance):
    publisher = reading.publisher('text')
    reading.publish(publisher, 0.5)
    reading.node.pause_s = 0.05
    reading.publish(publisher, 3.0)
    while not reading.node.texts.lag.is_behind:
        reading.publish(publisher, 0.2)
    _, status = reading.next_status(lambda status: 'falling behind' in status.message)
    assert status.level == WARN
    assert 0.0 < float(values(status)['texts_behind_factor']) < 0.9
    reading.node.pause_s = 0.0
    world.until(lambda: reading.node.texts.lag.excess_ns < 100_000_000)
    while reading.node.texts.lag.is_behind:
        reading.publish(publisher, 0.2)
    _, status = reading.next_status(lambda status: 'falling behind' not in status.message)
    assert float(values(status)['texts_behind_s']) > 1.0
    world.until(lambda: 'caught up with texts after ' in log)
    most = 1 + hindrance.stalls()
    assert 1 <= log.count('falling behind: texts are processed at 0.') <= most
    assert log.count('caught up with texts after ') <= most
