"""The node of the live page: what it subscribes to, and when."""

import time
from urllib.parse import urlsplit

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from microexpr_ros.msg import ActionUnitArray, AlignedEvents, MicroExpression
from sensor_msgs.msg import Image
from view_pages import MS, make_estimate, make_expression, make_slice
from websockets.sync.client import connect

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import aligned_to_message, pixels_to_image, to_ns
from microexpr_ros.ros.diagnostics import HARDWARE_ID
from microexpr_ros.ros.estimates import estimate_to_message, expression_to_message
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.nodes.view import ViewNode
from microexpr_ros.ros.slices import SliceOutput
from microexpr_ros.view import Snapshot
from microexpr_ros.view.server import SOCKET_PATH

TOPICS = (
    (AlignedEvents, topics.ALIGNED_EVENTS, qos.SLICES),
    (ActionUnitArray, topics.ACTION_UNITS, qos.RESULTS),
    (MicroExpression, topics.MICRO_EXPRESSIONS, qos.RESULTS),
    (Image, topics.RECONSTRUCTION, qos.RESULTS),
    (DiagnosticArray, topics.DIAGNOSTICS, qos.RESULTS),
)


@pytest.fixture
def view(world):
    node = world.add(ViewNode, port=0)
    node.start()
    return node


def watch(node):
    place = urlsplit(node.server.url).netloc
    return connect(f'ws://{place}{SOCKET_PATH}', origin=f'http://{place}', proxy=None)


def pipeline(world, name):
    """Return a node that publishes as the pipeline does, and a function that publishes it all."""
    node = world.plain(name)
    publishers = [node.create_publisher(*topic) for topic in TOPICS]

    def publish(number):
        aligned = make_slice(number)
        source = aligned_to_message(aligned, 'event_camera', lost_packets=5)
        about = source.face_id, 'event_camera'
        estimate = estimate_to_message(make_estimate(number), *about, 'au@1', 2 * MS)
        expression = expression_to_message(
            make_expression(number), 'event_camera', source.face_id, lambda time_ns: time_ns
        )
        image = pixels_to_image(aligned.slice.counts[1] * 100, to_ns(source.header.stamp), 'e')
        status = DiagnosticStatus(
            name='/robot/au_classifier',
            hardware_id=HARDWARE_ID,
            level=DiagnosticStatus.WARN,
            message='slow',
            values=[KeyValue(key='thresholds', value='0.0100')],
        )
        host = DiagnosticStatus(
            name='/robot/pipeline', hardware_id=HARDWARE_ID, message='au_classifier: slow'
        )
        foreign = DiagnosticStatus(name='/motor', hardware_id='motor')
        report = DiagnosticArray(status=[status, host, foreign])
        for publisher, message in zip(
            publishers, (source, estimate, expression, image, report), strict=True
        ):
            publisher.publish(message)

    return node, publish


def subscribers(world):
    return [world.tester.count_subscribers(topic) for _, topic, _ in TOPICS]


def test_it_subscribes_only_while_somebody_watches(world, view):
    world.run(0.5)
    before = subscribers(world)
    assert before == [0] * len(TOPICS)
    with watch(view):
        world.until(lambda: subscribers(world) == [1] * len(TOPICS))
        with watch(view):
            world.until(lambda: view.viewers == 2)
        world.until(lambda: view.viewers == 1)
        assert subscribers(world) == [1] * len(TOPICS)
    world.until(lambda: subscribers(world) == before)
    assert view.diagnose().values == {'viewers': 0, 'snapshots_hz': 0.0}


