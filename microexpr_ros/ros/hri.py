"""The face that is followed, on the topics of ROS4HRI (REP-155).

Each node publishes what it knows: the synchronizer where the face is, the classifier which faces
there are and their Action Units, the reconstructor an image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from microexpr_ros.events.region import Region
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import to_time
from microexpr_ros.ros.lifecycle import MicroexprNode

FACES: Final = '/humans/faces'
"""Absolute, as REP-155 has it: the namespace of a node does not matter."""

TRACKED: Final = f'{FACES}/tracked'
FACS: Final = 'facs'
ROI: Final = 'roi'
CROPPED: Final = 'cropped'
ALIGNED: Final = 'aligned'

DESCRIPTION: Final = 'publish the face on the topics of ROS4HRI, below /humans/faces'
"""Of the parameter `hri`, which several nodes have."""

REPEAT_NS: Final = 100_000_000
"""The list of faces is sent again after so much sensor time: libhri takes no latched messages."""

CHECK_NS: Final = 1_000_000_000
"""How often to look whether another node publishes the list of faces."""


class FaceTopics:
    """Publish what is known of the face that is followed.

    The topics of a face exist while it is followed. A topic on which another node publishes is
    left to that node, which is logged once.

    Args:
        node: publishes; is being activated.
        kinds: message type of each topic of the face, by its last name; empty: publish nothing.
        lists_faces: whether to publish the list of faces, too.
    """

    def __init__(
        self, node: MicroexprNode[Any], kinds: Mapping[str, type[Any]], lists_faces: bool = False
    ) -> None:
        self._node = node
        self._kinds = kinds
        self._face_id = ''
        self._publishers: dict[str, Publisher] = {}
        self._left: set[str] = set()
        self._list = self._advertise(IdsList, TRACKED, qos.LATCHED) if lists_faces else None
        self._list_is_ours, self._checked_ns = True, -CHECK_NS
        self._listed_ns, self._frame_id = 0, ''
        node.on_teardown(self._close)

    def follow(self, face_id: str, stamp_ns: int, frame_id: str) -> None:
        """Take in which face is followed now.

        Args:
            face_id: id of the face; empty: there is none.
            stamp_ns: of the slice that shows it.
            frame_id: coordinate frame of the event camera.
        """
        is_new = face_id != self._face_id
        if is_new:
            self._withdraw()
            self._face_id = face_id
            if face_id:
                self._announce(f'{FACES}/{face_id}')
        if is_new or (face_id and not 0 <= stamp_ns - self._listed_ns < REPEAT_NS):
            self._listed_ns, self._frame_id = stamp_ns, frame_id
            self._publish_list()

    def publish(self, name: str, make: Callable[[], object]) -> None:
        """Publish a message on a topic of the face, if somebody subscribes.

        Args:
            name: last name of the topic.
            make: makes the message.
        """
        publisher = self._publishers.get(name)
        if publisher is not None and publisher.get_subscription_count():
            publisher.publish(make())

    def _announce(self, place: str) -> None:
        for name, kind in self._kinds.items():
            topic = f'{place}/{name}'
            if not self._is_left(topic):
                self._publishers[name] = self._advertise(kind, topic, qos.RESULTS)

    def _withdraw(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        self._publishers.clear()

    def _publish_list(self) -> None:
        if self._list is None:
            return
        now_ns = time.monotonic_ns()
        if now_ns - self._checked_ns >= CHECK_NS:
            self._checked_ns, self._list_is_ours = now_ns, not self._is_left(TRACKED)
        if self._list_is_ours:
            ids = [self._face_id] if self._face_id else []
            header = _header(self._listed_ns, self._frame_id)
            self._list.publish(IdsList(header=header, ids=ids))

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
        if self._face_id and self._node.context.ok():
            self._face_id = ''
            self._publish_list()
        self._withdraw()
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


def _header(stamp_ns: int, frame_id: str) -> Header:
    return Header(stamp=to_time(stamp_ns), frame_id=frame_id)
