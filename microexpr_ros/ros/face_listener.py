"""Faces that another node finds, as it publishes them on the topics of ROS4HRI (REP-155)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from hri_msgs.msg import FacialLandmarks, IdsList, NormalizedRegionOfInterest2D
from numpy.typing import NDArray
from std_msgs.msg import Header

from microexpr_ros.alignment.camera_geometry import CameraGeometry
from microexpr_ros.alignment.face_alignment import BOX_SIGMA, place_landmarks
from microexpr_ros.alignment.observed_faces import OLD_NS, Observation, ObservedFaceTracker
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import hri, qos, topics
from microexpr_ros.ros.conversions import to_ns
from microexpr_ros.ros.diagnostics import Rate
from microexpr_ros.ros.inputs import SILENT_AFTER_NS
from microexpr_ros.ros.lifecycle import MicroexprNode
from microexpr_ros.ros.subscriptions import SubscriptionSet

_TOPIC_TOKEN: Final = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')


class FaceListener:
    """Observe the faces that a detector lists, by their landmarks or, without these, their boxes.

    The detector sees the RGB camera's frames, or what its messages name as their coordinate
    frame if that is the event camera. All methods run on the subscription thread or with its
    lock held.

    Args:
        node: subscribes; is being activated.
        geometry: of the cameras; None if both see the same field of view.
        frame_offset_ns: returns how far the stamps of frames are ahead of those of the events.

    Attributes:
        frame_size: rows and columns of the RGB camera's frames; None before the first.
    """

    def __init__(
        self,
        node: MicroexprNode[Any],
        geometry: CameraGeometry | None,
        frame_offset_ns: Callable[[], int],
    ) -> None:
        self._node, self._geometry, self._offset_ns = node, geometry, frame_offset_ns
        self.frame_size: tuple[int, int] | None = None
        self._tracker: ObservedFaceTracker | None = None
        self._sensor, self._frame_id = (0, 0), ''
        self._listed: dict[str, SubscriptionSet] = {}
        self._landmarks_ns: dict[str, int] = {}
        self._observations = Rate()
        self._taken_ns = 0
        self._heard_ns = time.monotonic_ns()
        self._has_heard = False
        node.subscribe((IdsList, hri.TRACKED, self._on_list, qos.FRAMES))

    def make_tracker(self, frame_id: str, height: int, width: int) -> ObservedFaceTracker:
        """Return what follows the faces on a sensor, in place of the tracker before.

        Args:
            frame_id: coordinate frame of the event camera.
            height: sensor rows.
            width: sensor columns.
        """
        self._sensor, self._frame_id = (height, width), frame_id
        self._tracker = ObservedFaceTracker(None)
        return self._tracker

    def find_problems(self, newest_ns: int | None) -> dict[str, str]:
        """Return a line for people for each thing that keeps faces from being known, by its kind.

        Args:
            newest_ns: ROS time of the newest slice; None before the first.
        """
        silent_ns = time.monotonic_ns() - self._heard_ns
        if not self._has_detector():
            begun = 'gone' if self._has_heard else 'missing'
            return {
                'DETECTOR_MISSING': f'the detector of faces is {begun}, and is waited for: nobody '
                f'publishes {hri.TRACKED}, so no face is known (face_source is hri)'
            }
        if self._listed and silent_ns > SILENT_AFTER_NS:
            faces = ', '.join(sorted(self._listed))
            return {
                'DETECTOR_SILENT': f'the detector of faces is silent: it lists {faces}, but for '
                f'{silent_ns / 1e9:.1f} s there is neither roi nor landmarks of them'
            }
        away_ns = 0 if newest_ns is None else newest_ns - self._taken_ns
        if self._listed and abs(away_ns) > OLD_NS:
            order = 'behind' if away_ns > 0 else 'ahead of'
            return {
                'DETECTOR_STAMPS': f'the detector of faces stamps them {abs(away_ns) / 1e9:.1f} s '
                f'{order} the events, so they are not used: it must copy the stamps of its '
                'images, and those must be on the clock of the events (frame_offset)'
            }
        return {}

    def values(self) -> dict[str, object]:
        """Return diagnostic values."""
        return {
            'faces_listed': len(self._listed),
            'observations_hz': round(self._observations.hz(), 1),
        }

    def _has_detector(self) -> bool:
        """Return whether a node lists faces that is not the classifier of these nodes."""
        lists, estimates = (
            {
                (info.node_namespace, info.node_name)
                for info in self._node.get_publishers_info_by_topic(topic)
            }
            for topic in (hri.TRACKED, topics.ACTION_UNITS)
        )
        return bool(lists - estimates)

    def _on_list(self, message: IdsList, _: int) -> None:
        given = set(message.ids)
        valid = {one for one in given if _TOPIC_TOKEN.fullmatch(one)}
        for gone in self._listed.keys() - valid:
            self._node.unsubscribe(self._listed.pop(gone))
            self._landmarks_ns.pop(gone, None)
        if self._tracker is not None:
            self._tracker.keep(valid)
        if not self._listed:
            self._heard_ns = time.monotonic_ns()
        for new in sorted(valid - self._listed.keys()):
            self._listed[new] = self._subscribe(new)
        self._has_heard = True
        if given > valid:
            raise MicroexprError(
                f'ids {sorted(given - valid)} on {hri.TRACKED} cannot be part of the name of a '
                'topic, so these faces are left out'
            )

    def _subscribe(self, face: str) -> SubscriptionSet:
        kinds = (
            (NormalizedRegionOfInterest2D, hri.ROI, self._on_roi),
            (FacialLandmarks, hri.LANDMARKS, self._on_landmarks),
        )
        return self._node.subscribe(
            *(
                (kind, f'{hri.FACES}/{face}/{name}', partial(take, face), qos.FRAMES)
                for kind, name, take in kinds
            )
        )

    def _on_roi(self, face: str, message: NormalizedRegionOfInterest2D, _: int) -> None:
        corners = hri.message_to_corners(message)
        seen_ns = self._landmarks_ns.get(face)
        if seen_ns is None or abs(to_ns(message.header.stamp) - seen_ns) > OLD_NS:
            self._observe(face, message.header, corners, None)

    def _on_landmarks(self, face: str, message: FacialLandmarks, _: int) -> None:
        landmarks = hri.message_to_landmarks(message)
        if landmarks is not None:
            self._landmarks_ns[face] = to_ns(message.header.stamp)
            size = (message.height, message.width) if message.height and message.width else None
            self._observe(face, message.header, landmarks, size)

    def _observe(
        self,
        face: str,
        header: Header,
        shares: NDArray[np.float64],
        size: tuple[int, int] | None,
    ) -> None:
        """Give the tracker a face by its landmarks, or by the two corners of its box.

        Args:
            face: its id.
            header: of the message.
            shares: float64 [5, 2] or [2, 2], columns and rows as shares of the image.
            size: rows and columns of the image, if the message has them.
        """
        self._heard_ns = time.monotonic_ns()
        if self._tracker is None:
            return
        stamp_ns, is_frame = to_ns(header.stamp), header.frame_id != self._frame_id
        has_landmarks = len(shares) > 2
        geometry = self._geometry if is_frame else None
        rows, columns = self._sensor if geometry is None else self._find_size(geometry, size)
        points = shares * (columns, rows)
        landmarks = points if has_landmarks else place_landmarks(points)
        self._taken_ns = stamp_ns - (self._offset_ns() if is_frame else 0)
        self._tracker.observe(
            Observation(
                self._taken_ns,
                [landmarks if geometry is None else geometry.face_to_sensor(landmarks)],
                hri.DETECTOR_SIGMA if has_landmarks else BOX_SIGMA,
                [face],
                has_landmarks,
            )
        )
        self._observations.add()

    def _find_size(
        self, geometry: CameraGeometry, size: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Return the rows and columns of the frames that the detector sees."""
        size = size or geometry.frame or self.frame_size
        if size is None:
            raise MicroexprError(
                'boxes of faces are in shares of a frame whose size is not known: give geometry, '
                'as `microexpr calibrate cameras` writes it, in place of homography, or publish '
                'the frames'
            )
        geometry.check_frame(*size)
        return size
