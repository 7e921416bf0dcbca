"""What becomes of errors and mismatches in any of the nodes."""

import threading
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros.diagnostics import ERROR, OK, WARN
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.worker import Worker

TEXTS = QoSProfile(depth=10)


class TextNode(MicroexprNode[NodeParameters]):
    """Does on a subscription, a timer, a thread or a worker what the messages on /text say."""

    name = 'text'
    Parameters = NodeParameters

    def configure(self):
        self.service('~/ask', lambda: (True, 'an answer'))

    def activate(self):
        self.heard, self.orders = [], []
        self.subscribe((String, 'text', self._on_text, TEXTS))
        self.every(0.02, lambda: self._obey('timer'))
        self.start_thread(self._work)
        self.worker = Worker(self)

    def _on_text(self, message, _):
        self.heard.append(message.data)
        self.orders.append(message.data)
        self.worker.add(lambda: self._obey('worker'))
        self._obey('subscription')

    def _work(self):
        while not self.stopping.wait(0.01):
            self._obey('thread')

    def _obey(self, place):
        if f'{place} malformed' in self.orders:
            self.orders.clear()
            raise MicroexprError('no such text: say something else')
        if f'{place} defect' in self.orders:
            self.orders.clear()
            raise ZeroDivisionError('a defect')


class Talk:
    def __init__(self, world):
        self.world = world
        self.node = world.add(TextNode)
        self.node.start()
        self.statuses = world.collect(DiagnosticArray, '/diagnostics', 10)
        self._publisher = world.tester.create_publisher(String, 'text', TEXTS)
        world.until(lambda: self._publisher.get_subscription_count() > 0)

    def say(self, text):
        self._publisher.publish(String(data=text))

    def status(self, condition=lambda status: True):
        """Return the node's next status that meets a condition."""
        self.statuses.clear()

        def found():
            own = [array.status[0] for array in self.statuses if array.status[0].name == '/text']
            return [status for status in own if condition(status)]

        self.world.until(found)
        return found()[0]


@pytest.fixture
def talk(world):
    return Talk(world)


@pytest.mark.parametrize('place', ['subscription', 'timer', 'worker'])
def test_a_malformed_message_is_counted_and_the_node_goes_on(talk, world, log, place):
    talk.say(f'{place} malformed')
    world.until(lambda: talk.node.malformed == 1)
    talk.say('sense')
    world.until(lambda: talk.node.heard and talk.node.heard[-1] == 'sense')
    status = talk.status()
    assert (status.level, status.message) == (OK, 'running')
    values = {value.key: value.value for value in status.values}
    assert values['malformed_messages'] == '1'
    assert not talk.node.failed
    world.until(lambda: 'no such text: say something else' in log)


def test_messages_that_are_malformed_again_and_again_are_a_problem(talk, world):
    status = talk.status(lambda status: talk.say('subscription malformed') or status.level == WARN)
    assert status.message == (
        'messages are malformed, and skipped: no such text: say something else'
    )
    assert not talk.node.failed
    assert talk.status(lambda status: status.level == OK).message == 'running'


@pytest.mark.parametrize('place', ['subscription', 'timer', 'thread', 'worker'])
def test_a_defect_ends_the_process_and_shows_where_it_is(talk, world, log, place):
    talk.say(f'{place} defect')
    world.until_shutdown()
    assert talk.node.failed
    assert talk.node.malformed == 0
    assert talk.node.error == 'text: a defect'
    assert 'in _obey' in log
    assert 'ZeroDivisionError: a defect' in log


def test_an_error_ends_the_work_of_a_thread_but_not_the_process(talk, world):
    talk.say('thread malformed')
    world.until(lambda: talk.node.error)
    status = talk.status(lambda status: status.level == ERROR)
    assert status.message == 'text: no such text: say something else'
    assert world.context.ok()
    assert not talk.node.failed


def test_a_publisher_with_other_qos_is_an_error_that_names_the_topic(talk, world):
    assert talk.status(lambda status: status.message == 'running').level == OK
    best_effort = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    driver = world.plain('driver')
    publisher = driver.create_publisher(String, 'text', best_effort)
    status = talk.status(lambda status: status.level == ERROR)
    assert status.message.startswith('incompatible QoS: /text of driver: ')
    assert 'Best effort' in status.message
    driver.destroy_publisher(publisher)
    assert talk.status(lambda status: status.level == OK).message == 'running'


def test_services_answer_only_while_the_node_is_active(talk, world):
    answer = world.call('text/ask')
    assert (answer.success, answer.message) == (True, 'an answer')
    talk.node.trigger_deactivate()
    answer = world.call('text/ask')
    assert (answer.success, answer.message) == (False, 'the node is not active')
    talk.node.trigger_cleanup()
    world.until(lambda: '/text/ask' not in dict(world.tester.get_service_names_and_types()))


class TornNode(MicroexprNode[NodeParameters]):
    name = 'torn'
    Parameters = NodeParameters

    def configure(self):
        self.torn = []
        for number in (1, 2):
            self.on_teardown(lambda n=number: self.torn.append(f'configured {n}'))

    def activate(self):
        for number in (1, 2):
            self.on_teardown(lambda n=number: self.torn.append(f'activated {n}'))


def test_subscriptions_that_come_and_go_leave_nothing(world, talk, monkeypatch):
    node, kept = talk.node, []
    monkeypatch.setattr(node, 'on_teardown', kept.append)

    def subscribe():
        return node.subscribe((String, 'another', lambda message, _: None, TEXTS))

    gone = [subscribe() for _ in range(3)]
    subscribe()
    for one in gone:
        node.unsubscribe(one)
    world.until(lambda: world.tester.count_subscribers('another') == 1)
    assert not kept
    node.trigger_deactivate()
    world.until(lambda: world.tester.count_subscribers('another') == 0)


class HastyNode(MicroexprNode[NodeParameters]):
    """Subscribes before it has made what its callback uses."""

    name = 'hasty'
    Parameters = NodeParameters

    def activate(self):
        self.subscribe((String, 'text', self._on_text, TEXTS))
        time.sleep(0.5)
        self.heard = []

    def _on_text(self, message, _):
        self.heard.append(message.data)


def test_messages_that_come_while_a_node_is_activated_wait_until_it_is(world):
    publisher = world.tester.create_publisher(String, 'text', TEXTS)
    node = world.add(HastyNode)
    stopping = threading.Event()

    def talk():
        while not stopping.wait(0.01):
            publisher.publish(String(data='a text'))

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        node.start()
        world.until(lambda: node.heard)
    finally:
        stopping.set()
        talking.join()
    assert not node.failed, node.error


def test_what_was_set_up_last_is_taken_down_first(world):
    node = world.add(TornNode)
    node.start()
    node.trigger_deactivate()
    assert node.torn == ['activated 2', 'activated 1']
    node.trigger_cleanup()
    assert node.torn[2:] == ['configured 2', 'configured 1']
