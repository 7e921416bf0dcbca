"""The thread that runs the callbacks of all nodes in a process."""

import pytest
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from microexpr_ros.ros import subscriptions
from microexpr_ros.ros.subscriptions import MOST_POSTED, SubscriptionThread

DEEP = QoSProfile(depth=1000)


@pytest.fixture
def thread():
    thread = SubscriptionThread()
    yield thread
    thread.close()


def test_a_busy_topic_does_not_starve_the_others(world, thread):
    order, errors = [], []

    def heard(message, _):
        order.append(message.data)

    busy, other = world.plain('busy'), world.plain('other')
    for node, topics in ((busy, ['busy', 'beside']), (other, ['other'])):
        thread.subscribe(node, [(String, topic, heard, DEEP) for topic in topics], errors.append)
    publishers = {
        topic: world.tester.create_publisher(String, topic, DEEP)
        for topic in ('busy', 'beside', 'other')
    }
    world.until(lambda: all(p.get_subscription_count() for p in publishers.values()))
    with thread.lock:  # Until everything has arrived, no callback runs.
        for topic in ['busy'] * 500 + ['beside', 'other']:
            publishers[topic].publish(String(data=topic))
        world.run(0.3)
    world.until(lambda: len(order) == 502)
    assert order.index('beside') <= 20
    assert order.index('other') <= 21
    assert not errors


def test_silence_is_noticed_again_and_again(world, thread):
    order, calls = [], []
    node = world.plain('node')
    topic = (String, 'text', lambda message, _: order.append(message.data), DEEP)
    thread.subscribe(node, [topic], calls.append, lambda: calls.append('silence'), 50_000_000)
    world.until(lambda: len(calls) >= 3)
    publisher = world.tester.create_publisher(String, 'text', DEEP)
    world.until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(String(data='a text'))
    world.until(lambda: order)
    count = len(calls)
    world.until(lambda: len(calls) > count)
    assert set(calls) == {'silence'}


def test_nothing_is_called_after_unsubscribing(world, thread):
    order = []
    kept = world.plain('kept')
    topic = (String, 'text', lambda message, _: order.append('kept'), DEEP)
    gone = (String, 'text', lambda message, _: order.append('gone'), DEEP)
    thread.subscribe(kept, [topic], order.append)
    thread.unsubscribe(thread.subscribe(world.plain('gone'), [gone], order.append))
    publisher = world.tester.create_publisher(String, 'text', DEEP)
    world.until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(String())
    world.until(lambda: order)
    assert order == ['kept']


def test_polled_messages_wait_until_they_are_taken(world, thread):
    order, errors = [], []
    node = world.plain('node')
    topic = (String, 'text', lambda message, _: order.append(message.data), DEEP)
    polled = thread.subscribe(node, [topic], errors.append, polled=True)
    publisher = world.tester.create_publisher(String, 'text', DEEP)
    world.until(lambda: publisher.get_subscription_count() > 0)
    for number in range(30):
        publisher.publish(String(data=str(number)))
    world.run(0.3)
    assert order == []
    assert thread.take(polled)
    assert order == [str(number) for number in range(20)]
    assert not thread.take(polled)
    assert len(order) == 30
    thread.unsubscribe(polled)
    assert world.tester.count_subscribers('text') == 0
    assert not thread.take(polled)
    assert not errors


def test_posted_objects_are_taken_in_order_instead_of_messages(world, thread):
    taken, heard, errors = [], [], []
    node = world.plain('node')
    topic = (String, 'text', lambda message, _: heard.append(message.data), DEEP)
    assert thread.post('/text', 0, 0) == 0
    thread.subscribe(node, [topic], errors.append, objects={'text': taken.append})
    publisher = world.tester.create_publisher(String, 'text', DEEP)
    world.until(lambda: publisher.get_subscription_count() > 0)
    assert thread.post('/other', 0, 0) == 0
    for number in range(100):
        assert thread.post('/text', number, 0) == 1
        publisher.publish(String(data=str(number)))
    world.until(lambda: len(taken) == 100)
    world.run(0.3)
    assert taken == list(range(100))
    # A message may come before the first object.
    before = len(heard)
    assert before <= 20
    thread.end_handing_over('/text')
    publisher.publish(String(data='later'))
    world.until(lambda: len(heard) > before)
    assert heard[before:] == ['later']
    assert not errors


def test_the_oldest_of_too_many_posted_objects_are_lost(world, thread):
    taken, errors = [], []
    topic = (String, 'text', lambda message, _: None, DEEP)
    thread.subscribe(world.plain('node'), [topic], errors.append, objects={'text': taken.append})
    with thread.lock:  # Until all are posted, none can be taken.
        for number in range(MOST_POSTED + 5):
            thread.post('/text', number, 0)
    world.until(lambda: taken and taken[-1] == MOST_POSTED + 4)
    assert taken == list(range(5, MOST_POSTED + 5))
    assert not errors


def test_posted_objects_are_taken_once_if_another_thread_ends_the_handing_over(world, thread):
    taken, errors = [], []
    topic = (String, 'text', lambda message, _: None, DEEP)
    thread.subscribe(world.plain('node'), [topic], errors.append, objects={'text': taken.append})
    thread.post('/text', 0, 0)
    world.until(lambda: taken)
    world.run(0.1)
    with thread.lock:  # The thread waits to take the object, which is taken here meanwhile.
        thread.post('/text', 1, 0)
        world.run(0.3)
        thread.end_handing_over('/text')
    world.run(0.1)
    thread.post('/text', 2, 0)
    world.until(lambda: len(taken) == 3 or errors)
    assert taken == [0, 1, 2]
    assert not errors


def test_what_is_deferred_wakes_nobody_and_comes_before_what_does(world, thread, monkeypatch):
    # Else the thread wakes up by itself.
    monkeypatch.setattr(subscriptions, 'MAX_WAIT_NS', 60_000_000_000)
    order, errors = [], []
    topics = [
        (String, name, lambda message, _: order.append(message.data), DEEP)
        for name in ('text', 'other')
    ]
    node = world.plain('node')
    waiting = thread.subscribe(node, topics[:1], errors.append, objects={'text': order.append})
    thread.subscribe(node, topics[1:], errors.append)
    publisher = world.tester.create_publisher(String, 'other', DEEP)
    world.until(lambda: publisher.get_subscription_count() > 0)
    assert thread.post('/text', 'at once', 0) == 1
    world.until(lambda: order)
    waiting.defer(60_000_000_000)
    for text in ('first', 'second'):
        assert thread.post('/text', text, 0) == 1
    world.run(0.3)
    assert order == ['at once']
    publisher.publish(String(data='message'))
    world.until(lambda: 'message' in order)
    assert order == ['at once', 'first', 'second', 'message']
    assert not errors


def test_deferred_messages_are_taken_when_their_time_has_come(world, thread):
    order, errors = [], []
    node = world.plain('node')

    def take(message, _):
        order.append(message.data)
        deferring.defer(20_000_000)

    deferring = thread.subscribe(node, [(String, 'text', take, DEEP)], errors.append)
    publisher = world.tester.create_publisher(String, 'text', DEEP)
    world.until(lambda: publisher.get_subscription_count() > 0)
    for number in range(100):
        publisher.publish(String(data=str(number)))
        if number % 10 == 0:
            world.run(0.01)
    world.until(lambda: len(order) == 100)
    assert order == [str(number) for number in range(100)]
    assert not errors
