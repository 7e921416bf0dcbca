import cv2
import numpy as np
import pytest
from fake_clips import needs_face
from two_cameras import FACE_M, STEREO, see_points

from microexpr_ros.alignment.camera_geometry import StereoGeometry
from microexpr_ros.alignment.face_stereo import FaceSight, measure_face_stereo
from microexpr_ros.alignment.head_pose import INTERPUPILLARY_M
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.person.channels import CHANNELS
from microexpr_ros.synthesis.person.person import make_person
from microexpr_ros.synthesis.person.rig import place_head
from microexpr_ros.synthesis.world.labels import LANDMARKS, reduce_landmarks
from microexpr_ros.synthesis.world.motion_sampling import sample_story

CALIBRATIONS = STEREO.event_camera, STEREO.rgb_camera
SIZES = STEREO.sensor, STEREO.frame
FACES = {'person 0': 0, 'person 1': 4_200_000, 'person 2': 1_000_003}


def come_and_go(t, reach_m):
    """Return how far away a face is and how far beside, in m, while its person moves about."""
    return np.array(
        [0.05 * np.sin(1.3 * t), 0.04 * np.sin(1.9 * t), 0.6 + reach_m * np.sin(0.7 * t)]
    )


def mean_face(seconds, reach_m=0.2, hz=15):
    """Return the landmarks of the mean face before the event camera, m, at moments."""
    for t in np.arange(0, seconds, 1 / hz):
        turn = np.array([0.2 * np.sin(1.1 * t), 0.3 * np.sin(0.8 * t), 0.1 * np.sin(1.7 * t)])
        yield FACE_M @ cv2.Rodrigues(turn)[0].T + come_and_go(t, reach_m)


def person(number, seconds, hz=15):
    """Return the landmarks of a synthetic person who nods, turns and sways."""
    rig = make_person(number, number).rig
    motion = sample_story(np.random.default_rng(number), round(seconds * 1e9))
    times = np.arange(0, seconds, 1 / hz)
    rest = np.zeros(CHANNELS, np.float32)
    for t, pose in zip(times, motion.pose((times * 1e9).astype(np.int64)), strict=True):
        vertices = place_head(rig.pose(rest), rig, np.zeros(3), pose)[list(LANDMARKS)]
        # From dm, y up and z towards the camera.
        yield reduce_landmarks(vertices) * [0.1, -0.1, -0.1] + come_and_go(t, 0.2)


def film(faces, rng=None, geometry=STEREO):
    """Return what trackers would find of faces; with a generator, with their errors."""
    sights = []
    for points in faces:
        seen = see_points(points, np.zeros(3), np.zeros(3), geometry)
        if rng is not None:
            # Landmarks are wrong alone and together; in one moment of twelve it is no face at all.
            sizes = [np.linalg.norm(one[0] - one[1]) for one in seen]
            shares = rng.normal(0, 0.04, (5, 2)) + rng.normal(0, 0.03, 2)
            if rng.random() < 1 / 12:
                shares += rng.normal(0, 1.0, 2)
            seen = [
                seen[0] + sizes[0] * shares,
                seen[1] + sizes[1] * rng.normal(0, 0.015, (5, 2)),
            ]
        sights.append(FaceSight(*seen))
    return sights


def turn_between(one, other):
    """Return the angle between two rotations, in degrees."""
    return np.degrees(np.linalg.norm(cv2.Rodrigues(one @ other.T)[0]))


def mapping_error(found, faces):
    """Return how far landmarks are mapped from the truth, in distances between the eyes."""
    errors = []
    for points in faces:
        on_sensor, in_frame = see_points(points, np.zeros(3), np.zeros(3))
        eyes = np.linalg.norm(on_sensor[0] - on_sensor[1])
        away = found.face_to_sensor(in_frame) - on_sensor
        errors.append(np.linalg.norm(away, axis=1) / eyes)
    return float(np.mean(errors))


def test_without_errors_the_pose_is_that_by_which_landmarks_were_projected():
    found = measure_face_stereo(film(mean_face(9)), CALIBRATIONS, *SIZES)
    assert np.linalg.norm(found.geometry.translation - STEREO.translation) < 1e-5
    assert turn_between(found.geometry.rotation, STEREO.rotation) < 1e-3
    assert found.eyes_m == INTERPUPILLARY_M
    assert found.residual < 1e-4
    assert found.doubt < 1e-4
    assert (found.moments, found.left_out) == (135, 0)
    assert found.distances_m == pytest.approx((0.4, 0.8), abs=0.02)


