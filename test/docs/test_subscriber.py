"""The subscriber of the README, as it stands there."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import read_line

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

import rclpy
from microexpr_ros.msg import ActionUnit, ActionUnitArray

from microexpr_ros.ros import environment

environment.keep_on_loopback()
environment.prepare()

README = Path(__file__).resolve().parents[2] / 'README.md'


def test_it_prints_the_active_units():
    blocks = re.findall(r'```python\n(.*?)```', README.read_text(), re.DOTALL)
    [code] = [block for block in blocks if 'import rclpy' in block]
    number = os.getpid() % 100 + 1
    context = rclpy.Context()
    context.init(domain_id=number)
    node = rclpy.create_node('sender', context=context)
    publisher = node.create_publisher(ActionUnitArray, 'au_predictions', 10)
    smile = ActionUnit(name='lip corner puller', active=True, confidence=0.75)
    process = subprocess.Popen(
        [sys.executable, '-u', '-c', code],
        env=os.environ | {'ROS_DOMAIN_ID': str(number)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not publisher.get_subscription_count():
            assert process.poll() is None, 'the subscriber ended'
            assert time.monotonic() < deadline, 'nobody subscribed'
            time.sleep(0.05)
        with ThreadPoolExecutor() as executor:
            line = executor.submit(read_line, process, process.stdout)
            # Again and again: the subscriber may see the publisher later than it is seen.
            while not line.done():
                for state in (ActionUnitArray.NO_FACE, ActionUnitArray.OK):
                    publisher.publish(
                        ActionUnitArray(state=state, units=[smile, ActionUnit(name='blink')])
                    )
                time.sleep(0.1)
        assert line.result() == "{'lip corner puller': 0.75}\n"
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
        context.try_shutdown()
