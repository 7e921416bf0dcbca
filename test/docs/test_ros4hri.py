"""The subscriber of docs/ros4hri.md, as it stands there."""

import os
import re
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('hri_msgs')

from hri_msgs.msg import FacialActionUnits, IdsList
from subscribers import run_subscriber, send_until_it_prints, wait_for_subscription

from microexpr_ros.ros import environment, qos

environment.keep_on_loopback()
environment.prepare()

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'ros4hri.md'


def test_it_prints_who_smiles():
    [code] = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
    number = (os.getpid() + 50) % 100 + 1
    with run_subscriber(code, number) as (process, node):
        tracked = node.create_publisher(IdsList, '/humans/faces/tracked', qos.LATCHED)
        facs = node.create_publisher(FacialActionUnits, '/humans/faces/face_3/facs', qos.RESULTS)
        smile = FacialActionUnits()
        smile.intensity[12], smile.confidence[12] = 0.25, 0.75
        wait_for_subscription(process, facs, lambda: tracked.publish(IdsList(ids=['face_3'])))
        line = send_until_it_prints(process, facs, (FacialActionUnits(), smile))
        assert line == 'face_3 smiles: 0.25\n'
        tracked.publish(IdsList(ids=[]))
        deadline = time.monotonic() + 60
        while facs.get_subscription_count():
            assert time.monotonic() < deadline, 'the face was not forgotten'
            time.sleep(0.05)
