"""Where the head is in front of a calibrated camera, from the landmarks of one face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.landmarks import DEPTHS, EYE_DISTANCE, PLACES

INTERPUPILLARY_M: Final = 0.063
"""From eye to eye: the mean of adults (Dodgson, Variation and extrema of human interpupillary
distance, SPIE 5291, 2004). Distances are wrong by as much as a person's differs: 5 % is usual."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """How a camera projects, as OpenCV has it.

    Attributes:
        matrix: float64 [3, 3], focal lengths and centre, px.
        distortion: float64 [N], coefficients.
        is_fisheye: whether they are those of the equidistant model.
    """

    matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]
    is_fisheye: bool = False

    def undistort(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the directions of pixels, float64 [N, 2], as of a camera of focal length 1."""
        undistort = cv2.fisheye.undistortPoints if self.is_fisheye else cv2.undistortPoints
        directions = undistort(points[:, None], self.matrix, self.distortion)
        return np.asarray(directions[:, 0], np.float64)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pixels that show points in front of the camera, float64 [N, 2].

        Args:
            points: float64 [N, 3], in the optical frame of the camera.
        """
        project = cv2.fisheye.projectPoints if self.is_fisheye else cv2.projectPoints
        still = np.zeros(3)
        pixels, _ = project(points[:, None], still, still, self.matrix, self.distortion)
        return np.asarray(pixels, np.float64).reshape(-1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class HeadPose:
    """Position and attitude of a head, in the optical frame of a camera: x right, y down, z ahead.

    Attributes:
        rotation: float64 [3, 3]; its columns are the directions forward out of the face, to the
            subject's left, and up.
        position: float64 [3], the middle between the eyes, m.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]

    def landmarks(self) -> NDArray[np.float64]:
        """Return where the landmarks of the mean face are, float64 [5, 3], m."""
        return np.asarray(MEAN_FACE_M @ self.from_mean_face().T + self.position, np.float64)

    def from_mean_face(self) -> NDArray[np.float64]:
        """Return the rotation from the axes of `MEAN_FACE_M`, float64 [3, 3]."""
        return np.asarray(self.rotation @ _AXES.T, np.float64)


def estimate_pose(landmarks: NDArray[np.floating], calibration: Calibration) -> HeadPose | None:
    """Return the pose of the mean face that shows its landmarks where they are.

    Perspective from five points (Terzakis and Lourakis, A consistently fast and globally optimal
    solution to the perspective-n-point problem, ECCV 2020).

    Args:
        landmarks: float [5, 2], column and row in the order of `landmarks.LANDMARKS`, px, where
            pixel (x, y) reaches from x to x + 1.
        calibration: of the camera, in whose pixels (x, y) is the centre of a pixel.

    Returns:
        The pose; None if no head in front of the camera looks so.
    """
    directions = calibration.undistort(np.asarray(landmarks, np.float64) - 0.5)
    found, vector, position = cv2.solvePnP(
        MEAN_FACE_M, directions, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP
    )
    if not found or not np.isfinite(position).all() or position[2, 0] <= 0:
        return None
    rotation = np.asarray(cv2.Rodrigues(vector)[0], np.float64) @ _AXES
    return HeadPose(rotation, np.asarray(position[:, 0], np.float64))


MEAN_FACE_M: Final = INTERPUPILLARY_M * np.column_stack(
    [(PLACES - PLACES[:2].mean(axis=0)) / EYE_DISTANCE, -DEPTHS]
)
"""Landmarks of the mean face, float64 [5, 3]: to the subject's left, down, into the head, m."""

_AXES: Final = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
"""Forward, left and up, by columns, in the axes of `MEAN_FACE_M`."""
