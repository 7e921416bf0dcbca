from __future__ import annotations

import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import Region, cameras
from microexpr_ros.events.cameras import (
    CameraAbsentError,
    CameraSettings,
    parse_biases,
    parse_roi,
    read_bias_file,
)
from microexpr_ros.events.cameras.settings import require_biases, require_roi


def test_a_region_is_four_numbers():
    assert parse_roi(()) is None
    assert parse_roi((10, 20, 30, 40)) == Region(10, 20, 30, 40)
    for numbers in ((1, 2, 3), (-1, 0, 5, 5), (0, 0, 0, 5)):
        with pytest.raises(MicroexprError, match=r'give \[x, y, width, height\]'):
            parse_roi(numbers)


def test_a_region_stays_on_the_sensor():
    require_roi(Region(600, 400, 40, 80), height=480, width=640)
    with pytest.raises(MicroexprError, match=r'\[601, 400, 40, 80\].*640 x 480'):
        require_roi(Region(601, 400, 40, 80), height=480, width=640)


@pytest.mark.parametrize('text', ['diff_on', 'diff_on=high', '=', 'diff_on=1.5'])
def test_a_bias_is_a_name_and_a_number(text):
    with pytest.raises(MicroexprError, match='give NAME=VALUE'):
        parse_biases([text])


def test_a_bias_file_is_read_as_the_vendor_writes_it(tmp_path):
    path = tmp_path / 'own.bias'
    path.write_text('20   % bias_diff_on\n-35  % bias_diff_off\n\n  7 % fo\n')
    assert read_bias_file(path) == {'diff_on': 20, 'diff_off': -35, 'fo': 7}
    path.write_text('diff_on: 20\n')
    with pytest.raises(MicroexprError, match="'diff_on: 20' is not VALUE % NAME"):
        read_bias_file(path)
    with pytest.raises(MicroexprError, match='cannot be read'):
        read_bias_file(tmp_path / 'nowhere.bias')


def test_a_bias_must_be_one_of_the_cameras_and_in_range():
    bounds = {'on': (0, 17), 'off': (-5, 5)}
    require_biases({'on': 17, 'off': -5}, bounds, 'camera')
    with pytest.raises(MicroexprError, match='camera has no bias diff; it has on, off'):
        require_biases({'diff': 1}, bounds, 'camera')
    with pytest.raises(MicroexprError, match='bias off = -6: camera takes -5 to 5'):
        require_biases({'off': -6}, bounds, 'camera')


def test_an_unknown_trigger_mode_is_refused():
    with pytest.raises(MicroexprError, match=r'loopback.*disabled, external'):
        CameraSettings(trigger_in_mode='loopback')


def test_an_unknown_driver_is_refused():
    with pytest.raises(MicroexprError, match='choose one of neuromorphic, inivation'):
        cameras.open_camera('metavision', CameraSettings())


@pytest.mark.parametrize('driver', cameras.DRIVERS)
def test_a_camera_that_is_not_connected_is_absent(driver):
    pytest.importorskip({'neuromorphic': 'neuromorphic_drivers'}.get(driver, 'dv_processing'))
    with pytest.raises(CameraAbsentError, match='no '):
        cameras.open_camera(driver, CameraSettings(serial='no such number'))
