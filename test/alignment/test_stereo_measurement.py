import cv2
import numpy as np
import pytest
from two_cameras import BOARD, FACE_M, SMALL, STEREO, film_stereo, see_points, swing_board

from microexpr_ros.alignment.camera_geometry import StereoGeometry
from microexpr_ros.alignment.geometry_measurement import Change, ChangeCollector
from microexpr_ros.alignment.head_pose import Calibration
from microexpr_ros.alignment.stereo_measurement import (
    BoardChange,
    Checkerboard,
    Sight,
    find_corners,
    fit_stereo,
    measure_stereo,
)
from microexpr_ros.errors import MicroexprError

FISHEYE = StereoGeometry(
    Calibration(STEREO.event_camera.matrix, np.array([0.03, -0.01, 0.002, 0.0]), is_fisheye=True),
    STEREO.rgb_camera,
    STEREO.rotation,
    STEREO.translation,
    STEREO.sensor,
    STEREO.frame,
)


def turn_between(one, other):
    """Return the angle between two rotations, in degrees."""
    return np.degrees(np.linalg.norm(cv2.Rodrigues(one @ other.T)[0]))


def without_pose(geometry):
    """Return the calibrations alone, as before the measurement."""
    cameras = geometry.event_camera, geometry.rgb_camera
    return StereoGeometry(*cameras, np.eye(3), np.zeros(3), geometry.sensor, geometry.frame)


def test_corners_and_outline_of_a_board():
    board = Checkerboard(3, 4, 0.02)
    assert board.corners()[:4].tolist() == [[0, 0, 0], [0.02, 0, 0], [0.04, 0, 0], [0, 0.02, 0]]
    assert len(board.corners()) == 12
    np.testing.assert_allclose(
        board.outline()[:, :2], [[-0.02, -0.02], [0.06, -0.02], [0.06, 0.08], [-0.02, 0.08]]
    )


@pytest.mark.parametrize('truth', [STEREO, FISHEYE], ids=['plumb_bob', 'equidistant'])
@pytest.mark.parametrize(
    ('noise_px', 'away_m', 'turn_degrees', 'face_px'),
    [(0.0, 1e-6, 1e-4, 0.01), (0.3, 0.001, 0.1, 0.4)],
)
def test_the_pose_of_two_cameras_is_that_by_which_corners_were_projected(
    truth, noise_px, away_m, turn_degrees, face_px
):
    rng = np.random.default_rng(0)
    sights = []
    for number in range(20):
        seen = see_points(BOARD.corners(), *swing_board(number * 170_000_000), truth)
        sights.append(Sight(*(one + rng.normal(0, noise_px, one.shape) for one in seen)))
    found, residuals = fit_stereo(BOARD, sights, without_pose(truth))
    assert np.linalg.norm(found.translation - truth.translation) < away_m + 1e-6
    assert turn_between(found.rotation, truth.rotation) < turn_degrees
    # Corners of 20 pictures with errors of 0.3 px along both axes; those of the frame add theirs.
    spread = np.sqrt((np.concatenate(residuals) ** 2).sum(axis=1).mean())
    assert spread == pytest.approx(0.3 * np.sqrt(2) if noise_px else 0, abs=0.05)
    for distance_m in (0.4, 1.0):
        on_sensor, in_frame = see_points(FACE_M, np.zeros(3), [0.05, 0, distance_m], truth)
        away = np.linalg.norm(found.face_to_sensor(in_frame) - on_sensor, axis=1)
        assert away.max() < face_px


@pytest.fixture(scope='module')
def changes():
    events, frames = film_stereo()
    collector = ChangeCollector()
    for frame in frames:
        collector.add_frame(frame.t, frame.pixels)
    collector.choose(SMALL.sensor)
    for begin in range(0, len(events), 10_000):
        part = events[begin : begin + 10_000]
        collector.add_events(part.t, part)
    wanted = collector.times_ns()
    corners = {f.t: find_corners(f.pixels, BOARD) for f in frames if f.t in wanted}
    pairs = ((one, *(corners[t_ns] for t_ns in one.times_ns)) for one in collector.changes())
    return [BoardChange.between(*one) for one in pairs if all(at is not None for at in one[1:])]


def measure(changes):
    cameras = SMALL.event_camera, SMALL.rgb_camera
    return measure_stereo(changes, BOARD, cameras, SMALL.sensor, SMALL.frame)


def test_corners_of_a_frame_are_where_they_were_projected():
    _, frames = film_stereo()
    for frame in frames[::10]:
        found = find_corners(frame.pixels, BOARD)
        _, truth = see_points(BOARD.corners(), *swing_board(frame.t), SMALL)
        # Upside down, the board looks the same.
        assert min(np.abs(found - one).max() for one in (truth, truth[::-1])) < 0.3
    assert find_corners(np.zeros(SMALL.frame, np.uint8), BOARD) is None


def test_the_pose_is_found_from_events_and_frames_of_a_moving_board(changes):
    found = measure(changes)
    geometry = found.geometry
    assert np.linalg.norm(geometry.translation - SMALL.translation) < 0.002
    assert turn_between(geometry.rotation, SMALL.rotation) < 0.2
    assert found.geometry.baseline_m == pytest.approx(0.0508, abs=0.002)
    assert found.residual_px < 0.2
    assert found.correlation > 0.9
    assert len(found.points) == len(found.residuals) == 35 * found.moments
    for distance_m in (0.4, 0.6, 1.0):
        on_sensor, in_frame = see_points(FACE_M, np.zeros(3), [0.02, 0, distance_m], SMALL)
        away = np.linalg.norm(geometry.face_to_sensor(in_frame) - on_sensor, axis=1)
        # The eyes are 33, 22 and 13 px apart.
        assert away.max() < 0.5


def test_moments_that_show_something_else_are_left_out(changes):
    # At every third moment the events are those of another one.
    mixed = [
        BoardChange(Change(changes[-1 - at].change.events, one.change.frame), one.corners)
        if at % 3 == 0
        else one
        for at, one in enumerate(changes)
    ]
    found = measure(mixed)
    assert found.moments <= len(changes) * 2 // 3 + 1
    assert np.linalg.norm(found.geometry.translation - SMALL.translation) < 0.004
    assert turn_between(found.geometry.rotation, SMALL.rotation) < 0.4


def test_too_few_moments_and_cameras_that_see_different_things_are_refused(changes):
    with pytest.raises(MicroexprError, match='7x5 inner corners at only 3 moments'):
        measure(changes[:3])
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=one.change.events.shape).astype(np.float32) for one in changes[:10]]
    other = [
        BoardChange(Change(events, one.change.frame), one.corners)
        for events, one in zip(noise, changes, strict=False)
    ]
    with pytest.raises(MicroexprError, match='alike at only'):
        measure(other)


def test_a_board_that_is_numbered_from_its_other_end_is_the_same():
    change = Change(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32))
    corners = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    moved = BoardChange.between(change, corners, (corners + 2)[::-1])
    np.testing.assert_allclose(moved.corners, corners + 1)
