"""Ground truth as serialized messages that compare directly with what the nodes publish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from microexpr_ros import facs
from microexpr_ros.bags import Message, typestore
from microexpr_ros.bags.serialization import serialize
from microexpr_ros.events.grid import SLICE_NS
from microexpr_ros.synthesis.world.labels import Movement, movements
from microexpr_ros.synthesis.world.motion import Motion
from microexpr_ros.synthesis.world.renderer import PinholeCamera

UNITS_TOPIC: Final = '/ground_truth/action_units'
EXPRESSIONS_TOPIC: Final = '/ground_truth/micro_expressions'

_UNIT: Final = 'microexpr_ros/msg/ActionUnit'
_UNITS: Final = 'microexpr_ros/msg/ActionUnitArray'
_EXPRESSION: Final = 'microexpr_ros/msg/MicroExpression'
_CAMERA_INFO: Final = 'sensor_msgs/msg/CameraInfo'
_FACE: Final = '0'
_OK: Final = 0
_SECOND_NS: Final = 1_000_000_000


def unit_messages(motion: Motion, epoch_ns: int, frame_id: str) -> Iterator[Message]:
    """Yield the units' intensities, on both sides, at the end of each slice.

    Args:
        motion: What moves.
        epoch_ns: ROS time at the begin of the take.
        frame_id: Coordinate frame of the event camera.
    """
    types = typestore().types
    ends = np.arange(SLICE_NS, motion.duration_ns + 1, SLICE_NS, dtype=np.int64)
    for end, sides in zip(ends.tolist(), motion.sides(ends).tolist(), strict=True):
        units = [
            types[_UNIT](
                code=code,
                name=facs.NAMES[code],
                intensity=max(left, right),
                confidence=1.0,
                active=max(left, right) >= facs.PRESENT,
                left=left,
                right=right,
            )
            for code, (left, right) in zip(facs.CODES, sides, strict=True)
        ]
        message = types[_UNITS](
            header=_header(epoch_ns + end, frame_id),
            face_id=_FACE,
            state=_OK,
            units=units,
            latency=types['builtin_interfaces/msg/Duration'](sec=0, nanosec=0),
            model='ground truth',
        )
        yield Message(UNITS_TOPIC, _UNITS, epoch_ns + end, serialize(message, _UNITS))


def expression_messages(motion: Motion, epoch_ns: int, frame_id: str) -> Iterator[Message]:
    """Yield each movement when it is over, or at the end of the take; see `unit_messages`."""
    for movement in movements(motion):
        received_ns = epoch_ns + min(movement.offset_ns, motion.duration_ns)
        message = _expression(movement, epoch_ns, frame_id)
        yield Message(EXPRESSIONS_TOPIC, _EXPRESSION, received_ns, serialize(message, _EXPRESSION))


def camera_info(
    camera: PinholeCamera, topic: str, stamp_ns: int, frame_id: str, time_ns: int
) -> Message:
    """Return the camera_info of a camera without distortion.

    Args:
        camera: The camera.
        topic: Topic of the message.
        stamp_ns: Stamp of the message.
        frame_id: Coordinate frame of the camera.
        time_ns: Time at which it is received.
    """
    types = typestore().types
    matrix = camera_matrix(camera)
    message = types[_CAMERA_INFO](
        header=_header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=matrix.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=types['sensor_msgs/msg/RegionOfInterest'](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )
    return Message(topic, _CAMERA_INFO, time_ns, serialize(message, _CAMERA_INFO))


def camera_matrix(camera: PinholeCamera) -> NDArray[np.float64]:
    """Return the intrinsic matrix as ROS counts, the first pixel's middle at 0."""
    column, row = camera.centre
    focal = camera.focal_px
    return np.array([[focal, 0, column - 0.5], [0, focal, row - 0.5], [0, 0, 1]])


def _expression(movement: Movement, epoch_ns: int, frame_id: str) -> Any:
    apex_ns = epoch_ns + movement.apex_ns
    return typestore().types[_EXPRESSION](
        header=_header(apex_ns, frame_id),
        face_id=_FACE,
        codes=np.array(movement.codes, np.uint8),
        onset=_time(epoch_ns + movement.onset_ns),
        apex=_time(apex_ns),
        offset=_time(epoch_ns + movement.offset_ns),
        peak=movement.peak,
        confidence=1.0,
        micro=movement.micro,
        kind=int(movement.kind),
    )


def _header(stamp_ns: int, frame_id: str) -> Any:
    return typestore().types['std_msgs/msg/Header'](stamp=_time(stamp_ns), frame_id=frame_id)


def _time(time_ns: int) -> Any:
    kind = typestore().types['builtin_interfaces/msg/Time']
    return kind(sec=time_ns // _SECOND_NS, nanosec=time_ns % _SECOND_NS)
