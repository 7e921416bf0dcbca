"""The faces that are followed, on the topics of ROS4HRI (REP-155).

Each node publishes what it knows: the synchronizer where the face is, the classifier which faces
there are and their Action Units, the reconstructor an image.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from hri_msgs.msg import (
    FacialLandmarks,
    IdsList,
    NormalizedPointOfInterest2D,
    NormalizedRegionOfInterest2D,
)
from numpy.typing import NDArray
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from microexpr_ros.alignment.head_pose import Calibration, HeadPose
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.region import Region
from microexpr_ros.ros import qos
from microexpr_ros.ros.camera_info import COEFFICIENTS
from microexpr_ros.ros.conversions import to_time
from microexpr_ros.ros.lifecycle import MicroexprNode

FACES: Final = '/humans/faces'
"""Absolute, as REP-155 has it: the namespace of a node does not matter."""

TRACKED: Final = f'{FACES}/tracked'
FACS: Final = 'facs'
ROI: Final = 'roi'
LANDMARKS: Final = 'landmarks'
CROPPED: Final = 'cropped'
ALIGNED: Final = 'aligned'

LANDMARK_CODES: Final = (
    FacialLandmarks.RIGHT_PUPIL,
    FacialLandmarks.LEFT_PUPIL,
    FacialLandmarks.NOSTRIL_3,
    FacialLandmarks.MOUTH_OUTER_RIGHT,
    FacialLandmarks.MOUTH_OUTER_LEFT,
)
"""Which of the 70 points of FacialLandmarks ours are. The centre of an eye stands for its pupil,
which is there when the person looks straight ahead."""

_CHOICES: Final = (
    (
        (FacialLandmarks.RIGHT_EYE_OUTSIDE, FacialLandmarks.RIGHT_EYE_INSIDE),
        (FacialLandmarks.RIGHT_PUPIL,),
    ),
    (
        (FacialLandmarks.LEFT_EYE_INSIDE, FacialLandmarks.LEFT_EYE_OUTSIDE),
        (FacialLandmarks.LEFT_PUPIL,),
    ),
    (
        (FacialLandmarks.NOSTRIL_3,),
        (FacialLandmarks.NOSE,),
    ),
    (
        (FacialLandmarks.MOUTH_OUTER_RIGHT,),
        (FacialLandmarks.MOUTH_INNER_RIGHT,),
    ),
    (
        (FacialLandmarks.MOUTH_OUTER_LEFT,),
        (FacialLandmarks.MOUTH_INNER_LEFT,),
    ),
)
"""The points whose mean is each of our landmarks, best first. Corners of the eyes come before
pupils, which move with the gaze."""

_NOSE: Final = 2
"""Which of our landmarks the base of the nose is."""

_TIP_TO_BASE: Final = 0.16
"""From the tip of the nose to its base, as a share of the way from the eyes to the mouth: the tip
as ArcFace has it (Deng et al., CVPR 2019, its five points), the base as the mean of ours."""

DETECTOR_SIGMA: Final = 0.05
"""One sigma of the error of another detector's landmarks, in distances between the eyes. It is not
measured, but allows for expressions, which move that detector's corners of the mouth."""

_LEAST_C: Final = 0.05
"""A point with less confidence is not known; detectors that measure none send 0 or 1 for all."""

FOUND: Final = 0.1
"""The confidence of a landmark is the probability that it is at most so far from the truth, in
distances between the eyes."""

POINTS: Final = 70
"""Points of FacialLandmarks."""

DESCRIPTION: Final = 'publish the faces on the topics of ROS4HRI, below /humans/faces'
"""Of the parameter `hri`, which several nodes have."""

REPEAT_NS: Final = 100_000_000
"""The list of faces is sent again after so much sensor time: libhri takes no latched messages."""

CHECK_NS: Final = 1_000_000_000
"""How often to look whether another node publishes the list of faces."""


