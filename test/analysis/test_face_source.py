"""Faces of recordings that are found in their frames, without and with MediaPipe."""

from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from counting_network import counting_classifier
from event_streams import random_events
from fake_clips import needs_face
from made_face import render_face

from microexpr_ros.alignment.camera_geometry import PlaneGeometry
from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.synchronizer import SynchronizerOptions
from microexpr_ros.analysis import analyze_recording
from microexpr_ros.bags import BagWriter
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.files import open_recording
from microexpr_ros.events.packets import packetize
from microexpr_ros.events.region import AlignedRegion
from microexpr_ros.landmarks import PLACES
from microexpr_ros.perception.faces import landmarker, sources
from microexpr_ros.perception.faces.frame_tracker import DirectObserver
from microexpr_ros.perception.faces.landmarker import MeshedFace
from microexpr_ros.perception.faces.rest_face import GROUPS
from microexpr_ros.topics import EVENTS_TOPIC, FRAMES_TOPIC

MS = 1_000_000
EPOCH = 10**18


def write_bag(path, pixels, frames=6):
    """Write 0.5 s of noise of a VGA sensor, and the same frame again and again."""
    events = random_events(np.random.default_rng(0), 4000, 500 * MS, 480, 640)
    with BagWriter(path) as writer:
        for packet in packetize([(events, Triggers.empty())], 480, 640, epoch_ns=EPOCH):
            writer.write_packet(EVENTS_TOPIC, packet)
        for number in range(frames):
            writer.write_image(FRAMES_TOPIC, pixels, EPOCH + (5 + 70 * number) * MS, 'rgb')
    return path


def make_points(region):
    """Return the points of MediaPipe's mesh, all at the landmarks of a region."""
    points = np.zeros((landmarker.POINTS, 3))
    points[:, :2] = region.to_pixels(np.random.default_rng(0).uniform(0.2, 0.8, (478, 2)))
    for group, place in zip(GROUPS, region.to_pixels(PLACES), strict=True):
        points[list(group), :2] = place
    return points


@pytest.fixture
def scripted(monkeypatch):
    """Find in each frame a face with its landmarks at their places in a region."""
    region = AlignedRegion(400.0, 200.0, 180.0)

    @contextmanager
    def open_made():
        yield lambda pixels, time_ms: [MeshedFace(make_points(region), {})]

    monkeypatch.setattr(landmarker, '_find_missing', list)
    monkeypatch.setattr(sources, 'DirectObserver', partial(DirectObserver, open_made))


def analyze(path, **kwargs):
    return analyze_recording(open_recording(path), counting_classifier(), **kwargs)


def test_faces_are_found_in_the_frames_from_the_first_on(tmp_path, scripted):
    path = write_bag(tmp_path / 'bag', np.zeros((480, 640), np.uint8))
    found = analyze(path, face_source='rgb')
    # The face is known after the slice of the first frame, at 5 ms.
    assert found.face[:3].tolist() == [-1, 0, 0]
    assert found.face_source == 'rgb'
    x, y, width, height = found.region[1]
    assert (x + width / 2, y + height / 2) == pytest.approx((400, 200), abs=1)
    assert (width, height) == pytest.approx((180, 180), abs=2)
    again = analyze(path, face_source='rgb')
    np.testing.assert_array_equal(again.sides, found.sides)
    # In the events nobody is found: they are noise.
    in_events = analyze(path)
    assert set(in_events.face.tolist()) == {-1}
    assert in_events.face_source == 'events'


def test_frames_of_another_camera_are_mapped_by_the_geometry(tmp_path, scripted):
    path = write_bag(tmp_path / 'bag', np.zeros((960, 1280), np.uint8))
    geometry = PlaneGeometry(np.array([[2.0, 0, 100], [0, 2.0, 40], [0, 0, 1]]))
    options = SynchronizerOptions(geometry=geometry)
    found = analyze(path, face_source='rgb', options=options)
    x, y, width, height = found.region[1]
    assert (x + width / 2, y + height / 2) == pytest.approx((150, 80), abs=1)


@needs_face
@pytest.mark.skipif(
    not landmarker.is_installed(), reason='MediaPipe is not installed (requirements/peers.txt)'
)
def test_mediapipe_finds_the_face_of_a_recording(tmp_path):
    pixels, truth = render_face()
    found = analyze(write_bag(tmp_path / 'bag', pixels), face_source='auto')
    region, seen = align(truth), found.region[1]
    assert found.face[1] == 0
    assert seen[0] + seen[2] / 2 == pytest.approx(region.x, abs=0.03 * region.side)
    assert seen[1] + seen[3] / 2 == pytest.approx(region.y, abs=0.03 * region.side)
