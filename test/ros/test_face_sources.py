"""Where the synchronizer knows faces from."""

import os
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import pytest
from event_streams import random_events

pytest.importorskip('microexpr_ros.msg')

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from sensor_msgs.msg import Image

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import Region
from microexpr_ros.perception import weights
from microexpr_ros.perception.faces import EventFaceTracker, landmarker
from microexpr_ros.perception.faces.frame_tracker import (
    FrameFaces,
    FrameFaceTracker,
    FrameObserver,
)
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import packet_to_message, pixels_to_image
from microexpr_ros.ros.diagnostics import WARN
from microexpr_ros.ros.face_sources import load_face_source
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode


def test_faces_are_found_in_the_events_by_the_shipped_networks():
    source = load_face_source('events', None)
    tracker = source.make_tracker(480, 640)
    assert isinstance(tracker, EventFaceTracker)
    assert tracker.model in source.description
    assert tracker.shape == (120, 160)


@pytest.mark.parametrize(('installed', 'name'), [(True, 'rgb'), (False, 'events')])
def test_auto_takes_frames_where_mediapipe_is_installed(monkeypatch, installed, name):
    monkeypatch.setattr(landmarker, '_find_missing', lambda: [] if installed else ['mediapipe'])
    source = load_face_source('auto', None)
    assert source.name == name
    assert ('MediaPipe' in source.description) == installed
    tracker = source.make_tracker(480, 640)
    assert isinstance(tracker, FrameFaceTracker) == installed
    assert tracker.shape == (120, 160)
    source.close()


def test_frames_need_mediapipe_which_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mediapipe', None)
    with pytest.raises(MicroexprError, match=r'mediapipe.*requirements/peers\.txt'):
        load_face_source('rgb', None)


def test_a_region_that_is_given_comes_before_any_source():
    for name in ('events', 'fixed'):
        source = load_face_source(name, Region(10, 20, 64, 48))
        assert (source.name, source.make_tracker) == ('fixed', None)
        assert '64 x 48 at (10, 20)' in source.description


def test_a_fixed_region_must_be_given():
    with pytest.raises(MicroexprError, match='region is empty'):
        load_face_source('fixed', None)


def test_weights_that_are_missing_are_named_by_their_path(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, '_SHIPPED', tmp_path)
    with pytest.raises(MicroexprError, match=str(tmp_path / 'face.safetensors')):
        load_face_source('events', None)


@pytest.mark.parametrize(
    ('parameters', 'line'),
    [
        ({'face_source': 'events'}, 'faces: found in the events by '),
        ({'region': [10, 20, 64, 48]}, 'faces: in the fixed region 64 x 48 at (10, 20)'),
    ],
)
def test_the_synchronizer_logs_once_which_source_it_uses(world, log, parameters, line):
    world.add(SynchronizerNode, **parameters).start()
    world.until(lambda: line in log)
    world.run(0.2)
    assert log.count('faces: ') == 1


class Cameras:
    """Publish packets and frames of one clock, to a synchronizer that has been started."""

    def __init__(self, world):
        self._world = world
        self._feed = world.feed_packets()
        self._frames = world.tester.create_publisher(Image, topics.RGB_IMAGE, qos.FRAMES)
        world.until(lambda: self._frames.get_subscription_count() > 0)
        events = random_events(np.random.default_rng(0), 100_000, 100 * 10**9, 48, 64)
        stream = [(events, Triggers.empty())]
        self._packets = packetize(stream, 48, 64, epoch_ns=time.time_ns(), packet_ns=10**7)

    def send(self):
        packet = next(self._packets)
        self._feed([packet_to_message(packet)])
        pixels = np.zeros((48, 64, 3), np.uint8)
        self._frames.publish(pixels_to_image(pixels, packet.stamp_ns, 'rgb_camera'))
        self._world.run(0.01)


def test_frames_in_which_no_face_can_be_found_are_a_problem(world, monkeypatch):
    monkeypatch.setattr(landmarker, '_find_missing', list)
    monkeypatch.setitem(sys.modules, 'mediapipe', None)
    node = world.add(SynchronizerNode, face_source='rgb')
    node.start()
    cameras = Cameras(world)
    line = 'faces are not looked for in the frames: MediaPipe needs packages'
    world.until(lambda: cameras.send() or line in node.diagnose().message)
    assert node.diagnose().level == WARN
    assert not node.failed


def test_a_defect_while_faces_are_looked_for_ends_the_process(world, monkeypatch):
    def look(*_):
        raise ZeroDivisionError('a defect')

    monkeypatch.setattr(landmarker, '_find_missing', list)
    monkeypatch.setattr(FrameFaces, 'find', look)
    monkeypatch.setattr(FrameObserver.__init__, '__defaults__', (lambda: nullcontext(look), None))
    node = world.add(SynchronizerNode, face_source='rgb')
    node.start()
    cameras = Cameras(world)
    with suppress(_rclpy.RCLError, InvalidHandle, ExternalShutdownException):
        while world.context.ok():
            cameras.send()
    assert node.failed
    assert node.error == 'synchronizer: a defect'


def test_the_synchronizer_finds_faces_without_torch():
    script = """
import sys
sys.modules.update(torch=None)
import numpy as np
from microexpr_ros.ros.face_sources import load_face_source
from microexpr_ros.ros.nodes.synchronizer import SynchronizerNode
tracker = load_face_source('events', None).make_tracker(480, 640)
for _ in range(100):
    tracker.update(np.full((2, *tracker.shape), 1, np.uint8), 0.01)
"""
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, '-c', script], env=environment, check=True)
