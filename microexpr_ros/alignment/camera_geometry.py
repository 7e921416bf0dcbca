"""Which pixels of the event camera and of the frame camera show the same."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.alignment.head_pose import INTERPUPILLARY_M, Calibration, estimate_pose
from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import AlignedRegion, Region
from microexpr_ros.landmarks import EYE_DISTANCE

NEAREST_M: Final = 0.1
"""No face is nearer to a camera; what looks nearer is taken to be here."""

_CAMERAS: Final = ('event_camera', 'rgb_camera')

_COEFFICIENTS: Final = {
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
}

_INNER: Final = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
"""Places in a region by which it is mapped: unlike its corners, they are in the picture."""


class CameraGeometry(ABC):
    """Which pixels of the event camera and of the frame camera show the same part of a face.

    Everywhere, pixel (x, y) reaches from x to x + 1.

    Attributes:
        sensor: rows and columns of the event sensor that it holds for; None: not known.
        frame: rows and columns of the frames that it holds for; None: not known.
    """

    __slots__ = ()

    sensor: tuple[int, int] | None
    frame: tuple[int, int] | None

    @abstractmethod
    def homography_at(self, region: Region | AlignedRegion) -> NDArray[np.float64]:
        """Return the homography from event pixels to frame pixels in a region, float64 [3, 3].

        Args:
            region: of the event sensor; it shows a face, as aligned regions do.
        """

    @abstractmethod
    def face_to_sensor(self, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where the landmarks of a face in the frame are on the event sensor.

        Args:
            landmarks: float [5, 2], column and row in the order of `landmarks.LANDMARKS`, px.
        """

    def check_sensor(self, rows: int, columns: int) -> None:
        """Raise MicroexprError if it was measured for another event sensor."""
        _check('event sensor', self.sensor, (rows, columns))

    def check_frame(self, rows: int, columns: int) -> None:
        """Raise MicroexprError if it was measured for frames of another size."""
        _check('frames', self.frame, (rows, columns))


