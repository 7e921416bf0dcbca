"""What a node sends: to nodes of its process as it is, to others as messages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.qos import QoSProfile

from microexpr_ros.ros.lifecycle import MicroexprNode


class Output:
    """Send objects on a topic; messages are made only for subscribers outside of the process.

    Nodes of this process that take objects subscribe, too, so that they hear other processes;
    they are not counted as outside.

    Args:
        node: node that sends; is being configured.
        kind: type of the messages.
        topic: name of the topic.
        profile: quality of service.
        hands_over: whether nodes of this process take objects. If not, any thread may send.
    """

    def __init__(
        self,
        node: MicroexprNode[Any],
        kind: type[Any],
        topic: str,
        profile: QoSProfile,
        *,
        hands_over: bool = True,
    ) -> None:
        self._hands_over = hands_over
        self._topic = str(node.resolve_topic_name(topic))
        self._thread = node.subscription_thread
        self._publisher = node.advertise(kind, topic, profile)

    def get_subscription_count(self) -> int:
        """Return how many subscriptions there are, in this process and outside."""
        return int(self._publisher.get_subscription_count())

    def send(self, item: object, make_message: Callable[[], object]) -> None:
        """Send an object; to be called with the lock of the subscription thread held.

        Args:
            item: what nodes of this process take.
            make_message: makes the message for others, or the bytes of it.
        """
        inside = self._thread.hand_over(self._topic, item) if self._hands_over else 0
        if self._publisher.get_subscription_count() > inside:
            self._publisher.publish(make_message())

    def end(self) -> None:
        """Send nothing more, so that other publishers of the topic are heard."""
        self._thread.end_handing_over(self._topic)


CHECK_NS: Final = 500_000_000
"""How often to look whether another node publishes on the topic."""


@dataclass(frozen=True, slots=True)
class PublishedPacket:
    """An event packet on its way to another node of the process.

    Attributes:
        cdr: serialized EventPacket.
        published_ns: system time at which it was sent.
    """

    cdr: bytes
    published_ns: int


class PacketOutput:
    """Send event packets: to nodes of this process as they are, to others through ROS.

    While another node publishes on the topic, too, all packets go through ROS, so that those of
    both are heard.

    Args:
        node: node that sends.
        publisher: its publisher of the topic.
    """

    def __init__(self, node: MicroexprNode[Any], publisher: LifecyclePublisher) -> None:
        self._node, self._publisher = node, publisher
        self._topic = str(publisher.topic_name)
        self._thread = node.subscription_thread
        self._checked_ns, self._is_alone = -CHECK_NS, True

    def send(self, cdr: bytes) -> None:
        """Send a serialized packet; any thread may call this."""
        published_ns = time.time_ns()
        inside = 0
        if self._find_whether_alone():
            packet = PublishedPacket(cdr, published_ns)
            inside = self._thread.post(self._topic, packet, published_ns)
        if not inside or self._publisher.get_subscription_count() > inside:
            self._publisher.publish(cdr)

    def end(self) -> None:
        """Send nothing more as it is, so that other publishers of the topic are heard."""
        self._thread.end_handing_over(self._topic)

    def _find_whether_alone(self) -> bool:
        now_ns = time.monotonic_ns()
        if now_ns - self._checked_ns >= CHECK_NS:
            self._checked_ns, was_alone = now_ns, self._is_alone
            self._is_alone = self._node.count_publishers(self._topic) <= 1
            if was_alone and not self._is_alone:
                self.end()
        return self._is_alone
