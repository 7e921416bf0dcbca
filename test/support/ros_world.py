"""Nodes of one test, on a ROS context of their own, and what the test says and hears."""

import contextlib
import time

import rclpy
from event_camera_msgs.msg import EventPacket
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_srvs.srv import Trigger

from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.parameters import overrides


class Collected(list):
    """The messages of a topic, in the order of their arrival."""

    def __init__(self, node, kind, topic, profile):
        super().__init__()
        self._node = node
        self._subscription = node.create_subscription(kind, topic, self.append, profile)

    def stop(self):
        self._node.destroy_subscription(self._subscription)


class Log:
    """What the nodes of this process log; a node may log a moment after its state has changed."""

    def __init__(self, capfd):
        self._capfd = capfd
        self._text = ''

    def __str__(self):
        self._text += ''.join(self._capfd.readouterr())
        return self._text

    def __contains__(self, line):
        return line in str(self)

    def count(self, line):
        return str(self).count(line)


class World:
    """A ROS context with nodes, and a way to run it until something has happened."""

    def __init__(self, domain):
        self.context = rclpy.Context()
        self.context.init(domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []
        self._plain_nodes = []
        self._tester = None

    def add(self, kind, *remappings, thread=None, **parameters):
        """Make one of the package's nodes, with `FROM:=TO`; `start` is left to the test.

        Nodes that are given one thread of subscriptions are nodes of one process.
        """
        parameters.setdefault('autostart', True)
        node = kind(
            thread,
            context=self.context,
            parameter_overrides=overrides(parameters),
            cli_args=['--ros-args', *(word for one in remappings for word in ('-r', one))],
        )
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def plain(self, name):
        """Make another node, as of another package."""
        node = rclpy.create_node(name, context=self.context)
        self.executor.add_node(node)
        self._plain_nodes.append(node)
        return node

    @property
    def tester(self):
        """The node of the test itself."""
        if self._tester is None:
            self._tester = self.plain('tester')
        return self._tester

    def collect(self, kind, topic, profile):
        """Subscribe; return the list that messages are appended to."""
        return Collected(self.tester, kind, topic, profile)

    def feed_packets(self, messages=()):
        """Publish event packets once somebody subscribes; return a function for more."""
        publisher = self.tester.create_publisher(EventPacket, topics.EVENTS, qos.EVENTS)
        self.until(lambda: publisher.get_subscription_count() > 0)
        self.run(0.2)

        def feed(messages):
            for message in messages:
                publisher.publish(message)

        feed(messages)
        return feed

    def call(self, service, kind=Trigger, request=None):
        """Call a service and return its response."""
        client = self.tester.create_client(kind, service)
        self.until(client.service_is_ready)
        answer = client.call_async(request or kind.Request())
        self.until(answer.done)
        self.tester.destroy_client(client)
        return answer.result()

    def until(self, condition, seconds=60.0):
        """Run until the condition holds; fail if it does not in time, on a busy machine either."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, 'did not happen in time'
            self.executor.spin_once(timeout_sec=0.02)

    def until_settled(self, messages, seconds=0.5):
        """Run until no message has been added to a list for a while."""
        count, since_s = len(messages), time.monotonic()
        while time.monotonic() < since_s + seconds:
            self.executor.spin_once(timeout_sec=0.02)
            if len(messages) > count:
                count, since_s = len(messages), time.monotonic()

    def until_shutdown(self, seconds=60.0):
        """Run until a node shuts the context down, as if its process ended."""
        deadline = time.monotonic() + seconds
        while self.context.ok():
            assert time.monotonic() < deadline, 'did not happen in time'
            with contextlib.suppress(ExternalShutdownException):
                self.executor.spin_once(timeout_sec=0.02)

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)

    def close(self):
        for node in self.nodes:
            node.stop()
            node.subscription_thread.close()
        self.executor.shutdown()
        # What is left to the garbage collector would still be seen by a later test on the domain.
        for node in (*self.nodes, *self._plain_nodes):
            node.destroy_node()
        self.context.try_shutdown()
        self.context.destroy()
