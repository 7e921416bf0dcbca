"""The processes that the launch file starts, while one of them is killed, stopped or restarted."""

import signal
import subprocess
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from face_bags import write_face_bag
from microexpr_ros.msg import ActionUnitArray
from rclpy.qos import QoSProfile

from microexpr_ros.child import python
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.diagnostics import WARN

pytestmark = pytest.mark.slow

SLICE_NS = 10_000_000
READING = (ActionUnitArray.OK, ActionUnitArray.HEAD_MOVING)
"""States of an estimate of a face that was found and has been seen for a while."""

STALE = (ActionUnitArray.STALE,)


class Stack:
    """A process per node, and what they publish."""

    def __init__(self, world, log):
        self.world = world
        self.log = log
        self.processes, self._arguments = {}, {}
        self.estimates, self.statuses = [], []
        world.tester.create_subscription(
            ActionUnitArray,
            'au_predictions',
            lambda message: self.estimates.append((time.monotonic(), message)),
            # All that a node makes at once of what has waited for it.
            QoSProfile(depth=2 * qos.SLICES.depth),
        )
        world.tester.create_subscription(
            DiagnosticArray,
            '/diagnostics',
            lambda message: self.statuses.append((time.monotonic(), message.status[0])),
            100,
        )

    def start(self, name, **parameters):
        """Start a node, or start it again, and return when it was found to be active."""
        arguments = self._arguments.setdefault(
            name, [part for key, value in parameters.items() for part in ('-p', f'{key}:={value}')]
        )
        program = python(f'from microexpr_ros.ros.nodes.{name} import main; main()')
        self.processes[name] = subprocess.Popen(
            [*program, '--ros-args', *arguments], stdout=self.log, stderr=subprocess.STDOUT
        )
        began_s = time.monotonic()
        # Its executor runs once it is active.
        self.world.until(lambda: self._first_status_s(name, began_s), seconds=60)
        return self._first_status_s(name, began_s)

    def kill(self, name):
        self.processes[name].kill()
        self.processes[name].wait()
        return time.monotonic()

    def pause(self, name):
        self.processes[name].send_signal(signal.SIGSTOP)
        return time.monotonic()

    def resume(self, name):
        self.processes[name].send_signal(signal.SIGCONT)
        return time.monotonic()

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()

    def first_s(self, states, since_s):
        return next((s for s, m in self.estimates if s > since_s and m.state in states), None)

    def wait_for(self, states, since_s):
        """Wait for an estimate in one of the states; return how long after a moment it came."""
        self.world.until(lambda: self.first_s(states, since_s), seconds=30)
        return self.first_s(states, since_s) - since_s

    def wait_for_warning(self, name, text, since_s):
        self.world.until(
            lambda: any(
                at_s > since_s
                and status.name == f'/{name}'
                and status.level == WARN
                and text in status.message
                for at_s, status in self.statuses
            )
        )

    def value(self, name, key):
        """Return a value of a node's newest diagnosis."""
        status = next(s for _, s in reversed(self.statuses) if s.name == f'/{name}')
        return int(next(value.value for value in status.values if value.key == key))

    def live_stamps(self):
        return [
            to_ns(m.header.stamp) for _, m in self.estimates if m.state != ActionUnitArray.STALE
        ]

    def _first_status_s(self, name, since_s):
        return next(
            (s for s, status in self.statuses if s > since_s and status.name == f'/{name}'), None
        )


@pytest.fixture
def stack(world, tmp_path):
    log = tmp_path / 'log'
    with log.open('w') as file:
        stack = Stack(world, file)
        yield stack
        stack.close()
    assert 'Traceback' not in log.read_text()


def start_consumers(stack, **synchronizer):
    # Few images, so that two cores keep up with other things to do.
    stack.start('reconstructor', rate_hz=2.0)
    stack.start('au_classifier')
    stack.start('synchronizer', **synchronizer)


@pytest.fixture
def recording(tmp_path):
    write_face_bag(tmp_path / 'bag', 60.0)
    return tmp_path / 'bag'


@pytest.fixture
def live(stack, recording):
    """A camera and what reads it."""
    start_consumers(stack)
    began_s = stack.start('event_camera', path=recording)
    stack.wait_for(READING, began_s)
    return stack


SENDERS = pytest.mark.parametrize(
    ('name', 'missing'),
    [('event_camera', 'no event packets'), ('synchronizer', 'no slices')],
)
LIMIT_S = 2.0
"""For recovery, on a machine that has nothing else to do."""


@SENDERS
def test_a_sender_that_is_killed_and_restarted(live, name, missing, hindrance):
    killed_s = live.kill(name)
    assert live.wait_for(STALE, killed_s) < 1.5 + hindrance.seconds(killed_s)
    reader = 'synchronizer' if name == 'event_camera' else 'au_classifier'
    live.wait_for_warning(reader, missing, killed_s)
    active_s = live.start(name)
    assert live.wait_for(READING, active_s) < LIMIT_S + hindrance.seconds(active_s)
    assert (np.diff(live.live_stamps()) > 0).all()


@SENDERS
def test_a_sender_that_stands_still(live, name, missing, hindrance):
    stopped_s = live.pause(name)
    assert live.wait_for(STALE, stopped_s) < 1.5 + hindrance.seconds(stopped_s)
    live.world.run(2.0)
    resumed_s = live.resume(name)
    assert live.wait_for(READING, resumed_s) < LIMIT_S + hindrance.seconds(resumed_s)
    assert (np.diff(live.live_stamps()) > 0).all()


def test_a_classifier_that_is_killed_and_restarted(live, hindrance):
    live.kill('au_classifier')
    active_s = live.start('au_classifier')
    assert live.wait_for(READING, active_s) < LIMIT_S + hindrance.seconds(active_s)
    assert (np.diff(live.live_stamps()) > 0).all()


def test_a_classifier_that_stands_still_counts_what_it_missed(live, hindrance):
    stopped_s = live.pause('au_classifier')
    # Its queue holds slices of 12 s.
    live.world.run(14.0)
    resumed_s = live.resume('au_classifier')
    assert live.wait_for(READING, resumed_s) < LIMIT_S + hindrance.seconds(resumed_s)
    live.world.run(3.0)
    assert live.first_s(READING, stopped_s + 1.0) > resumed_s
    steps = np.diff(live.live_stamps())
    assert (steps > 0).all()
    missing = np.round(steps / SLICE_NS).astype(int) - 1
    assert missing.sum() > 0
    assert missing.sum() == live.value('au_classifier', 'missed_slices')


def test_a_player_that_stands_still_is_killed_and_restarted(stack, recording, hindrance):
    start_consumers(stack, use_sim_time='true')
    began_s = stack.start('player', bag=recording)
    stack.wait_for(READING, began_s)
    stopped_s = stack.pause('player')
    assert stack.wait_for(STALE, stopped_s) < 1.5 + hindrance.seconds(stopped_s)
    stack.wait_for_warning('synchronizer', 'no event packets', stopped_s)
    stack.world.run(1.0)
    resumed_s = stack.resume('player')
    assert stack.wait_for(READING, resumed_s) < LIMIT_S + hindrance.seconds(resumed_s)
    assert (np.diff(stack.live_stamps()) > 0).all()
    killed_s = stack.kill('player')
    assert stack.wait_for(STALE, killed_s) < 1.5 + hindrance.seconds(killed_s)
    active_s = stack.start('player')
    # It begins with a wait for its subscribers.
    assert stack.wait_for(READING, active_s) < LIMIT_S + hindrance.seconds(active_s)