@pytest.mark.parametrize('seed', [0, 1])
def test_errors_of_landmarks_hardly_matter_over_half_a_minute(seed):
    sights = film(mean_face(30), np.random.default_rng(seed))
    found = measure_face_stereo(sights, CALIBRATIONS, *SIZES)
    assert np.linalg.norm(found.geometry.translation - STEREO.translation) < 0.003
    assert turn_between(found.geometry.rotation, STEREO.rotation) < 0.3
    # Together 5 % along each axis, and the errors in the frame.
    assert found.residual == pytest.approx(0.07, abs=0.01)
    # Moments that show no face at that place.
    assert len(sights) / 20 < found.left_out < len(sights) / 8
    error = mapping_error(found.geometry, mean_face(9))
    assert error < 0.01
    assert error / 4 < found.doubt < 0.02


@needs_face
@pytest.mark.parametrize('number', FACES.values(), ids=FACES)
def test_a_head_is_not_the_mean_face(number):
    faces = list(person(number, 30))
    sights = film(faces, np.random.default_rng(1))
    found = measure_face_stereo(sights, CALIBRATIONS, *SIZES)
    assert mapping_error(found.geometry, faces[::20]) < 0.02
    # All lengths are as wrong as the distance between the eyes is.
    eyes_m = float(np.linalg.norm(faces[0][0] - faces[0][1]))
    own = measure_face_stereo(sights, CALIBRATIONS, *SIZES, eyes_m=eyes_m)
    assert np.linalg.norm(own.geometry.translation - STEREO.translation) < 0.004
    assert own.eyes_m == eyes_m
    ratio = eyes_m / INTERPUPILLARY_M
    np.testing.assert_allclose(own.geometry.translation, ratio * found.geometry.translation)
    np.testing.assert_allclose(own.distances_m, np.multiply(ratio, found.distances_m))


@needs_face
def test_the_baseline_gives_the_scale_and_the_distance_between_the_eyes():
    faces = list(person(FACES['person 1'], 30))
    sights = film(faces, np.random.default_rng(1))
    baseline_m = float(np.linalg.norm(STEREO.translation))
    found = measure_face_stereo(sights, CALIBRATIONS, *SIZES, baseline_m=baseline_m)
    assert np.linalg.norm(found.geometry.translation) == pytest.approx(baseline_m)
    assert np.linalg.norm(found.geometry.translation - STEREO.translation) < 0.003
    eyes_m = float(np.linalg.norm(faces[0][0] - faces[0][1]))
    assert found.eyes_m == pytest.approx(eyes_m, abs=0.004)
    with pytest.raises(MicroexprError, match='120 mm apart, the eyes would be 1'):
        measure_face_stereo(sights, CALIBRATIONS, *SIZES, baseline_m=0.12)


def test_a_face_that_is_seen_rarely_is_refused():
    sights = film(mean_face(9))[:39]
    with pytest.raises(MicroexprError, match='at only 39 moments, 40 are needed'):
        measure_face_stereo(sights, CALIBRATIONS, *SIZES)


def test_a_face_at_one_distance_is_refused():
    sights = film(mean_face(30, reach_m=0.04), np.random.default_rng(0))
    with pytest.raises(MicroexprError, match=r'stays at 0\.5\d to 0\.6\d m'):
        measure_face_stereo(sights, CALIBRATIONS, *SIZES)


def test_different_faces_in_both_cameras_are_refused():
    one, other = film(mean_face(9)), film(mean_face(9))[::-1]
    sights = [FaceSight(a.on_sensor, b.in_frame) for a, b in zip(one, other, strict=True)]
    with pytest.raises(MicroexprError, match='show a face alike in only'):
        measure_face_stereo(sights, CALIBRATIONS, *SIZES)


def test_a_recording_whose_parts_contradict_each_other_is_refused():
    # The camera is moved in the middle of it.
    moved = StereoGeometry(
        *CALIBRATIONS, STEREO.rotation, np.add(STEREO.translation, (0.03, 0.0, 0.0)), *SIZES
    )
    sights = film(mean_face(9)) + film(mean_face(9), geometry=moved)
    with pytest.raises(MicroexprError, match='parts of the recording differ by'):
        measure_face_stereo(sights, CALIBRATIONS, *SIZES)


@pytest.mark.parametrize('shift_px', [(12, -7), (400, -900), (-3000, 10)])
def test_one_who_fits_badly_does_not_move_the_rest(shift_px):
    sights = film(mean_face(9))
    away = [FaceSight(np.add(one.on_sensor, shift_px), one.in_frame) for one in sights[40:50]]
    found = measure_face_stereo(sights[:40] + away + sights[50:], CALIBRATIONS, *SIZES)
    assert found.left_out == 10
    assert np.linalg.norm(found.geometry.translation - STEREO.translation) < 1e-3