class FaceTopics:
    """Publish what is known of the faces that are followed.

    The topics of a face exist while it is followed. A topic on which another node publishes is
    left to that node, which is logged once.

    Args:
        node: publishes; is being activated.
        kinds: message type of each topic of a face, by its last name; empty: publish nothing.
        lists_faces: whether to publish the list of faces, too.
    """

    def __init__(
        self, node: MicroexprNode[Any], kinds: Mapping[str, type[Any]], lists_faces: bool = False
    ) -> None:
        self._node = node
        self._kinds = kinds
        # Of each face, by the last names of its topics.
        self._publishers: dict[str, dict[str, Publisher]] = {}
        self._left: set[str] = set()
        self._list = self._advertise(IdsList, TRACKED, qos.LATCHED) if lists_faces else None
        self._list_is_ours, self._checked_ns = True, -CHECK_NS
        self._listed_ns, self._frame_id = 0, ''
        node.on_teardown(self._close)

    def follow(self, faces: Collection[str], stamp_ns: int, frame_id: str) -> None:
        """Take in which faces are followed now.

        Args:
            faces: their ids; the empty one stands for nobody.
            stamp_ns: of the slices that show them.
            frame_id: coordinate frame of the event camera.
        """
        followed = {face for face in faces if face}
        is_new = followed != self._publishers.keys()
        for face in self._publishers.keys() - followed:
            self._withdraw(face)
        for face in sorted(followed - self._publishers.keys()):
            self._announce(face)
        if is_new or (followed and not 0 <= stamp_ns - self._listed_ns < REPEAT_NS):
            self._listed_ns, self._frame_id = stamp_ns, frame_id
            self._publish_list()

    def is_heard(self, face: str, name: str) -> bool:
        """Return whether somebody subscribes to a topic of a face."""
        publisher = self._publishers.get(face, {}).get(name)
        return publisher is not None and bool(publisher.get_subscription_count())

    def publish(self, face: str, name: str, make: Callable[[], object]) -> None:
        """Publish a message on a topic of a face, if somebody subscribes.

        Args:
            face: its id.
            name: last name of the topic.
            make: makes the message.
        """
        if self.is_heard(face, name):
            self._publishers[face][name].publish(make())

    def _announce(self, face: str) -> None:
        publishers = self._publishers[face] = {}
        for name, kind in self._kinds.items():
            topic = f'{FACES}/{face}/{name}'
            if not self._is_left(topic):
                publishers[name] = self._advertise(kind, topic, qos.RESULTS)

    def _withdraw(self, face: str) -> None:
        for publisher in self._publishers.pop(face).values():
            self._node.destroy_publisher(publisher)

    def _publish_list(self) -> None:
        if self._list is None:
            return
        now_ns = time.monotonic_ns()
        if now_ns - self._checked_ns >= CHECK_NS:
            self._checked_ns, self._list_is_ours = now_ns, not self._is_left(TRACKED)
        if self._list_is_ours:
            header = _header(self._listed_ns, self._frame_id)
            self._list.publish(IdsList(header=header, ids=list(self._publishers)))

    def _is_left(self, topic: str) -> bool:
        """Return whether another node publishes on a topic."""
        own = (self._node.get_namespace(), self._node.get_name())
        others = sorted(
            f'{info.node_namespace.rstrip("/")}/{info.node_name}'
            for info in self._node.get_publishers_info_by_topic(topic)
            if (info.node_namespace, info.node_name) != own
        )
        if others and topic not in self._left:
            self._left.add(topic)
            self._node.get_logger().warning(f'{topic} is left to {", ".join(others)}')
        return bool(others)

    def _advertise(self, kind: type[Any], topic: str, profile: Any) -> Publisher:
        # Without event handlers, which the executor would have to wait for.
        events = PublisherEventCallbacks(use_default_callbacks=False)
        return self._node.create_publisher(kind, topic, profile, event_callbacks=events)

    def _close(self) -> None:
        was_followed = bool(self._publishers)
        for face in list(self._publishers):
            self._withdraw(face)
        if was_followed and self._node.context.ok():
            self._publish_list()
        if self._list is not None:
            self._node.destroy_publisher(self._list)


def region_to_roi(
    region: Region, width: int, height: int, stamp_ns: int, frame_id: str
) -> NormalizedRegionOfInterest2D:
    """Return the part of a region that is on the sensor, in shares of the sensor.

    Args:
        region: in sensor pixels.
        width: columns of the sensor.
        height: rows of the sensor.
        stamp_ns: of the slice.
        frame_id: coordinate frame of the event camera.
    """
    left, right = np.clip([region.x, region.x + region.width], 0, width) / width
    top, bottom = np.clip([region.y, region.y + region.height], 0, height) / height
    return NormalizedRegionOfInterest2D(
        header=_header(stamp_ns, frame_id),
        xmin=float(left),
        ymin=float(top),
        xmax=float(right),
        ymax=float(bottom),
        c=1.0,
    )


def landmarks_to_message(
    landmarks: NDArray[np.float32],
    sigma: float,
    width: int,
    height: int,
    stamp_ns: int,
    frame_id: str,
) -> FacialLandmarks:
    """Return landmarks in shares of the sensor; those that are not known have confidence 0.

    So have those beside the sensor, which it has no place for.

    Args:
        landmarks: float32 [5, 2], in the order of `landmarks.LANDMARKS`, px.
        sigma: one sigma of their error, as a share of the distance between the eyes.
        width: columns of the sensor.
        height: rows of the sensor.
        stamp_ns: of the slice.
        frame_id: coordinate frame of the event camera.
    """
    message = FacialLandmarks(header=_header(stamp_ns, frame_id), height=height, width=width)
    # The error has two dimensions: its length is distributed as Rayleigh found.
    confidence = 1 - math.exp(-(FOUND**2) / (2 * max(sigma, 1e-3) ** 2))
    shares = landmarks / np.array([width, height], np.float32)
    for code, (x, y) in zip(LANDMARK_CODES, shares.tolist(), strict=True):
        if 0 <= x <= 1 and 0 <= y <= 1:
            message.landmarks[code] = NormalizedPointOfInterest2D(x=x, y=y, c=confidence)
    return message