@dataclass(frozen=True, slots=True, eq=False)
class PlaneGeometry(CameraGeometry):
    """The geometry at one distance: a plane, usually that of the face.

    Attributes:
        homography: float64 [3, 3], from event pixels to frame pixels.
        sensor: as of CameraGeometry.
        frame: as of CameraGeometry.
    """

    homography: NDArray[np.float64]
    sensor: tuple[int, int] | None = None
    frame: tuple[int, int] | None = None

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> PlaneGeometry:
        """Return the geometry of a homography, row by row.

        Raises:
            MicroexprError: there are not nine, or they have no inverse.

        Example:
            >>> geometry = PlaneGeometry.from_numbers([2, 0, 10, 0, 2, 0, 0, 0, 1])
            >>> geometry.to_frame(np.array([[1.0, 2.0]])).tolist()
            [[12.0, 4.0]]
        """
        if len(numbers) != 9:
            raise MicroexprError(
                f'homography has {len(numbers)} numbers; give the 9 of a 3x3 matrix, row by row, '
                'or none'
            )
        matrix = np.array(numbers, np.float64).reshape(3, 3)
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
            raise MicroexprError(
                f'homography {list(numbers)} has no inverse; measure it with '
                '`microexpr calibrate cameras`'
            )
        return cls(matrix)

    @classmethod
    def same_view(cls, sensor: tuple[int, int], frame: tuple[int, int]) -> PlaneGeometry:
        """Return the geometry of cameras that see the same field, as those of one device do.

        Args:
            sensor: rows and columns of the event sensor.
            frame: rows and columns of the frames.
        """
        (rows, columns), (frame_rows, frame_columns) = sensor, frame
        scale = np.diag([frame_columns / columns, frame_rows / rows, 1.0])
        return cls(scale, sensor, frame)

    def to_frame(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the event sensor are in the frame, float64 [..., 2]."""
        return _project(self.homography, points)

    def to_sensor(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where points of the frame are on the event sensor, float64 [..., 2]."""
        inverse = np.asarray(np.linalg.inv(self.homography), np.float64)
        return _project(inverse, points)

    def homography_at(self, region: Region | AlignedRegion) -> NDArray[np.float64]:
        """Return the homography, which is the same in all regions."""
        return self.homography

    def face_to_sensor(self, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where the landmarks of a face in the frame are on the event sensor."""
        return self.to_sensor(landmarks)


@dataclass(frozen=True, slots=True, eq=False)
class StereoGeometry(CameraGeometry):
    """The geometry at any distance, of two calibrated cameras.

    How far away a face is follows from its size, as all faces are taken to be as large as the
    mean of adults.

    Attributes:
        event_camera: calibration of the event camera.
        rgb_camera: calibration of the RGB camera.
        rotation: float64 [3, 3]; it turns a point in the optical frame of the event camera (x
            right, y down, z ahead) into that of the RGB camera ...
        translation: float64 [3], m; ... after which this is added.
        sensor: as of CameraGeometry.
        frame: as of CameraGeometry.
    """

    event_camera: Calibration
    rgb_camera: Calibration
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    sensor: tuple[int, int] | None = None
    frame: tuple[int, int] | None = None

    @property
    def baseline_m(self) -> float:
        """Distance between the cameras."""
        return float(np.linalg.norm(self.translation))

    @property
    def turn_degrees(self) -> float:
        """Angle by which one camera is turned against the other."""
        return math.degrees(float(np.linalg.norm(cv2.Rodrigues(self.rotation)[0])))

    def homography_at(self, region: Region | AlignedRegion) -> NDArray[np.float64]:
        """Return the homography of a plane before the event camera, as far away as the face is.

        That distance follows from the size of the region, which rests while the face does.
        """
        inner = region.to_pixels(_INNER)
        directions = self.event_camera.undistort(inner - 0.5)
        sides = np.linalg.norm(directions - np.roll(directions, 1, axis=0), axis=1)
        side = float(sides.mean()) / float(np.ptp(_INNER[:, 0]))
        distance_m = np.full(4, INTERPUPILLARY_M / (EYE_DISTANCE * side))
        points = _locate(directions, distance_m) @ self.rotation.T + self.translation
        seen = self.rgb_camera.project(_in_front(points)) + 0.5
        matrix = cv2.getPerspectiveTransform(inner.astype(np.float32), seen.astype(np.float32))
        return np.asarray(matrix, np.float64)

    def face_to_sensor(self, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return where the landmarks of a face in the frame are on the event sensor.

        Their distances are those of the mean face that shows its landmarks so.
        """
        directions = self.rgb_camera.undistort(np.asarray(landmarks, np.float64) - 0.5)
        pose = estimate_pose(landmarks, self.rgb_camera)
        if pose is None:
            distances_m = np.full(5, INTERPUPILLARY_M / (EYE_DISTANCE * align(directions).side))
        else:
            distances_m = pose.landmarks()[:, 2]
        points = (_locate(directions, distances_m) - self.translation) @ self.rotation
        return self.event_camera.project(_in_front(points)) + 0.5


def _locate(
    directions: NDArray[np.float64], distances_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points in the optical frame of a camera, float64 [N, 3], m."""
    distances_m = np.maximum(distances_m, NEAREST_M)[:, None]
    return np.concatenate([directions * distances_m, distances_m], axis=1)


def _in_front(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points, those beside or behind a camera moved in front of it."""
    return np.column_stack([points[:, :2], np.maximum(points[:, 2], NEAREST_M / 10)])


def read_geometry(path: Path) -> CameraGeometry:
    """Read what `microexpr calibrate cameras` wrote.

    Raises:
        MicroexprError: the file is missing, or no geometry.
    """
    try:
        content = yaml.safe_load(path.read_text())
        return _read_stereo(content) if 'rotation' in content else _read_plane(content)
    except FileNotFoundError:
        raise MicroexprError(
            f'no geometry {path}: measure it with `microexpr calibrate cameras BAG --out FILE`'
        ) from None
    except MicroexprError as error:
        raise MicroexprError(f'{path}: {error}') from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason, *_ = str(error).splitlines() or [type(error).__name__]
        raise MicroexprError(
            f'{path} is no geometry of cameras ({type(error).__name__}: {reason}): it has '
            f'homography, or rotation and translation_m, and {" and ".join(_CAMERAS)}, as '
            '`microexpr calibrate cameras` writes them'
        ) from None


def _read_plane(content: Mapping[str, Any]) -> PlaneGeometry:
    numbers = [float(number) for number in content['homography']]
    sensor, frame = (_read_size(content[key]) for key in _CAMERAS)
    return replace(PlaneGeometry.from_numbers(numbers), sensor=sensor, frame=frame)


def _read_stereo(content: Mapping[str, Any]) -> StereoGeometry:
    rotation = _read_array(content, 'rotation', 3, 3)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        raise MicroexprError('rotation is none: its rows are not at right angles and 1 long')
    cameras = [content[key] for key in _CAMERAS]
    events, frames = (_read_calibration(camera) for camera in cameras)
    translation = _read_array(content, 'translation_m', 3)
    return StereoGeometry(events, frames, rotation, translation, *map(_read_size, cameras))


def _read_size(camera: Mapping[str, Any]) -> tuple[int, int]:
    return int(camera['height']), int(camera['width'])


def _read_calibration(camera: Mapping[str, Any]) -> Calibration:
    model, coefficients = camera['distortion_model'], camera['distortion_coefficients']
    if len(coefficients) not in _COEFFICIENTS[model]:
        raise MicroexprError(f'{model} with {len(coefficients)} distortion_coefficients')
    matrix = _read_array(camera, 'camera_matrix', 3, 3)
    if min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise MicroexprError('camera_matrix has no focal length')
    distortion = _read_array(camera, 'distortion_coefficients', len(coefficients))
    return Calibration(matrix, distortion, model == 'equidistant')


def _read_array(content: Mapping[str, Any], key: str, *shape: int) -> NDArray[np.float64]:
    numbers = np.array([float(number) for number in content[key]]).reshape(shape)
    if not np.isfinite(numbers).all():
        raise MicroexprError(f'{key} has numbers that are not finite')
    return numbers


def write_geometry(path: Path, geometry: CameraGeometry, measured: dict[str, Any]) -> None:
    """Write a geometry for the synchronizer.

    Args:
        path: YAML file.
        geometry: with the sizes that it holds for.
        measured: how well it was measured, for people; not read back.
    """
    assert geometry.sensor is not None
    assert geometry.frame is not None
    cameras: dict[str, dict[str, Any]] = {
        key: {'width': columns, 'height': rows}
        for key, (rows, columns) in zip(_CAMERAS, (geometry.sensor, geometry.frame), strict=True)
    }
    if isinstance(geometry, StereoGeometry):
        head = 'From the event camera to the RGB camera'
        mapping = {
            'rotation': _to_numbers(geometry.rotation),
            'translation_m': _to_numbers(geometry.translation),
        }
        calibrations = geometry.event_camera, geometry.rgb_camera
        for camera, calibration in zip(cameras.values(), calibrations, strict=True):
            camera.update(_calibration_to_yaml(calibration))
    else:
        assert isinstance(geometry, PlaneGeometry)
        head = 'From event pixels to frame pixels'
        mapping = {'homography': _to_numbers(geometry.homography)}
    content = {**mapping, **cameras, 'measured': measured}
    with atomic_target(path) as target:
        target.write_text(
            f'# {head}, by rows; parameter `geometry` of the synchronizer.\n'
            + yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
        )


def _calibration_to_yaml(calibration: Calibration) -> dict[str, Any]:
    model = 'plumb_bob' if len(calibration.distortion) < 8 else 'rational_polynomial'
    return {
        'camera_matrix': _to_numbers(calibration.matrix),
        'distortion_model': 'equidistant' if calibration.is_fisheye else model,
        'distortion_coefficients': _to_numbers(calibration.distortion),
    }


def _to_numbers(values: NDArray[np.float64]) -> list[float]:
    return [float(f'{value:.9g}') for value in values.ravel()]


def _project(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    flat = np.asarray(points, np.float64).reshape(1, -1, 2)
    if not flat.size:
        return np.zeros(np.shape(points))
    return np.asarray(cv2.perspectiveTransform(flat, matrix), np.float64).reshape(points.shape)


def _check(what: str, wanted: tuple[int, int] | None, given: tuple[int, int]) -> None:
    if wanted is not None and wanted != given:
        raise MicroexprError(
            f'the geometry of the cameras is for {what} of {wanted[1]} x {wanted[0]}, not of '
            f'{given[1]} x {given[0]}: measure it again with `microexpr calibrate cameras`'
        )
