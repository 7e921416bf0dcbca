"""The subscriber of docs/ros4hri.md, as it stands there."""

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
pytest.importorskip('hri_msgs')

import rclpy
from hri_msgs.msg import FacialActionUnits, IdsList

from microexpr_ros.ros import environment, qos

environment.keep_on_loopback()
environment.prepare()

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'ros4hri.md'


def test_it_prints_who_smiles():
    [code] = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    number = (os.getpid() + 50) % 100 + 1
    context = rclpy.Context()
    context.init(domain_id=number)
    node = rclpy.create_node('sender', context=context)
    tracked = node.create_publisher(IdsList, '/humans/faces/tracked', qos.LATCHED)
    facs = node.create_publisher(FacialActionUnits, '/humans/faces/face_3/facs', qos.RESULTS)
    smile = FacialActionUnits()
    smile.intensity[12], smile.confidence[12] = 0.25, 0.75
    process = subprocess.Popen(
        [sys.executable, '-u', '-c', code],
        env=os.environ | {'ROS_DOMAIN_ID': str(number)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not facs.get_subscription_count():
            assert process.poll() is None, 'the subscriber ended'
            assert time.monotonic() < deadline, 'nobody subscribed'
            tracked.publish(IdsList(ids=['face_3']))
            time.sleep(0.05)
        with ThreadPoolExecutor() as executor:
            line = executor.submit(read_line, process, process.stdout)
            # Again and again: the subscriber may see the publisher later than it is seen.
            while not line.done():
                for message in (FacialActionUnits(), smile):
                    facs.publish(message)
                time.sleep(0.1)
        assert line.result() == 'face_3 smiles: 0.25\n'
        tracked.publish(IdsList(ids=[]))
        deadline = time.monotonic() + 60
        while facs.get_subscription_count():
            assert time.monotonic() < deadline, 'the face was not forgotten'
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
        node.destroy_node()
        context.try_shutdown()