def message_to_landmarks(message: FacialLandmarks) -> NDArray[np.float64] | None:
    """Return our landmarks in another detector's, float64 [5, 2], as shares of its image.

    Five of the 70 points are enough: pupils, tip of the nose and corners of the mouth.

    Returns:
        The landmarks; None if some are not known.

    Raises:
        MicroexprError: there are not 70 points, or a known one is not finite.
    """
    if len(message.landmarks) != POINTS:
        raise MicroexprError(
            f'FacialLandmarks with {len(message.landmarks)} points instead of {POINTS}; the '
            'sender is malformed'
        )
    points = np.array([(point.x, point.y) for point in message.landmarks], np.float64)
    confidence = np.array([point.c for point in message.landmarks])
    # Where no confidence is measured, a point that is not known is at the corner of the image.
    is_known = np.array(confidence > _LEAST_C if confidence.any() else points.any(axis=1))
    codes = [_choose_known(is_known, choices) for choices in _CHOICES]
    if not all(codes):
        return None
    landmarks = np.stack([points[one].mean(axis=0) for one in codes])
    if codes[_NOSE] == [FacialLandmarks.NOSE]:
        down = landmarks[3:].mean(axis=0) - landmarks[:2].mean(axis=0)
        landmarks[_NOSE] += _TIP_TO_BASE * down
    if not np.isfinite(landmarks).all():
        raise MicroexprError(
            f'FacialLandmarks with points {landmarks.tolist()}; the sender is malformed'
        )
    return landmarks


def _choose_known(is_known: NDArray[np.bool_], choices: Sequence[Sequence[int]]) -> list[int]:
    """Return the first group of points that are all known; empty if there is none."""
    return next((list(codes) for codes in choices if is_known[list(codes)].all()), [])


def message_to_corners(message: NormalizedRegionOfInterest2D) -> NDArray[np.float64]:
    """Return the upper left and the lower right corner of a box, float64 [2, 2], as shares.

    Raises:
        MicroexprError: it has no size, or is not finite.
    """
    corners = np.array([[message.xmin, message.ymin], [message.xmax, message.ymax]], np.float64)
    # With nan, no comparison holds.
    if not (np.isfinite(corners).all() and np.all(corners[1] > corners[0])):
        raise MicroexprError(
            f'NormalizedRegionOfInterest2D with corners {corners.tolist()}; the sender is '
            'malformed'
        )
    return corners


def message_to_calibration(message: CameraInfo) -> Calibration | None:
    """Return the calibration in a message; None if the camera is not calibrated.

    Raises:
        MicroexprError: its numbers are not those of a camera.
    """
    if not message.k[0] > 0 or message.distortion_model not in COEFFICIENTS:
        return None
    allowed = COEFFICIENTS[message.distortion_model]
    matrix = np.array(message.k, np.float64).reshape(3, 3)
    is_fisheye = message.distortion_model == 'equidistant'
    # Many drivers leave them out where there is no distortion.
    distortion = np.array(message.d or [0.0] * allowed[0], np.float64)
    is_finite = np.isfinite(matrix).all() and np.isfinite(distortion).all()
    if len(distortion) not in allowed or not is_finite or not matrix[1, 1] > 0:
        raise MicroexprError(
            f'CameraInfo with k {matrix.ravel().tolist()} and {len(message.d)} coefficients '
            f'{distortion.tolist()} of {message.distortion_model}; the sender is malformed'
        )
    return Calibration(matrix, distortion, is_fisheye)


def pose_to_transform(
    pose: HeadPose, face_id: str, stamp_ns: int, frame_id: str
) -> TransformStamped:
    """Return the transform from the camera's optical frame to that of a face.

    The frame is named face_ and the id, as REP-155 has it; its origin is between the eyes, x
    points forward out of the face, y to the subject's left and z up.
    """
    x, y, z, w = _to_quaternion(pose.rotation)
    position = dict(zip('xyz', pose.position.tolist(), strict=True))
    return TransformStamped(
        header=_header(stamp_ns, frame_id),
        child_frame_id=f'face_{face_id}',
        transform=Transform(
            translation=Vector3(**position), rotation=Quaternion(x=x, y=y, z=z, w=w)
        ),
    )


def _to_quaternion(rotation: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return x, y, z and w of a rotation matrix."""
    # Bar-Itzhack, New method for extracting the quaternion from a rotation matrix, 2000: the
    # eigenvector of the largest eigenvalue, without cases.
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    matrix = np.array(
        [
            [a - e - i, d + b, g + c, h - f],
            [d + b, e - a - i, h + f, c - g],
            [g + c, h + f, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(matrix)[1][:, -1].tolist()
    return x, y, z, w


def _header(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)
