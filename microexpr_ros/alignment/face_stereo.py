"""The relative pose of two calibrated cameras, from one face that moves in front of both.

Both cameras show the five landmarks of one head. Its attitude and distance follow from how the
mean face would look so; the geometry is the one with which one head explains both pictures, at
all moments. Landmarks are wrong by some per cent of the distance between the eyes, so many moments
are needed, and the head must come nearer and go away: only then a camera that is turned differs
from one that is elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from microexpr_ros.alignment.camera_geometry import StereoGeometry
from microexpr_ros.alignment.geometry_measurement import root_mean_square
from microexpr_ros.alignment.head_pose import (
    INTERPUPILLARY_M,
    MEAN_FACE_M,
    Calibration,
    HeadPose,
    estimate_pose,
)
from microexpr_ros.errors import MicroexprError

FEWEST_SIGHTS: Final = 40
"""Fewest moments, of the same face in both cameras, that a geometry is measured from."""

LEAST_DEPTH: Final = 1.25
"""The farthest distance of the face over its nearest, without the extreme 5 %, must be so much."""

LARGEST_DOUBT: Final = 0.05
"""One sigma with which faces are mapped, in distances between the eyes, above which a geometry is
refused."""

EYES_M: Final = (0.048, 0.08)
"""Eyes of people are so far apart; a baseline by which they would not be is wrong."""

REACH_M: Final = (0.4, 1.0)
"""Distances of faces for which the doubt is given."""

FRAME_SIGMA: Final = 0.015
"""One sigma of a landmark in a frame, in distances between the eyes."""

SENSOR_SIGMA: Final = 0.05
"""The same on the event sensor."""

_ROUGH: Final = 0.03
"""Landmarks that differ by more from the pose that most agree with, as of a camera of focal length
1, are left out at first."""
_STEPS: Final = 30
_LONGEST_STEP: Final = 0.1
"""A step turns and moves nothing by more, rad and m: heads that fit nothing would fly away."""
_OUTLIER: Final = 3.0
"""Moments that are worse than so many times the median count little, and are not reported."""
_EXACT: Final = 0.01
"""Moments with smaller errors, in sigmas, are never worse than others: that is rounding."""
_PARTS: Final = 8
"""Parts of the recording, of which each is left out once to see what depends on it."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceSight:
    """The landmarks of a face as both cameras show them at one moment.

    Attributes:
        on_sensor: float64 [5, 2], px of the event sensor.
        in_frame: float64 [5, 2], px of the frame.
    """

    on_sensor: NDArray[np.float64]
    in_frame: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFaceStereo:
    """A geometry, and how well it fits.

    Attributes:
        geometry: of the cameras.
        eyes_m: distance between the eyes of the face that was seen.
        points: float64 [N, 2], where the events show the landmarks, px of the sensor.
        residuals: float64 [N, 2], from there to where those of the frame should be seen.
        residual: root mean square of them, in distances between the eyes.
        moments: that agree with the geometry.
        left_out: moments that do not.
        distances_m: nearest and farthest distance of the face, without the extreme 5 %.
        doubt: one sigma with which faces at `REACH_M` are mapped, in distances between the eyes,
            as far as parts of the recording differ.
    """

    geometry: StereoGeometry
    eyes_m: float
    points: NDArray[np.float64]
    residuals: NDArray[np.float64]
    residual: float
    moments: int
    left_out: int
    distances_m: tuple[float, float]
    doubt: float

    @property
    def residual_px(self) -> float:
        """Root mean square of the residuals, px of the event sensor."""
        return root_mean_square(self.residuals)