def test_everything_that_is_published_is_shown_also_after_a_restart(world, view):
    def shown(publish, numbers):
        for number in numbers:
            publish(number)
            world.run(0.05)
            try:
                snapshot = Snapshot.from_bytes(viewer.recv(timeout=0))
            except TimeoutError:
                continue
            viewer.send('drawn')
            if snapshot.values['expressions'] and snapshot.values['faces'][0]['reconstructed']:
                return snapshot.values
        pytest.fail('nothing was shown')

    with watch(view) as viewer:
        first, publish = pipeline(world, 'first')
        world.until(lambda: subscribers(world) == [1] * len(TOPICS))
        values = shown(publish, range(200))
        [face] = values['faces']
        assert (face['id'], face['status'], face['latency_ms']) == ('face_0', 'OK', 2.0)
        assert face['right'][0] == pytest.approx(0.4)
        assert values['expressions'][-1]['codes'] == [6, 12]
        assert set(values['nodes']) <= {'au_classifier', 'view'}
        assert values['nodes']['au_classifier'] == {
            'level': 1,
            'message': 'slow',
            'thresholds': '0.0100',
        }
        world.executor.remove_node(first)
        first.destroy_node()
        _, publish = pipeline(world, 'second')
        time_ms = values['time_ms']
        assert shown(publish, range(500, 700))['time_ms'] > time_ms


def test_a_malformed_message_is_counted_and_the_page_goes_on(world, view):
    with watch(view) as viewer:
        node, publish = pipeline(world, 'pipeline')
        bad = node.create_publisher(*TOPICS[0])
        world.until(lambda: bad.get_subscription_count() == 1)
        bad.publish(AlignedEvents(height=4, width=4))
        world.until(lambda: view.malformed == 1)
        publish(0)
        world.run(0.3)
        assert viewer.recv(timeout=30)


def test_it_draws_also_if_more_comes_than_it_can_read(world, view, monkeypatch):
    with watch(view) as viewer:
        _, publish = pipeline(world, 'pipeline')
        world.until(lambda: subscribers(world) == [1] * len(TOPICS))
        take, end_s = view.subscription_thread.take, time.monotonic() + 60

        def take_more(polled):
            return take(polled) or time.monotonic() < end_s

        monkeypatch.setattr(view.subscription_thread, 'take', take_more)
        publish(0)
        assert viewer.recv(timeout=30)


class Synchronizer(MicroexprNode[NodeParameters]):
    name = 'synchronizer'
    Parameters = NodeParameters

    def configure(self):
        self.output = SliceOutput(self)


def test_slices_of_its_own_process_are_not_made_into_messages(world, view, monkeypatch):
    synchronizer = world.add(Synchronizer, thread=view.subscription_thread)
    synchronizer.start()
    monkeypatch.setattr('microexpr_ros.ros.slices.serialize_aligned', pytest.fail)
    with watch(view) as viewer:
        world.until(lambda: subscribers(world)[0] == 1)
        with view.subscription_thread.lock:
            synchronizer.output.send(make_slice(3), 'event_camera', 0)
        world.run(0.2)
        [face] = Snapshot.from_bytes(viewer.recv(timeout=30)).values['faces']
        assert (face['id'], face['events']) == ('face_0', 128 * 64)
    assert view.malformed == 0


@pytest.mark.parametrize(
    ('parameters', 'message'),
    [
        ({'host': '0.0.0.0'}, 'host 0.0.0.0 can be reached from the network: give a token'),
        ({'token': 'short'}, 'a token of 5 characters can be guessed'),
        ({'host': '203.0.113.1', 'token': 'long enough'}, 'cannot be served at 203.0.113.1:8090'),
        ({'host': 'a..b', 'token': 'long enough'}, 'cannot be served at a..b:8090'),
    ],
)
def test_it_says_why_it_cannot_serve(world, parameters, message):
    node = world.add(ViewNode, **parameters)
    with pytest.raises(MicroexprError, match=message):
        node.start()


def test_it_can_be_activated_again(world, view):
    port = urlsplit(view.server.url).port
    with watch(view) as viewer:
        world.until(lambda: view.viewers == 1)
        assert view.trigger_deactivate().name == 'SUCCESS'
        with pytest.raises(Exception, match='1001'):
            viewer.recv(timeout=30)
    world.until(lambda: subscribers(world) == [0] * len(TOPICS))
    assert view.trigger_activate().name == 'SUCCESS'
    assert urlsplit(view.server.url).port != port
    with watch(view):
        world.until(lambda: subscribers(world) == [1] * len(TOPICS))
