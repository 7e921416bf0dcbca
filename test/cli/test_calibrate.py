"""`microexpr calibrate` on bags whose offset and geometry are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from command_line import invoke
from event_streams import random_events
from fake_clips import needs_face
from filmed_faces import FOCAL_PX, TRANSLATION_M, film_face
from filmed_faces import FRAME as FILMED_FRAME
from filmed_faces import SENSOR as FILMED_SENSOR
from moving_faces import EPOCH_NS, make_face, write_face
from scripted_faces import ScriptedObserver, ScriptedTracker
from two_cameras import (
    FACE_M,
    FRAME,
    HOMOGRAPHY,
    SENSOR,
    SMALL,
    film_board,
    film_stereo,
    see_points,
)

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo

from microexpr_ros.alignment.camera_geometry import read_geometry
from microexpr_ros.alignment.faces import Face
from microexpr_ros.alignment.head_pose import Calibration
from microexpr_ros.bags import BagWriter
from microexpr_ros.cli import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize
from microexpr_ros.perception.faces import face_sights, landmarker

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


def to_info(calibration, size):
    """Return the camera_info of a calibrated camera."""
    return CameraInfo(
        height=size[0],
        width=size[1],
        distortion_model='plumb_bob',
        d=calibration.distortion.tolist(),
        k=calibration.matrix.ravel().tolist(),
    )


@pytest.fixture(scope='module')
def stereo(tmp_path_factory):
    path = tmp_path_factory.mktemp('stereo') / 'bag'
    events, frames = film_stereo()
    infos = {
        '/event_camera/camera_info': to_info(SMALL.event_camera, SMALL.sensor),
        '/rgb_camera/camera_info': to_info(SMALL.rgb_camera, SMALL.frame),
    }
    with BagWriter(path) as writer:
        for topic, info in infos.items():
            cdr = serialize_message(info)
            writer.write_serialized(topic, 'sensor_msgs/msg/CameraInfo', cdr, EPOCH_NS)
        for packet in packetize([(events, Triggers.empty())], *SMALL.sensor, epoch_ns=EPOCH_NS):
            writer.write_packet('/event_camera/events', packet)
        for frame in frames:
            stamp_ns = EPOCH_NS + frame.t + 25 * MS
            writer.write_image('/rgb_camera/image_raw', frame.pixels, stamp_ns, 'rgb')
    return path


def measure_stereo(bag, out, *options):
    board = ['--board', '7x5', '--square', '30', '--frame-offset', '0.025']
    return invoke(app, 'calibrate', 'cameras', bag, '--out', out, *board, *options).stdout


def test_a_board_gives_the_pose_of_two_calibrated_cameras(stereo, tmp_path):
    out, picture = tmp_path / 'cameras.yaml', tmp_path / 'cameras.png'
    text = measure_stereo(stereo, out, '--picture', picture)
    assert 'stereo: cameras 5' in text
    assert f'-p geometry:={out}' in text
    assert picture.stat().st_size > 1000
    written = yaml.safe_load(out.read_text())
    assert written['measured']['kind'] == 'stereo'
    assert written['measured']['baseline_mm'] == pytest.approx(50.8, abs=2)
    assert written['measured']['residual_px'] < 0.2
    assert written['event_camera']['distortion_coefficients'] == [-0.2, 0.05, 0.001, -0.0005, 0]
    geometry = read_geometry(out)
    assert (geometry.sensor, geometry.frame) == (SMALL.sensor, SMALL.frame)
    for distance_m in (0.4, 1.0):
        on_sensor, in_frame = see_points(FACE_M, np.zeros(3), [0.02, 0, distance_m], SMALL)
        np.testing.assert_allclose(geometry.face_to_sensor(in_frame), on_sensor, atol=0.5)


def test_calibrations_come_from_files_where_the_bag_has_none(board, stereo, tmp_path):
    with pytest.raises(MicroexprError, match='no calibration on /event_camera/camera_info'):
        measure_stereo(board, tmp_path / 'cameras.yaml')
    for name, (camera, size) in {
        'events': (SMALL.event_camera, SMALL.sensor),
        'frames': (SMALL.rgb_camera, SMALL.frame),
    }.items():
        numbers = camera.matrix.ravel().tolist()
        content = {
            'image_width': size[1],
            'image_height': size[0],
            'camera_matrix': {'data': numbers},
            'distortion_coefficients': {'data': camera.distortion.tolist()},
            'rectification_matrix': {'data': np.eye(3).ravel().tolist()},
            'projection_matrix': {'data': [*numbers[:3], 0.0, *numbers[3:6], 0.0, 0, 0, 1, 0]},
        }
        (tmp_path / f'{name}.yaml').write_text(yaml.safe_dump(content))
    files = [
        '--event-camera-info',
        tmp_path / 'events.yaml',
        '--rgb-camera-info',
        tmp_path / 'frames.yaml',
    ]
    # The board of the other bag is seen by a sensor of another size.
    with pytest.raises(MicroexprError, match='of 240 x 180, the camera has 160 x 120'):
        measure_stereo(board, tmp_path / 'cameras.yaml', *files)
    found = json.loads(measure_stereo(stereo, tmp_path / 'cameras.yaml', *files, '--json'))
    assert found['baseline_mm'] == pytest.approx(50.8, abs=2)
    with pytest.raises(
        MicroexprError, match='a checkerboard or a face alone: give --board or --face'
    ):
        invoke(app, 'calibrate', 'cameras', stereo, '--out', tmp_path / 'other.yaml', *files)


@pytest.mark.parametrize(
    ('options', 'reason'),
    [
        (['--board', '7x5'], "'7x5' and --square None: give the inner corners"),
        (['--square', '30'], 'None and --square 30.0'),
        (['--board', '7 by 5', '--square', '30'], '7 by 5'),
        (['--board', '7x2', '--square', '30'], 'too few corners'),
    ],
)
def test_a_board_that_is_not_whole_is_refused(tmp_path, options, reason):
    with pytest.raises(MicroexprError, match=reason):
        invoke(app, 'calibrate', 'cameras', tmp_path, '--out', tmp_path / 'cameras.yaml', *options)


@pytest.fixture
def trackers(monkeypatch):
    """Find the face that `come_and_go` moves, in the frames and in the events of `face_stereo`."""

    def find(number):
        on_sensor, _ = see_face((number + 1) * 10 * MS)
        return [Face(0, on_sensor.astype(np.float32), 0.03)]

    monkeypatch.setattr(landmarker, '_find_missing', list)

    def observe():
        return ScriptedObserver(lambda t_ns: [see_face(t_ns - EPOCH_NS)[1]])

    monkeypatch.setattr(face_sights, 'DirectObserver', observe)
    monkeypatch.setattr(face_sights, 'EventFaceTracker', lambda *_: ScriptedTracker(find))


def see_face(t_ns):
    """Return the landmarks of a face that nods, turns, comes near and goes away, px."""
    t = t_ns / 1e9
    turn = [0.2 * np.sin(1.1 * t), 0.3 * np.sin(0.8 * t), 0.1 * np.sin(1.7 * t)]
    place = [0.03 * np.sin(1.3 * t), 0.02 * np.sin(1.9 * t), 0.6 + 0.2 * np.sin(0.9 * t)]
    return see_points(FACE_M, turn, place, SMALL)


@pytest.fixture(scope='module')
def face_stereo(tmp_path_factory):
    """Write a bag whose pixels do not matter: trackers are scripted."""
    path = tmp_path_factory.mktemp('face_stereo') / 'bag'
    events = random_events(np.random.default_rng(0), 8000, 8_000 * MS, *SMALL.sensor)
    events = replace(events, t=events.t - events.t[0])
    with BagWriter(path) as writer:
        for topic, (camera, size) in {
            '/event_camera/camera_info': (SMALL.event_camera, SMALL.sensor),
            '/rgb_camera/camera_info': (SMALL.rgb_camera, SMALL.frame),
        }.items():
            cdr = serialize_message(to_info(camera, size))
            writer.write_serialized(topic, 'sensor_msgs/msg/CameraInfo', cdr, EPOCH_NS)
        for packet in packetize([(events, Triggers.empty())], *SMALL.sensor, epoch_ns=EPOCH_NS):
            writer.write_packet('/event_camera/events', packet)
        for t_ns in range(0, 8_000 * MS, 66 * MS):
            pixels = np.zeros(SMALL.frame, np.uint8)
            writer.write_image('/rgb_camera/image_raw', pixels, EPOCH_NS + t_ns, 'rgb')
    return path


def measure_by_face(bag, out, *options):
    given = ['--face', '--frame-offset', '0', *options]
    return invoke(app, 'calibrate', 'cameras', bag, '--out', out, *given).stdout


def test_a_face_gives_the_pose_of_two_calibrated_cameras(face_stereo, trackers, tmp_path):
    out, picture = tmp_path / 'cameras.yaml', tmp_path / 'cameras.png'
    text = measure_by_face(face_stereo, out, '--picture', picture)
    assert 'stereo: cameras 50.8 mm apart' in text
    assert 'for eyes 63.0 mm apart' in text
    assert 'faces at 0.4 to 1 m are mapped to within 0.' in text
    assert f'-p geometry:={out}' in text
    assert picture.stat().st_size > 1000
    measured = yaml.safe_load(out.read_text())['measured']
    assert measured['kind'] == 'stereo'
    assert measured['baseline_mm'] == pytest.approx(50.8, abs=0.5)
    assert measured['residual_eye_distances'] < 0.01
    assert measured['doubt_eye_distances'] < 0.005
    assert measured['nearest_m'] < 0.45 < 0.75 < measured['farthest_m']
    geometry = read_geometry(out)
    assert (geometry.sensor, geometry.frame) == (SMALL.sensor, SMALL.frame)
    on_sensor, in_frame = see_face(1_000 * MS)
    np.testing.assert_allclose(geometry.face_to_sensor(in_frame), on_sensor, atol=0.2)


@pytest.mark.parametrize(
    ('options', 'eyes_mm', 'baseline_mm'),
    [(['--eyes', '60'], 60, 48.4), (['--baseline', '55'], 68.2, 55)],
)
def test_the_scale_of_a_face_is_given(
    face_stereo, trackers, tmp_path, options, eyes_mm, baseline_mm
):
    found = json.loads(measure_by_face(face_stereo, tmp_path / 'a.yaml', '--json', *options))
    assert found['eyes_mm'] == pytest.approx(eyes_mm, abs=0.3)
    assert found['baseline_mm'] == pytest.approx(baseline_mm, abs=0.3)


def test_a_face_needs_calibrations_and_mediapipe(board, monkeypatch, tmp_path):
    out = tmp_path / 'cameras.yaml'
    monkeypatch.setattr(landmarker, '_find_missing', lambda: ['mediapipe'])
    with pytest.raises(MicroexprError, match='No module named mediapipe'):
        measure_by_face(board, out)
    monkeypatch.setattr(landmarker, '_find_missing', list)
    with pytest.raises(MicroexprError, match='no calibration on /event_camera/camera_info'):
        measure_by_face(board, out)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--face', '--board', '8x6', '--square', '25'], 'measure the same: leave one out'),
        (['--eyes', '60'], 'add --face'),
        (['--baseline', '60'], 'add --face'),
        (['--face', '--eyes', '60', '--baseline', '60'], 'both give the scale'),
    ],
)
def test_options_of_a_face_that_contradict_each_other_are_refused(
    board, tmp_path, options, message
):
    with pytest.raises(MicroexprError, match=message):
        invoke(app, 'calibrate', 'cameras', board, '--out', tmp_path / 'a.yaml', *options)


@needs_face
@pytest.mark.skipif(
    not landmarker.is_installed(), reason='MediaPipe is not installed (requirements/peers.txt)'
)
def test_trackers_find_a_filmed_face_well_enough(tmp_path):
    events, frames, (on_sensor, in_frame) = film_face()
    bag, out = tmp_path / 'bag', tmp_path / 'cameras.yaml'
    with BagWriter(bag) as writer:
        for name, (rows, columns), focal_px in (
            ('event', FILMED_SENSOR, FOCAL_PX),
            ('rgb', FILMED_FRAME, 2 * FOCAL_PX),
        ):
            # Of a camera, (0, 0) is the centre of the first pixel.
            middle = np.array([columns, rows]) / 2 - 0.5
            matrix = np.array([[focal_px, 0, middle[0]], [0, focal_px, middle[1]], [0, 0, 1]])
            info = to_info(Calibration(matrix, np.zeros(5)), (rows, columns))
            topic = f'/{name}_camera/camera_info'
            cdr = serialize_message(info)
            writer.write_serialized(topic, 'sensor_msgs/msg/CameraInfo', cdr, EPOCH_NS)
        for packet in packetize([(events, Triggers.empty())], *FILMED_SENSOR, epoch_ns=EPOCH_NS):
            writer.write_packet('/event_camera/events', packet)
        for stamp_ns, pixels in zip(frames.stamp_ns.tolist(), frames.pixels, strict=True):
            writer.write_image('/rgb_camera/image_raw', pixels, EPOCH_NS + stamp_ns, 'rgb')
    text = invoke(app, 'calibrate', 'cameras', bag, '--face', '--out', out).stdout
    assert 'for eyes 63.0 mm apart' in text
    geometry = read_geometry(out)
    mapped = np.stack([geometry.face_to_sensor(one) for one in in_frame])
    eyes = np.linalg.norm(on_sensor[:, 0] - on_sensor[:, 1], axis=1)
    errors = np.linalg.norm(mapped - on_sensor, axis=2).mean(axis=1) / eyes
    assert errors.mean() < 0.03
    # The person's eyes are 60.5 mm apart.
    assert np.linalg.norm(geometry.translation - TRANSLATION_M) < 0.01
    baseline = ['--baseline', '51', '--json']
    found = json.loads(
        invoke(
            app, 'calibrate', 'cameras', bag, '--face', '--out', tmp_path / 'b.yaml', *baseline
        ).stdout
    )
    assert found['eyes_mm'] == pytest.approx(60.5, abs=5)
    assert np.linalg.norm(read_geometry(tmp_path / 'b.yaml').translation - TRANSLATION_M) < 0.005
