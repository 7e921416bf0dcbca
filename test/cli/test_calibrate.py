"""`microexpr calibrate` on bags whose offset and geometry are known."""

import json

import numpy as np
import pytest
from command_line import invoke
from fake_clips import needs_face
from moving_faces import EPOCH_NS, make_face, write_face
from two_cameras import FRAME, HOMOGRAPHY, SENSOR, film_board

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros.alignment.camera_geometry import read_geometry
from microexpr_ros.bags import BagWriter
from microexpr_ros.cli import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize

MS = 1_000_000


@pytest.fixture(scope='module')
def face(tmp_path_factory):
    path = tmp_path_factory.mktemp('face') / 'bag'
    write_face(path, *make_face('bright', 37 * MS))
    return path


@needs_face
def test_the_offset_of_a_bag_is_printed_with_how_to_give_it(face, tmp_path):
    picture = tmp_path / 'offset.png'
    found = json.loads(invoke(app, 'calibrate', 'time', face, '--json').stdout)
    assert found['frame_offset_s'] == pytest.approx(0.037, abs=0.01)
    assert 0 < found['sigma_ms'] < 15
    assert found['correlation'] > 0.8 > found['rival_correlation']
    text = invoke(app, 'calibrate', 'time', face, '--picture', picture).stdout
    assert 'ms ahead of the events' in text
    assert f'-p frame_offset:={found["frame_offset_s"]:.4f}' in text
    assert picture.stat().st_size > 1000


def test_a_bag_without_frames_says_what_it_has(tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        writer.write_image('/left', np.zeros((4, 4), np.uint8), EPOCH_NS, 'left')
        writer.write_image('/right', np.zeros((4, 4), np.uint8), EPOCH_NS, 'right')
    with pytest.raises(MicroexprError, match='it has /left, /right; name it'):
        invoke(app, 'calibrate', 'time', tmp_path / 'bag')
    with pytest.raises(MicroexprError, match='has not images on /up'):
        invoke(app, 'calibrate', 'time', tmp_path / 'bag', '--frames-topic', '/up')


@pytest.fixture(scope='module')
def board(tmp_path_factory):
    path = tmp_path_factory.mktemp('board') / 'bag'
    events, frames = film_board(6.0)
    with BagWriter(path) as writer:
        for packet in packetize([(events, Triggers.empty())], *SENSOR, epoch_ns=EPOCH_NS):
            writer.write_packet('/event_camera/events', packet)
        for frame in frames:
            stamp_ns = EPOCH_NS + frame.t + 25 * MS
            writer.write_image('/rgb_camera/image_raw', frame.pixels, stamp_ns, 'rgb')
    return path


def test_the_geometry_of_a_bag_is_written_for_the_synchronizer(board, tmp_path):
    out, picture = tmp_path / 'cameras.yaml', tmp_path / 'cameras.png'
    text = invoke(
        app,
        'calibrate',
        'cameras',
        board,
        '--out',
        out,
        '--frame-offset',
        '0.025',
        '--picture',
        picture,
    ).stdout
    assert f'-p geometry:={out}' in text
    assert 'homography from event pixels to frame pixels' in text
    assert picture.stat().st_size > 1000
    geometry = read_geometry(out)
    assert (geometry.sensor, geometry.frame) == (SENSOR, FRAME)
    middle = np.array([[80.0, 60.0, 1.0]]) @ HOMOGRAPHY.T
    np.testing.assert_allclose(
        geometry.to_frame(np.array([[80.0, 60.0]])), middle[:, :2] / middle[:, 2:], atol=0.5
    )


@needs_face
def test_a_face_shows_the_geometry_too(face, tmp_path):
    out = tmp_path / 'cameras.yaml'
    invoke(app, 'calibrate', 'cameras', face, '--out', out, '--frame-offset', '0.037')
    # Both cameras see the same.
    places = np.array([[45.0, 35.0], [75.0, 35.0], [60.0, 50.0], [60.0, 65.0]])
    np.testing.assert_allclose(read_geometry(out).to_frame(places), places, atol=0.6)


def test_the_offset_of_the_clocks_is_measured_with_the_geometry(board, tmp_path):
    out = tmp_path / 'cameras.yaml'
    found = json.loads(invoke(app, 'calibrate', 'cameras', board, '--out', out, '--json').stdout)
    assert found['frame_offset_s'] == pytest.approx(0.025, abs=0.015)
    assert found['residual_px'] < 1
    assert found['correlation'] > 0.6
    with pytest.raises(MicroexprError, match='already there'):
        invoke(app, 'calibrate', 'cameras', board, '--out', out, '--frame-offset', '0.025')
