"""Which pixels of the event camera and of the frame camera show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError

_KEYS: Final = ('homography', 'event_camera', 'rgb_camera')


@dataclass(frozen=True, slots=True, eq=False)
class CameraGeometry:
    """The pixels of both cameras that show one point of a plane, usually that of the face.

    Everywhere, pixel (x, y) reaches from x to x + 1.

    Attributes:
        homography: float64 [3, 3], from event pixels to frame pixels.
        sensor: rows and columns of the event sensor that it holds for; None: not known.
        frame: rows and columns of the frames that it holds for; None: not known.
    """

    homography: NDArray[np.float64]
    sensor: tuple[int, int] | None = None
    frame: tuple[int, int] | None = None

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> CameraGeometry:
        """Return the geometry of a homography, row by row.

        Raises:
            MicroexprError: there are not nine, or they have no inverse.

        Example:
            >>> geometry = CameraGeometry.from_numbers([2, 0, 10, 0, 2, 0, 0, 0, 1])
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
    def same_view(cls, sensor: tuple[int, int], frame: tuple[int, int]) -> CameraGeometry:
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

    def check_sensor(self, rows: int, columns: int) -> None:
        """Raise MicroexprError if it was measured for another event sensor."""
        _check('event sensor', self.sensor, (rows, columns))

    def check_frame(self, rows: int, columns: int) -> None:
        """Raise MicroexprError if it was measured for frames of another size."""
        _check('frames', self.frame, (rows, columns))


def read_geometry(path: Path) -> CameraGeometry:
    """Read what `microexpr calibrate cameras` wrote.

    Raises:
        MicroexprError: the file is missing, or no geometry.
    """
    try:
        content = yaml.safe_load(path.read_text())
        homography, *sizes = (content[key] for key in _KEYS)
        sensor, frame = ((int(size['height']), int(size['width'])) for size in sizes)
        numbers = [float(number) for number in homography]
    except FileNotFoundError:
        raise MicroexprError(
            f'no geometry {path}: measure it with `microexpr calibrate cameras BAG --out FILE`'
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason, *_ = str(error).splitlines() or [type(error).__name__]
        raise MicroexprError(
            f'{path} is no geometry of cameras ({type(error).__name__}: {reason}): it has '
            f'{", ".join(_KEYS)}, as `microexpr calibrate cameras` writes them'
        ) from None
    try:
        geometry = CameraGeometry.from_numbers(numbers)
    except MicroexprError as error:
        raise MicroexprError(f'{path}: {error}') from None
    return CameraGeometry(geometry.homography, sensor, frame)


def write_geometry(path: Path, geometry: CameraGeometry, measured: dict[str, Any]) -> None:
    """Write a geometry for the synchronizer.

    Args:
        path: YAML file.
        geometry: with the sizes that it holds for.
        measured: how well it was measured, for people; not read back.
    """
    assert geometry.sensor is not None
    assert geometry.frame is not None
    sizes = {
        key: {'width': columns, 'height': rows}
        for key, (rows, columns) in zip(_KEYS[1:], (geometry.sensor, geometry.frame), strict=True)
    }
    numbers = [float(f'{number:.9g}') for number in geometry.homography.ravel()]
    content = {'homography': numbers, **sizes, 'measured': measured}
    with atomic_target(path) as target:
        target.write_text(
            '# From event pixels to frame pixels, by rows; parameter `geometry` of the '
            'synchronizer.\n' + yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
        )


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
