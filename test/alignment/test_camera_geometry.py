import numpy as np
import pytest
import yaml

from microexpr_ros.alignment.camera_geometry import (
    CameraGeometry,
    read_geometry,
    write_geometry,
)
from microexpr_ros.errors import MicroexprError

TILTED = np.array([[2.0, 0.1, 5.0], [-0.1, 1.9, 7.0], [1e-5, -2e-5, 1.0]])


def test_cameras_of_one_view_differ_in_resolution_alone():
    geometry = CameraGeometry.same_view((260, 346), (520, 1038))
    corners = np.array([[0.0, 0.0], [346.0, 260.0]])
    np.testing.assert_allclose(geometry.to_frame(corners), [[0, 0], [1038, 520]])
    np.testing.assert_allclose(geometry.to_sensor(geometry.to_frame(corners)), corners)


def test_points_go_to_the_frame_and_back():
    geometry = CameraGeometry(TILTED)
    # By hand: (2 * 100 + 0.1 * 50 + 5) / (0.001 - 0.001 + 1), and rows likewise.
    np.testing.assert_allclose(geometry.to_frame(np.array([[100.0, 50.0]])), [[210.0, 92.0]])
    points = np.random.default_rng(0).uniform(0, 600, (2, 5, 2))
    np.testing.assert_allclose(geometry.to_sensor(geometry.to_frame(points)), points, atol=1e-6)
    assert geometry.to_frame(np.zeros((0, 2))).shape == (0, 2)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / 'cameras.yaml'
    write_geometry(path, CameraGeometry(TILTED, (480, 640), (720, 1280)), {'residual_px': 0.5})
    geometry = read_geometry(path)
    np.testing.assert_allclose(geometry.homography, TILTED, rtol=1e-8)
    assert (geometry.sensor, geometry.frame) == ((480, 640), (720, 1280))
    assert yaml.safe_load(path.read_text())['measured'] == {'residual_px': 0.5}
    geometry.check_sensor(480, 640)
    with pytest.raises(MicroexprError, match='for frames of 1280 x 720, not of 640 x 480'):
        geometry.check_frame(480, 640)


@pytest.mark.parametrize('numbers', [[1.0], [0.0] * 9, [np.nan] * 9])
def test_what_is_no_homography_is_refused(numbers):
    with pytest.raises(MicroexprError, match='homography'):
        CameraGeometry.from_numbers(numbers)


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
