from dataclasses import replace

import numpy as np
import pytest
import yaml
from two_cameras import FACE_M, STEREO, see_points

from microexpr_ros.alignment.camera_geometry import (
    PlaneGeometry,
    read_geometry,
    write_geometry,
)
from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.head_pose import Calibration
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region

TILTED = np.array([[2.0, 0.1, 5.0], [-0.1, 1.9, 7.0], [1e-5, -2e-5, 1.0]])


def test_cameras_of_one_view_differ_in_resolution_alone():
    geometry = PlaneGeometry.same_view((260, 346), (520, 1038))
    corners = np.array([[0.0, 0.0], [346.0, 260.0]])
    np.testing.assert_allclose(geometry.to_frame(corners), [[0, 0], [1038, 520]])
    np.testing.assert_allclose(geometry.to_sensor(geometry.to_frame(corners)), corners)


def test_points_go_to_the_frame_and_back():
    geometry = PlaneGeometry(TILTED)
    # By hand: (2 * 100 + 0.1 * 50 + 5) / (0.001 - 0.001 + 1), and rows likewise.
    np.testing.assert_allclose(geometry.to_frame(np.array([[100.0, 50.0]])), [[210.0, 92.0]])
    points = np.random.default_rng(0).uniform(0, 600, (2, 5, 2))
    np.testing.assert_allclose(geometry.to_sensor(geometry.to_frame(points)), points, atol=1e-6)
    assert geometry.to_frame(np.zeros((0, 2))).shape == (0, 2)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / 'cameras.yaml'
    write_geometry(path, PlaneGeometry(TILTED, (480, 640), (720, 1280)), {'residual_px': 0.5})
    geometry = read_geometry(path)
    np.testing.assert_allclose(geometry.homography, TILTED, rtol=1e-8)
    assert (geometry.sensor, geometry.frame) == ((480, 640), (720, 1280))
    assert yaml.safe_load(path.read_text())['measured'] == {'residual_px': 0.5}
    geometry.check_sensor(480, 640)
    with pytest.raises(MicroexprError, match='for frames of 1280 x 720, not of 640 x 480'):
        geometry.check_frame(480, 640)


FISHEYE = replace(
    STEREO,
    event_camera=Calibration(
        STEREO.event_camera.matrix, np.array([0.02, -0.01, 0.003, 0.0]), is_fisheye=True
    ),
)


@pytest.mark.parametrize('geometry', [STEREO, FISHEYE], ids=['plumb_bob', 'equidistant'])
@pytest.mark.parametrize('distance_m', [0.35, 0.6, 1.5])
def test_a_face_is_mapped_at_the_distance_that_its_size_shows(geometry, distance_m):
    # At 0.35 m the cameras see it 90 px of the sensor apart from where they see the horizon.
    for turn in (np.zeros(3), np.array([0.1, 0.5, -0.2])):
        position = np.array([0.02, -0.03, 1]) * distance_m
        on_sensor, in_frame = see_points(FACE_M, turn, position, geometry)
        eyes_px = 0.063 / distance_m * 560
        away = np.linalg.norm(geometry.face_to_sensor(in_frame) - on_sensor, axis=1)
        assert away.max() < 0.005 * eyes_px


@pytest.mark.parametrize('distance_m', [0.35, 0.6, 1.5])
def test_a_region_is_shown_where_the_frame_has_its_face(distance_m):
    on_sensor, in_frame = see_points(FACE_M, np.zeros(3), np.array([0.02, -0.03, 1]) * distance_m)
    matrix = STEREO.homography_at(align(on_sensor))
    mapped = np.column_stack([on_sensor, np.ones(5)]) @ matrix.T
    away = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - in_frame, axis=1)
    eyes_px = 0.063 / distance_m * 1010
    # Nose and mouth are nearer than the plane, by at most 19 mm, and make the face look larger.
    assert away[:2].max() < 0.035 * eyes_px
    assert away.max() < 0.08 * eyes_px


def test_what_is_no_face_is_mapped_to_somewhere():
    # A region as large as this would be nearer than any face; landmarks on a line are none.
    for region in (Region(0, 0, 640, 480), Region(-4000, -4000, 9000, 9000)):
        assert np.isfinite(STEREO.homography_at(region)).all()
    line = np.array([[100.0, 100], [200, 100], [150, 100], [120, 100], [180, 100]])
    assert np.isfinite(STEREO.face_to_sensor(line)).all()


@pytest.mark.parametrize('geometry', [STEREO, FISHEYE], ids=['plumb_bob', 'equidistant'])
def test_a_stereo_geometry_is_read_back(tmp_path, geometry):
    path = tmp_path / 'cameras.yaml'
    write_geometry(path, geometry, {'baseline_m': 0.061})
    found = read_geometry(path)
    _, in_frame = see_points(FACE_M, np.zeros(3), np.array([0.1, 0, 0.7]))
    np.testing.assert_allclose(
        found.face_to_sensor(in_frame), geometry.face_to_sensor(in_frame), atol=1e-4
    )
    assert (found.sensor, found.frame) == ((480, 640), (720, 1280))
    with pytest.raises(MicroexprError, match='for event sensor of 640 x 480, not of 346 x 260'):
        found.check_sensor(260, 346)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'rotation': [2.0, 0, 0, 0, 2, 0, 0, 0, 2]}, 'rotation is none'),
        ({'rotation': [1.0, 0, 0]}, 'cannot reshape'),
        ({'translation_m': [0.0, float('inf'), 0]}, 'translation_m has numbers'),
        ({'event_camera': {'width': 640, 'height': 480}}, 'distortion_model'),
        ({'event_camera': None}, 'NoneType'),
    ],
)
def test_a_stereo_geometry_that_is_damaged_is_refused_with_its_name(tmp_path, change, reason):
    path = tmp_path / 'cameras.yaml'
    write_geometry(path, STEREO, {})
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(MicroexprError, match=f'{path}.*{reason}'):
        read_geometry(path)


@pytest.mark.parametrize('numbers', [[1.0], [0.0] * 9, [np.nan] * 9])
def test_what_is_no_homography_is_refused(numbers):
    with pytest.raises(MicroexprError, match='homography'):
        PlaneGeometry.from_numbers(numbers)


@pytest.mark.parametrize(
    'content',
    ['', 'homography: [', 'homography: 3', '{homography: [1], event_camera: 1, rgb_camera: 2}'],
)
def test_what_is_no_geometry_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / 'cameras.yaml'
    path.write_text(content)
    with pytest.raises(MicroexprError, match=str(path)):
        read_geometry(path)


def test_a_missing_file_names_what_makes_it(tmp_path):
    with pytest.raises(MicroexprError, match='microexpr calibrate cameras BAG'):
        read_geometry(tmp_path / 'cameras.yaml')
