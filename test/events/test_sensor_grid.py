import numpy as np
import pytest

from microexpr_ros.events.events import Events
from microexpr_ros.events.grid import accumulate
from microexpr_ros.events.region import Region
from microexpr_ros.events.sensor_grid import SensorMap, sensor_grid

SIZES = [(260, 346), (720, 1280), (135, 180), (48, 64), (346, 260)]


@pytest.mark.parametrize('size', SIZES)
def test_events_are_counted_where_the_map_puts_them(size):
    height, width = size
    sensor = SensorMap(height, width)
    rows, columns = sensor_grid(height, width)
    for left, top in ((0, 0), (width // 3, height // 2), (width - 20, height - 20)):
        ys, xs = np.mgrid[top : top + 20, left : left + 20].reshape(2, -1)
        counts = np.zeros((2, rows, columns), np.uint8)
        events = Events(
            np.zeros(400, np.int64),
            xs.astype(np.uint16),
            ys.astype(np.uint16),
            np.ones(400, np.uint8),
        )
        assert accumulate(events, Region(0, 0, width, height), counts) == 400
        at = np.indices((rows, columns)) + 0.5
        row, column = (counts[1] * at).sum(axis=(1, 2)) / 400
        expected = sensor.to_cells(np.stack([xs, ys], axis=1) + 0.5).mean(axis=0)
        np.testing.assert_allclose([column, row], expected, atol=0.06)


@pytest.mark.parametrize('size', SIZES)
def test_points_are_mapped_there_and_back_also_beside_the_sensor(size):
    height, width = size
    sensor = SensorMap(height, width)
    points = np.random.default_rng(0).uniform(-40, [width + 40, height + 40], (6, 5, 2))
    cells = sensor.to_cells(points)
    assert cells.shape == points.shape
    np.testing.assert_allclose(sensor.to_pixels(cells), points, atol=1e-9)


def test_whole_pixels_per_cell_need_no_correction():
    points = np.array([[0.0, 0.0], [320.0, 100.0], [1280.0, 720.0]])
    np.testing.assert_allclose(SensorMap(720, 1280).to_cells(points), points / 8)


def test_pixels_of_a_davis346_lie_a_fifth_of_a_cell_before_their_share():
    points = np.random.default_rng(0).uniform(0, [346, 260], (2000, 2))
    away = SensorMap(260, 346).to_cells(points) - points * 160 / 346
    assert away.mean(axis=0) == pytest.approx([-0.23, -0.31], abs=0.02)
