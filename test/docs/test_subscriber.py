"""The subscriber of the README, as it stands there."""

import os
import re
from pathlib import Path

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros.msg import ActionUnit, ActionUnitArray
from subscribers import run_subscriber, send_until_it_prints, wait_for_subscription

from microexpr_ros.ros import environment

environment.keep_on_loopback()
environment.prepare()

README = Path(__file__).resolve().parents[2] / 'README.md'


def test_it_prints_the_active_units():
    blocks = re.findall(r'```python\n(.*?)```', README.read_text(), re.DOTALL)
    [code] = [block for block in blocks if 'import rclpy' in block]
    number = os.getpid() % 100 + 1
    with run_subscriber(code, number) as (process, node):
        publisher = node.create_publisher(ActionUnitArray, 'au_predictions', 10)
        smile = ActionUnit(name='lip corner puller', active=True, confidence=0.75)
        wait_for_subscription(process, publisher)
        messages = [
            ActionUnitArray(state=state, units=[smile, ActionUnit(name='blink')])
            for state in (ActionUnitArray.NO_FACE, ActionUnitArray.OK)
        ]
        line = send_until_it_prints(process, publisher, messages)
        assert line == "{'lip corner puller': 0.75}\n"
