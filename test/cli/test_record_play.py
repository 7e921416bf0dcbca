"""`microexpr record` and `microexpr play`, each in a process of its own."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros import bags
from microexpr_ros.cli.bag_options import DEFAULTS, SEVERAL, spell_out
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.packets import packetize

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, '-c', 'from microexpr_ros.cli import main; main()')


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', str(os.getpid() % 100 + 1))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))


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


@pytest.fixture
def start(tmp_path):
    """Start a command; it is ended with the test."""
    processes = []

    def begin(*arguments, **options):
        options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **options}
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], cwd=tmp_path, text=True, **options
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'did not happen in time'
        time.sleep(0.05)


def padded(cdr):
    """Return a message as it comes out of DDS, which sends multiples of four bytes."""
    return cdr + bytes(-len(cdr) % 4)


@pytest.mark.slow
def test_what_is_played_is_recorded(start, bag, tmp_path):
    again = tmp_path / 'again'
    recorder = start('record', '/moved', '-o', again, '--json', '--max-bag-duration', 1)
    wait_for(again.exists)
    player = start('play', bag, '--json', '--remap', '/eye/events:=/moved', '--clock')
    played = json.loads(player.communicate(timeout=60)[0])
    assert player.returncode == 0
    recorder.send_signal(signal.SIGINT)
    recorded = json.loads(recorder.communicate(timeout=30)[0])
    assert recorder.returncode == 0
    assert played['messages'] == 200
    assert played['late_p50_ms'] <= played['late_p99_ms'] <= played['late_max_ms']
    assert recorded['topics'] == {'/moved': {'messages': 200, 'overrun': 0, 'lost_packets': 0}}
    assert (recorded['lost'], recorded['files']) == (0, 2)
    want = [padded(message.cdr) for message in bags.read_messages(bag)]
    assert [message.cdr for message in bags.read_messages(again)] == want
    assert bags.read_contents(again).complete


@pytest.mark.slow
def test_a_killed_recorder_leaves_a_bag(start, bag, tmp_path):
    again = tmp_path / 'again'
    recorder = start('record', '--topics', '/eye/events', '-o', again)
    wait_for(again.exists)
    player = start('play', bag, '--json', '--loop')
    wait_for(lambda: sum(file.stat().st_size for file in again.glob('*.mcap')) > 500_000)
    before = bags.read_contents(again).topics[0].messages
    time.sleep(2.0)
    recorder.kill()
    player.send_signal(signal.SIGINT)
    player.communicate(timeout=30)
    found = bags.read_contents(again)
    assert not found.complete
    # At 100 Hz; of the two seconds, the last one may be missing.
    assert found.topics[0].messages > before + 90 > 160
    # And another command reads it.
    run = start('convert', again, tmp_path / 'whole.raw', '--topic', '/eye/events', '--json')
    assert json.loads(run.communicate(timeout=120)[0])['events_in'] > 0


def screen_of(terminal):
    """Return a function that gives all that a terminal has shown so far."""
    shown = b''

    def read():
        nonlocal shown
        while select.select([terminal], [], [], 0)[0]:
            shown += os.read(terminal, 4096)
        return shown.decode(errors='ignore')

    return read


@pytest.mark.slow
def test_keys_pause_step_and_change_the_rate(start, bag, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '200')
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    player = start(
        'play', bag, '--rate', '0.1',
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    screen = screen_of(ours)

    def last(pattern):
        found = re.findall(pattern, screen())
        return found[-1] if found else None

    def messages():
        return int(last(r'(\d+) messages') or 0)

    wait_for(lambda: messages() > 0)
    # No echo, no waiting for a line; Ctrl-C still interrupts.
    flags = termios.tcgetattr(theirs)[3]
    assert not flags & (termios.ECHO | termios.ICANON)
    assert flags & termios.ISIG
    os.write(ours, b' ')
    wait_for(lambda: last('paused|playing') == 'paused')
    time.sleep(0.5)
    count = messages()
    time.sleep(1.0)
    assert messages() == count
    os.write(ours, b'\x1b[C')
    wait_for(lambda: messages() == count + 1)
    os.write(ours, b's')
    wait_for(lambda: messages() == count + 2)
    os.write(ours, b'\x1b[A\x1b[A\x1b[B ')
    wait_for(lambda: last(r'rate ([\d.]+)') == '0.2')
    wait_for(lambda: messages() > count + 10)
    os.write(ours, b'\x03')
    assert player.wait(20) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (['play', 'nowhere'], 'there is no bag nowhere'),
        (['play', 'bag', '--topics', '/nose', '/ear'], 'has no topic /nose'),
        (['play', 'bag', '--start-offset', '9'], 'is behind the end'),
        (['record', '-o', 'bag'], 'bag is already there'),
        (['record', '--storage', 'tape'], 'choose one of mcap, sqlite3'),
        (['record', 'bad topic'], "'bad topic' cannot be recorded"),
    ],
)
def test_what_cannot_be_done_is_told(start, bag, arguments, error):
    process = start(*arguments)
    out, told = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error in told
    assert out == ''


@pytest.mark.parametrize(
    ('given', 'spelled'),
    [
        ('bag', 'bag'),
        ('bag --clock', 'bag --clock 40'),
        ('--clock bag', '--clock 40 bag'),
        ('--clock 5.5 bag', '--clock 5.5 bag'),
        ('bag --topics /a /b -l', 'bag --topics /a --topics /b -l'),
        ('bag -m /a:=/b /c:=/d', 'bag -m /a:=/b -m /c:=/d'),
        ('bag --topics', 'bag --topics'),
    ],
)
def test_options_are_those_of_ros2_bag(given, spelled):
    assert spell_out(given.split(), SEVERAL, DEFAULTS) == spelled.split()