def measure_face_stereo(
    sights: Sequence[FaceSight],
    calibrations: tuple[Calibration, Calibration],
    sensor: tuple[int, int],
    frame: tuple[int, int],
    *,
    eyes_m: float = INTERPUPILLARY_M,
    baseline_m: float | None = None,
) -> MeasuredFaceStereo:
    """Return the relative pose of two calibrated cameras.

    Pictures alone do not give a scale: a head and a set-up of half the size look the same. It
    comes from the distance between the eyes, or else from that between the cameras.

    Args:
        sights: of one face, in order of time.
        calibrations: of the event camera and of the RGB camera, which stay as they are.
        sensor: rows and columns of the event sensor.
        frame: rows and columns of the frames.
        eyes_m: distance between the eyes of the face; not used with a baseline.
        baseline_m: distance between the cameras.

    Raises:
        MicroexprError: the face is seen too rarely, stays at one distance, or is not seen alike by
            both cameras; or the baseline contradicts it.
    """
    start = StereoGeometry(*calibrations, np.eye(3), np.zeros(3), sensor, frame)
    poses = [estimate_pose(sight.in_frame, calibrations[1]) for sight in sights]
    seen = [(sight, pose) for sight, pose in zip(sights, poses, strict=True) if pose is not None]
    if len(seen) < FEWEST_SIGHTS:
        raise MicroexprError(
            f'both cameras show one face at only {len(seen)} moments, {FEWEST_SIGHTS} are needed: '
            'record one person, for half a minute, who moves and looks at the cameras'
        )
    scene = _Scene.of([sight for sight, _ in seen], start)
    heads = _Heads.of([pose for _, pose in seen])
    near_m, far_m = np.quantile(heads.positions[:, 2], [0.05, 0.95]).tolist()
    if far_m < LEAST_DEPTH * near_m:
        raise MicroexprError(
            f'the face stays at {near_m:.2f} to {far_m:.2f} m, which does not tell a camera that '
            'is turned from one that is elsewhere: come near and go away while you record, as '
            'from 0.4 to 0.8 m'
        )
    everything = np.ones(len(seen), np.bool_)
    found = _fit(scene, heads, _fit_roughly(scene, heads), everything)
    kept = found.misfits <= _limit(found.misfits)
    doubt = _find_doubt(scene, found)
    if not doubt <= LARGEST_DOUBT:
        raise MicroexprError(
            f'parts of the recording differ by {doubt:.0%} of the distance between the eyes, '
            f'{LARGEST_DOUBT:.0%} are accepted: record for longer, all over the picture, near and '
            'far, with the light steady; calibrations must be right'
        )
    geometry, scale = found.pose.place(start), eyes_m / INTERPUPILLARY_M
    if baseline_m is not None:
        scale = baseline_m / float(np.linalg.norm(found.pose.translation))
        eyes_m = scale * INTERPUPILLARY_M
        if not EYES_M[0] < eyes_m < EYES_M[1]:
            raise MicroexprError(
                f'with the cameras {1000 * baseline_m:.0f} mm apart, the eyes would be '
                f'{1000 * eyes_m:.0f} mm apart: correct --baseline, which is from lens to lens'
            )
    points = np.concatenate([sight.on_sensor for sight, _ in seen]).reshape(-1, 5, 2)[kept]
    residuals = scene.see(found)[kept] - points
    eyes_px = np.linalg.norm(points[:, 0] - points[:, 1], axis=1)
    shares = residuals / eyes_px[:, None, None]
    return MeasuredFaceStereo(
        replace(geometry, translation=scale * geometry.translation),
        eyes_m,
        points.reshape(-1, 2),
        residuals.reshape(-1, 2),
        root_mean_square(shares.reshape(-1, 2)),
        int(kept.sum()),
        int((~kept).sum()),
        (scale * near_m, scale * far_m),
        doubt,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pose:
    """The relative pose of both cameras, as of StereoGeometry."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def place(self, geometry: StereoGeometry) -> StereoGeometry:
        """Return a geometry with this pose."""
        return replace(geometry, rotation=self.rotation, translation=self.translation)


@dataclass(frozen=True, slots=True, eq=False)
class _Heads:
    """Where heads with the mean face are before the RGB camera.

    Attributes:
        rotations: float64 [N, 3, 3], from the axes of the mean face.
        positions: float64 [N, 3], m.
    """

    rotations: NDArray[np.float64]
    positions: NDArray[np.float64]

    @classmethod
    def of(cls, poses: Sequence[HeadPose]) -> _Heads:
        return cls(
            np.stack([pose.from_mean_face() for pose in poses]),
            np.stack([pose.position for pose in poses]),
        )

    def arms(self) -> NDArray[np.float64]:
        """Return the landmarks from the middle between the eyes, float64 [N, 5, 3], m."""
        return np.asarray(MEAN_FACE_M @ self.rotations.transpose(0, 2, 1), np.float64)

    def move(self, steps: NDArray[np.float64]) -> _Heads:
        """Return heads that are turned and moved, by float64 [N, 6]."""
        turns = np.stack([cv2.Rodrigues(step)[0] for step in steps[:, :3]])
        return _Heads(turns @ self.rotations, self.positions + steps[:, 3:])


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """What explains both pictures.

    Attributes:
        pose: of the cameras.
        heads: at each moment.
        misfits: float64 [N], root mean square of the errors of each moment, in their sigmas.
    """

    pose: _Pose
    heads: _Heads
    misfits: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What both cameras see, as cameras of focal length 1 without distortion.

    Attributes:
        observed: float64 [N, 2, 5, 2], landmarks on the event sensor, and in the frame.
        sigmas: float64 [N, 2], of their errors.
        camera: the event camera.
    """

    observed: NDArray[np.float64]
    sigmas: NDArray[np.float64]
    camera: Calibration

    @classmethod
    def of(cls, sights: Sequence[FaceSight], geometry: StereoGeometry) -> _Scene:
        cameras = geometry.event_camera, geometry.rgb_camera
        pixels = np.stack([[sight.on_sensor, sight.in_frame] for sight in sights])
        observed = np.stack(
            [
                camera.undistort(pixels[:, number].reshape(-1, 2) - 0.5).reshape(-1, 5, 2)
                for number, camera in enumerate(cameras)
            ],
            axis=1,
        )
        eyes = np.linalg.norm(observed[:, :, 0] - observed[:, :, 1], axis=-1)
        # A head that is turned shows its eyes close together; its landmarks are not better known.
        sizes = np.maximum(eyes, np.median(eyes, axis=0))
        return cls(observed, sizes * [SENSOR_SIGMA, FRAME_SIGMA], geometry.event_camera)

    def see(self, fit: _Fit) -> NDArray[np.float64]:
        """Return where the sensor should show the landmarks, float64 [N, 5, 2], px."""
        places = fit.heads.arms() + fit.heads.positions[:, None]
        points = (places - fit.pose.translation) @ fit.pose.rotation
        return self.camera.project(points.reshape(-1, 3)).reshape(-1, 5, 2) + 0.5

    def errors(self, pose: _Pose, heads: _Heads) -> NDArray[np.float64]:
        """Return the errors of all landmarks, in sigmas, float64 [N, 20]."""
        places = heads.arms() + heads.positions[:, None]
        points = np.stack([(places - pose.translation) @ pose.rotation, places], axis=1)
        errors = points[..., :2] / points[..., 2:] - self.observed
        return np.asarray((errors / self.sigmas[..., None, None]).reshape(len(errors), -1))

    def slopes(
        self, pose: _Pose, heads: _Heads
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how errors change with the cameras' pose, and with a head's.

        Returns:
            float64 [N, 20, 6] of each: by turns about x, y, z, and by movements.
        """
        arms = heads.arms()
        places = arms + heads.positions[:, None]
        back = pose.rotation.T
        still = np.broadcast_to(np.eye(3), (*arms.shape, 3))
        by_head = np.concatenate([-_cross(arms), still], axis=-1)
        apart = places - pose.translation
        by_cameras = np.concatenate(
            [back @ _cross(apart), np.broadcast_to(-back, still.shape)], -1
        )
        on_sensor = _perspective(apart @ pose.rotation) / self.sigmas[:, 0, None, None, None]
        in_frame = _perspective(places) / self.sigmas[:, 1, None, None, None]
        of_cameras = np.stack([on_sensor @ by_cameras, np.zeros_like(in_frame @ by_head)], axis=1)
        of_head = np.stack([on_sensor @ (back @ by_head), in_frame @ by_head], axis=1)
        rows = len(arms), -1, 6
        return of_cameras.reshape(rows), of_head.reshape(rows)


def _cross(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrices that take the cross product with vectors, float64 [..., 3, 3]."""
    return np.asarray(np.cross(vectors[..., None, :], np.eye(3)).swapaxes(-1, -2), np.float64)


def _perspective(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how pictures of points change as they move, float64 [..., 2, 3]."""
    x, y, z = np.moveaxis(points, -1, 0)
    nothing = np.zeros_like(z)
    rows = [[1 / z, nothing, -x / z**2], [nothing, 1 / z, -y / z**2]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _fit_roughly(scene: _Scene, heads: _Heads) -> _Pose:
    """Return the pose that most landmarks agree with, of heads that the RGB camera alone places.

    Raises:
        MicroexprError: they are too few.
    """
    places = (heads.arms() + heads.positions[:, None]).reshape(-1, 3)
    directions = scene.observed[:, 0].reshape(-1, 2)
    found, turn, position, inliers = cv2.solvePnPRansac(
        places, directions, np.eye(3), None, iterationsCount=500, reprojectionError=_ROUGH
    )
    agree = len(inliers) if found else 0
    if agree < max(len(places) / 2, 5 * FEWEST_SIGHTS / 2):
        raise MicroexprError(
            f'both cameras show a face alike in only {agree} of {len(places)} landmarks: record '
            'one person alone, with the light steady; calibrations and frame offset must be right'
        )
    rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64).T
    return _Pose(rotation, -rotation @ position.ravel())


def _fit(scene: _Scene, heads: _Heads, pose: _Pose, used: NDArray[np.bool_]) -> _Fit:
    """Return what fits the moments that are used best; those that fit badly count little.

    Gauss and Newton's steps, with the heads eliminated (Schur complement); weights of Geman and
    McClure, one for all landmarks of a moment, as these go wrong together.
    """
    misfits = np.zeros(0)
    for _ in range(_STEPS):
        errors = scene.errors(pose, heads)
        misfits = np.sqrt((errors**2).mean(axis=1))
        weights = np.where(used, 1 / (1 + (misfits / _limit(misfits[used])) ** 2) ** 2, 0)
        by_cameras, by_head = scene.slopes(pose, heads)
        transposed = by_head.transpose(0, 2, 1)
        own = np.linalg.inv(transposed @ by_head + 1e-9 * np.eye(6))
        shared = transposed @ by_cameras
        rest = transposed @ errors[..., None]
        weighted = (weights[:, None, None] * by_cameras).transpose(0, 2, 1)
        passed = weighted @ by_head @ own
        normal = (weighted @ by_cameras - passed @ shared).sum(axis=0)
        gradient = (weighted @ errors[..., None] - passed @ rest).sum(axis=0)
        step = _shorten(-np.linalg.lstsq(normal, gradient, rcond=None)[0][:, 0])
        heads = heads.move(_shorten(-(own @ (rest + shared @ step[:, None]))[..., 0]))
        turn = np.asarray(cv2.Rodrigues(step[:3])[0], np.float64)
        pose = _Pose(turn @ pose.rotation, pose.translation + step[3:])
        if float(np.abs(step).max()) < 1e-7:
            break
    return _Fit(pose, heads, misfits)


def _limit(misfits: NDArray[np.float64]) -> float:
    """Return the misfit above which a moment does not agree with the others."""
    return max(_OUTLIER * float(np.median(misfits)), _EXACT)


def _shorten(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return steps, float64 [..., 6], those that are too long shortened."""
    longest = np.abs(steps).max(axis=-1, keepdims=True)
    return np.asarray(steps * np.minimum(1, _LONGEST_STEP / np.maximum(longest, 1e-12)))


def _find_doubt(scene: _Scene, found: _Fit) -> float:
    """Return one sigma of where faces are mapped to, in distances between the eyes.

    The jackknife over parts of the recording: errors of moments that follow each other are alike.
    """
    moments = len(found.misfits)
    part_of = np.arange(moments) * _PARTS // moments
    seen = np.stack(
        [
            _see_mean_faces(_fit(scene, found.heads, found.pose, part_of != part).pose)
            for part in range(_PARTS)
        ]
    )
    variance = (_PARTS - 1) * np.square(seen - seen.mean(axis=0)).mean(axis=0).sum(axis=-1)
    return math.sqrt(float(variance.mean(axis=-1).max()))


def _see_mean_faces(pose: _Pose) -> NDArray[np.float64]:
    """Return where the event camera sees the mean face at the ends of `REACH_M`.

    Returns:
        float64 [2, 5, 2], in distances between its eyes.
    """
    seen = []
    for distance_m in REACH_M:
        places = MEAN_FACE_M + np.array([0.0, 0.0, distance_m])
        points = (places - pose.translation) @ pose.rotation
        seen.append(points[:, :2] / points[:, 2:] * (distance_m / INTERPUPILLARY_M))
    return np.stack(seen)
