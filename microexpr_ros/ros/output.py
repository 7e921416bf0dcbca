"""What a node sends: to nodes of its process as it is, to others as messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
