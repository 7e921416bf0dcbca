"""Calibrations of cameras, in the YAML files of camera_calibration, and their messages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import yaml  # type: ignore[import-untyped]
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import topics
from microexpr_ros.ros.conversions import to_time
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.parameters import parameter

MATRICES: Final = {
    'camera_matrix': ('k', 3, 3),
    'rectification_matrix': ('r', 3, 3),
    'projection_matrix': ('p', 3, 4),
}
"""Field of the message, rows and columns, by name in the file."""

COEFFICIENTS: Final = {
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
}
"""How many coefficients a model of distortion may have; those of OpenCV."""


def camera_info_url_parameter() -> Any:
    """Return the parameter `camera_info_url` of a camera node."""
    return parameter(
        '', 'calibration, file:///PATH or package://PACKAGE/PATH; empty: no camera_info'
    )


def read_camera_info(url: str) -> CameraInfo:
    """Return the calibration that a URL names, with an empty header.

    Raises:
        MicroexprError: the URL is neither file:// nor package://, or the file is not a
            calibration.
    """
    path = _find(url)
    try:
        return parse_camera_info(path.read_text('utf-8'))
    except OSError as error:
        raise MicroexprError(f'calibration {path} cannot be read: {error.strerror}') from None
    except UnicodeDecodeError:
        raise MicroexprError(f'calibration {path} is not a text; give a YAML file') from None
    except MicroexprError as error:
        raise MicroexprError(f'calibration {path}: {error}') from None


def _find(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.scheme == 'file' and parts.netloc in ('', 'localhost'):
        return Path(path)
    if parts.scheme == 'package' and parts.netloc:
        try:
            return Path(get_package_share_directory(parts.netloc)) / path.lstrip('/')
        except (PackageNotFoundError, ValueError):
            raise MicroexprError(
                f'camera_info_url {url}: there is no package {parts.netloc}; install it, or give '
                'file:///PATH'
            ) from None
    raise MicroexprError(
        f'camera_info_url {url!r} is not a URL of a file; give file:///PATH or '
        'package://PACKAGE/PATH'
    )


def parse_camera_info(text: str) -> CameraInfo:
    """Return the calibration in a YAML text, as camera_calibration writes it.

    Raises:
        MicroexprError: it is not YAML, or something is missing or has no meaning.
    """
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise MicroexprError(f'not YAML: {" ".join(str(error).split())}') from None
    if not isinstance(given, dict):
        raise MicroexprError('not a calibration; write one with camera_calibration')
    message = CameraInfo(
        width=_read_size(given, 'image_width'), height=_read_size(given, 'image_height')
    )
    for name, (field, rows, columns) in MATRICES.items():
        setattr(message, field, _read_numbers(given, name, rows * columns))
    for name, field in (('camera_matrix', message.k), ('projection_matrix', message.p)):
        if field[0] <= 0:
            raise MicroexprError(f'{name} has focal length {field[0]:g}; calibrate again')
    message.distortion_model = _read_model(given)
    message.d = _read_numbers(given, 'distortion_coefficients')
    allowed = COEFFICIENTS[message.distortion_model]
    if len(message.d) not in allowed:
        raise MicroexprError(
            f'distortion_coefficients has {len(message.d)} numbers; {message.distortion_model} '
            f'has {" or ".join(map(str, allowed))}'
        )
    return message


def _read_size(given: Mapping[str, object], name: str) -> int:
    value = given.get(name)
    # bool is an int to Python.
    if type(value) is not int or not 0 < value < 1 << 16:
        raise MicroexprError(f'{name} = {value!r}; give the pixels of the calibrated images')
    return value


def _read_model(given: Mapping[str, object]) -> str:
    # Files from before there was another model do not name it.
    model = given.get('distortion_model', 'plumb_bob')
    if not isinstance(model, str) or model not in COEFFICIENTS:
        raise MicroexprError(f'distortion_model = {model!r}; known are {", ".join(COEFFICIENTS)}')
    return model


def _read_numbers(given: Mapping[str, object], name: str, count: int | None = None) -> list[float]:
    matrix = given.get(name)
    data = matrix.get('data') if isinstance(matrix, dict) else None
    if not isinstance(data, list):
        raise MicroexprError(f'{name} has no data; calibrate again')
    try:
        # PyYAML takes 1e-05 for a text.
        numbers = [float(number) for number in data]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise MicroexprError(f'{name} has data that are not numbers; calibrate again')
    if count is not None and len(numbers) != count:
        raise MicroexprError(f'{name} has {len(numbers)} numbers; it needs {count}')
    return numbers


class CameraInfoPublisher:
    """Publish a camera's calibration beside what it sees; nothing if there is none.

    Args:
        node: advertises the topic; is being configured.
        url: as of `read_camera_info`; empty: there is no calibration.
        profile: quality of service.

    Raises:
        MicroexprError: the calibration cannot be read.

    Attributes:
        problem: why the calibration is not published, for people; empty if it is, or if there is
            none.
    """

    def __init__(self, node: MicroexprNode[Any], url: str, profile: QoSProfile) -> None:
        self._node = node
        self.problem = ''
        self._info = read_camera_info(url) if url else None
        if self._info is not None:
            self._publisher = node.advertise(CameraInfo, topics.CAMERA_INFO, profile)

    def publish(self, stamp_ns: int, frame_id: str, size: tuple[int, int]) -> None:
        """Publish the calibration to those who subscribe, if it is one of images of this size.

        Args:
            stamp_ns: stamp of the image or packet.
            frame_id: its coordinate frame.
            size: its rows and columns.
        """
        info = self._info
        if info is None:
            return
        self.problem = ''
        if size != (info.height, info.width):
            self.problem = (
                f'camera_info is not published: the calibration is of {info.width} x '
                f'{info.height}, the camera has {size[1]} x {size[0]}; calibrate at that size'
            )
            self._node.get_logger().warning(self.problem, throttle_duration_sec=30.0)
        elif self._publisher.get_subscription_count():
            info.header.stamp = to_time(stamp_ns)
            info.header.frame_id = frame_id
            self._publisher.publish(info)
