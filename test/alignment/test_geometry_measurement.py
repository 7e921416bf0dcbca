import numpy as np
import pytest
from two_cameras import FRAME, HOMOGRAPHY, SENSOR, film_board

from microexpr_ros.alignment.geometry_measurement import (
    CELLS,
    Change,
    ChangeCollector,
    cells_of,
    measure_geometry,
)
from microexpr_ros.errors import MicroexprError


def make_changes(homography=HOMOGRAPHY):
    events, frames = film_board(homography=homography)
    collector = ChangeCollector()
    for frame in frames:
        collector.add_frame(frame.t, frame.pixels)
    collector.choose(SENSOR)
    for begin in range(0, len(events), 10_000):
        part = events[begin : begin + 10_000]
        collector.add_events(part.t, part)
    return collector.changes()


@pytest.mark.parametrize(
    'homography', [HOMOGRAPHY, np.array([[2.4, 0, -31], [0, 2.4, -20.0], [0, 0, 1]])]
)
def test_the_geometry_of_two_cameras_is_found(homography):
    found = measure_geometry(make_changes(homography), SENSOR, FRAME)
    grid = np.stack(np.meshgrid([30.0, 80, 130], [25.0, 60, 95]), axis=-1)
    truth = grid @ homography[:2, :2].T + homography[:2, 2]
    truth /= (grid @ homography[2, :2] + 1)[..., None]
    off = np.linalg.norm(found.geometry.to_frame(grid) - truth, axis=-1)
    assert off.mean() < 0.5
    assert off.max() < 0.8
    assert found.correlation > 0.8
    assert found.residual_px < 1.0
    assert len(found.points) == len(found.residuals) >= 12


def test_cameras_that_see_different_things_are_refused():
    changes = make_changes()
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=one.frame.shape).astype(np.float32) for one in changes]
    other = [Change(one.events, frame) for one, frame in zip(changes, noise, strict=True)]
    with pytest.raises(MicroexprError, match='do not show the same'):
        measure_geometry(other[:20], SENSOR, FRAME)
    with pytest.raises(MicroexprError, match='only 3 frames'):
        measure_geometry(changes[:3], SENSOR, FRAME)


def test_frames_that_are_missing_or_of_another_size_are_left_out():
    collector = ChangeCollector()
    for t_ms in (0, 40, 40, 20, 1000, 1040):
        collector.add_frame(t_ms * 1_000_000, np.full((12, 16), t_ms // 10, np.uint8))
        collector.add_frame(t_ms * 1_000_000 + 1, np.zeros((6, 8), np.uint8))
    collector.choose((12, 16))
    assert collector.changes() == []
    assert collector.frame == (12, 16)


def test_cells_are_square_and_few():
    assert cells_of(720, 1280) == (180, CELLS)
    assert cells_of(120, 160) == (120, 160)
