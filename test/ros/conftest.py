"""Every test talks on a ROS domain of its own, and on the loopback only."""

import itertools
import os
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

import rclpy
from rclpy.executors import SingleThreadedExecutor

from microexpr_ros.ros import environment

environment.keep_on_loopback()
environment.prepare()
_DOMAINS = itertools.count(os.getpid() * 11)


@pytest.fixture
def domain(monkeypatch):
    # Domains over 101 would use ports that Linux hands out to others.
    number = next(_DOMAINS) % 100 + 1
    monkeypatch.setenv('ROS_DOMAIN_ID', str(number))
    return number


class World:
    """A ROS context with nodes, and a way to run it until something has happened."""

    def __init__(self, domain):
        self.context = rclpy.Context()
        self.context.init(domain_id=domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []

    def add(self, kind, **parameters):
        from microexpr_ros.ros.parameters import overrides

        parameters.setdefault('autostart', True)
        node = kind(context=self.context, parameter_overrides=overrides(parameters))
        self.executor.add_node(node)
        self.nodes.append(node)
        return node

    def plain(self, name='tester'):
        node = rclpy.create_node(name, context=self.context)
        self.executor.add_node(node)
        return node

    def until(self, condition, seconds=20.0):
        """Run until the condition holds; fail if it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, 'did not happen in time'
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
        for node in self.nodes:
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def world(domain):
    world = World(domain)
    yield world
    world.close()
