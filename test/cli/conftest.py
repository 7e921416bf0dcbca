"""Commands in processes of their own, on a ROS domain of their own."""

import os
import subprocess

import command_line
import numpy as np
import pytest
import terminals

from microexpr_ros import bags
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """Let processes of the test import this source tree and hear only each other."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(os.getpid() % 100 + 1))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('MICROEXPR_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setenv('PYTHONPATH', str(command_line.ROOT))


@pytest.fixture
def microexpr(tmp_path, surroundings):
    """Run a command to its end."""

    def run(*arguments):
        return subprocess.run(
            [*command_line.COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


@pytest.fixture
def start(tmp_path, surroundings):
    """Start a command; it is ended with the test."""
    processes = []

    def begin(*arguments, **options):
        options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **options}
        process = subprocess.Popen(
            [*command_line.COMMAND, *map(str, arguments)], cwd=tmp_path, text=True, **options
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '200')
    with terminals.open_terminal() as opened:
        yield opened


@pytest.fixture
def bag(tmp_path):
    """Two seconds of packets at 100 Hz."""
    random = np.random.default_rng(0)
    count = 200_000
    events = Events(
        np.sort(random.integers(0, 1_999_999, count)) * 1000,
        random.integers(0, 640, count).astype(np.uint16),
        random.integers(0, 480, count).astype(np.uint16),
        random.integers(0, 2, count).astype(np.uint8),
    )
    path = tmp_path / 'bag'
    stream = [(events, Triggers.empty())]
    with bags.BagWriter(path) as writer:
        for packet in packetize(stream, 480, 640, epoch_ns=10**18, packet_ns=10_000_000):
            writer.write_packet('/eye/events', packet)
    return path
