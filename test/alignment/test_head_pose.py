from __future__ import annotations

import cv2
import numpy as np
import pytest

from microexpr_ros.alignment.head_pose import INTERPUPILLARY_M, Calibration, estimate_pose
from microexpr_ros.landmarks import DEPTHS, EYE_DISTANCE, PLACES

MATRIX = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
STRAIGHT = Calibration(MATRIX, np.zeros(5))
BENT = Calibration(MATRIX, np.array([-0.3, 0.1, 0.001, -0.002, 0.0]))


def seen(rotation, position, distortion=None):
    """Return the landmarks of the mean face, projected independently of the estimate."""
    flat = (PLACES - PLACES[:2].mean(axis=0)) / EYE_DISTANCE
    model = INTERPUPILLARY_M * np.stack([flat[:, 0], flat[:, 1], -DEPTHS], axis=1)
    points, _ = cv2.projectPoints(
        model, rotation, position, MATRIX, np.zeros(5) if distortion is None else distortion
    )
    return points[:, 0] + 0.5


def test_a_face_that_looks_into_the_camera():
    eyes_px = 50.0
    # A flat face at a distance of 0.63 m, its eyes level with the centre of the picture.
    landmarks = seen(np.zeros(3), np.array([0.0, 0, 500 * 0.063 / eyes_px]))
    assert landmarks[1, 0] - landmarks[0, 0] == pytest.approx(eyes_px)
    pose = estimate_pose(landmarks, STRAIGHT)
    np.testing.assert_allclose(pose.position, [0, 0, 0.63], atol=1e-4)
    forward, left, up = pose.rotation.T
    np.testing.assert_allclose(forward, [0, 0, -1], atol=1e-3)
    np.testing.assert_allclose(left, [1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(up, [0, -1, 0], atol=1e-3)


@pytest.mark.parametrize('turn', [-0.5, 0.4])
@pytest.mark.parametrize('calibration', [STRAIGHT, BENT], ids=['straight', 'bent'])
def test_a_head_that_is_turned_and_away_from_the_centre(turn, calibration):
    # A positive turn about the camera's y axis shows the nose on the left.
    rotation, position = np.array([0.1, turn, 0.2]), np.array([0.15, -0.1, 0.8])
    landmarks = seen(rotation, position, calibration.distortion)
    pose = estimate_pose(landmarks, calibration)
    np.testing.assert_allclose(pose.position, position, atol=2e-3)
    np.testing.assert_allclose(pose.rotation[:, 0], -cv2.Rodrigues(rotation)[0][:, 2], atol=2e-2)
    assert np.linalg.det(pose.rotation) == pytest.approx(1)


def test_a_fisheye():
    rotation, position = np.zeros((3, 1)), np.array([[0.2], [0.0], [0.5]])
    flat = (PLACES - PLACES[:2].mean(axis=0)) / EYE_DISTANCE
    model = INTERPUPILLARY_M * np.stack([flat[:, 0], flat[:, 1], -DEPTHS], axis=1)
    coefficients = np.array([0.02, -0.01, 0.0, 0.0])
    points, _ = cv2.fisheye.projectPoints(model[:, None], rotation, position, MATRIX, coefficients)
    pose = estimate_pose(points[:, 0] + 0.5, Calibration(MATRIX, coefficients, is_fisheye=True))
    np.testing.assert_allclose(pose.position, position[:, 0], atol=2e-3)
