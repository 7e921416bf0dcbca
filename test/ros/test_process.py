"""Nodes in a process of their own, and how it ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_msgs.msg import String

from microexpr_ros import bags

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start(domain, monkeypatch):
    """Start a Python process; it is ended with the test."""
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    processes = []

    def begin(code, *arguments, stderr=subprocess.PIPE):
        process = subprocess.Popen(
            [sys.executable, '-c', textwrap.dedent(code), *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'did not happen in time'
        time.sleep(0.02)


COMMANDS = {
    'node': (
        'from microexpr_ros.ros.nodes.recorder import main; main()',
        '--ros-args', '-p', 'output:={}',
    ),
    'command': (
        'from microexpr_ros.cli import main; main()', 'record', '/text', '--output', '{}', '--json'
    ),
}  # fmt: skip


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.parametrize('pause_s', [0.001, 0.05])
def test_further_interrupts_do_not_disturb_the_end(start, tmp_path, command, pause_s):
    path = tmp_path / 'bag'
    with (tmp_path / 'log').open('w') as stderr:
        command = (argument.format(path) for argument in COMMANDS[command])
        process = start(*command, stderr=stderr)
    wait_for(lambda: 'recording to' in (tmp_path / 'log').read_text())
    while process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
        time.sleep(pause_s)
    log = (tmp_path / 'log').read_text()
    assert process.returncode == 0, log
    assert 'Traceback' not in log
    assert 'KeyboardInterrupt' not in log
    assert bags.read_contents(path).complete


TWO_NODES = """
    from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
    from microexpr_ros.ros.process import run_nodes

    class Sound(MicroexprNode):
        name, Parameters = 'sound', NodeParameters

    class Broken(MicroexprNode):
        name, Parameters = 'broken', NodeParameters

        def activate(self):
            self.create_timer(0.1, lambda: 1 / 0)

    run_nodes(lambda thread: [kind(thread) for kind in ({})])
"""


@pytest.mark.parametrize('order', ['Sound, Broken', 'Broken, Sound'])
def test_a_defect_of_any_node_ends_the_process(start, order):
    process = start(TWO_NODES.format(order))
    _, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert 'ZeroDivisionError' in log


PIPELINE = 'from microexpr_ros.ros.nodes.pipeline import main; main()'


@pytest.mark.parametrize('autostart', ['true', 'false'])
def test_the_pipeline_hosts_the_nodes_that_it_names(start, world, autostart):
    given = ('-p', 'pipeline:nodes:=[overlay]', '-p', f'pipeline:autostart:={autostart}')
    process = start(PIPELINE, '--ros-args', *given)
    world.until(lambda: 'overlay' in world.tester.get_node_names() or process.poll(), seconds=120)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log


def test_the_pipeline_says_what_is_wrong_with_the_nodes_that_it_hosts(start, world):
    statuses = world.collect(DiagnosticArray, '/diagnostics', 100)
    start(PIPELINE, '--ros-args', '-p', 'pipeline:nodes:=[synchronizer]')

    def found():
        every = [array.status[0] for array in statuses]
        return [
            one for one in every if one.name == '/pipeline' and one.level != DiagnosticStatus.OK
        ]

    world.until(found, seconds=120)
    assert found()[0].level == DiagnosticStatus.WARN
    assert found()[0].message.startswith('synchronizer: waiting for event packets')


@pytest.mark.parametrize('autostart', ['true', 'false'])
def test_a_pipeline_without_such_a_node_says_which_there_are(start, autostart):
    given = ('-p', 'nodes:=[overlay, camera]', '-p', f'autostart:={autostart}')
    process = start(PIPELINE, '--ros-args', *given)
    out, log = process.communicate(timeout=120)
    assert process.returncode == 2
    assert 'nodes: camera cannot be hosted; choose from event_camera, ' in out + log


DEFECT = """
    from microexpr_ros.ros import MicroexprNode, NodeParameters, run_node

    class DefectiveNode(MicroexprNode[NodeParameters]):
        name = 'defective'
        Parameters = NodeParameters

        def activate(self):
            self.every(0.01, lambda: 1 / 0)

    run_node(DefectiveNode)
"""


def test_a_defect_is_an_exit_code_and_a_traceback(start):
    process = start(DEFECT)
    out, log = process.communicate(timeout=120)
    assert process.returncode == 1
    assert 'ZeroDivisionError' in out + log


def test_a_node_that_cannot_start_is_one_line_and_an_exit_code(start):
    process = start('from microexpr_ros.ros.nodes.player import main; main()')
    out, log = process.communicate(timeout=120)
    assert process.returncode == 2
    assert 'parameter bag is empty; set it to a rosbag2 to play' in out + log
    assert 'Traceback' not in out + log


SPEAKER = """
    import time
    import rclpy
    from std_msgs.msg import String
    from microexpr_ros.ros import environment
    environment.prepare()
    rclpy.init()
    node = rclpy.create_node('speaker')
    publisher = node.create_publisher(String, 'text', 10)
    print('started', flush=True)
    while True:
        publisher.publish(String())
        time.sleep(0.01)
"""


def test_a_process_that_was_killed_and_started_again_is_soon_found(start, world, hindrance):
    heard = world.collect(String, 'text', 10)
    for _ in range(4):
        process = start(SPEAKER)
        process.stdout.readline()
        started_s = time.monotonic()
        world.until(lambda: heard, seconds=120)
        assert time.monotonic() - started_s < 1 + hindrance.seconds(started_s)
        world.run(0.5)
        process.kill()
        process.wait()
        world.run(0.1)
        heard.clear()
