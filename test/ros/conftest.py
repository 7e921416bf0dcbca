"""Every test talks on a ROS domain of its own, and on the loopback only."""

import itertools
import os

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from machine import Hindrance
from ros_world import Log, World

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


@pytest.fixture
def world(domain):
    world = World(domain)
    yield world
    world.close()


@pytest.fixture
def log(capfd):
    return Log(capfd)


@pytest.fixture
def hindrance():
    hindrance = Hindrance()
    yield hindrance
    hindrance.close()
