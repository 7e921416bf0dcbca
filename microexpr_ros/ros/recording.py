"""What the recorder records: its parameters, and topics as they appear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.qos import QoSProfile
from rosbags.interfaces import Qos

from microexpr_ros.bags import EVENT_PACKET
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.folder import COMPRESSIONS, STORAGES
from microexpr_ros.bags.recorder import CACHE_BYTES, Arrival, BagRecorder
from microexpr_ros.errors import MicroexprError
from microexpr_ros.redaction import is_kept
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import message_type
from microexpr_ros.ros.diagnostics import Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.recorded_qos import adapt_request, to_recorded
from microexpr_ros.ros.subscriptions import SubscriptionSet
from microexpr_ros.ros.topics import RECORDED

UNLIMITED = 1 << 62


@dataclass(frozen=True)
class RecorderParameters(NodeParameters):
    """Parameters of the recorder."""

    output: str = parameter(
        '',
        'new folder for the bag, _1 and so on is appended when the node is activated again; '
        'empty: rosbag2_ and the time',
    )
    topics: tuple[str, ...] = parameter(
        RECORDED, 'topics to record as soon as somebody publishes them', element=str
    )
    all: bool = parameter(False, 'record every topic, except hidden ones')
    redact: bool = parameter(
        False,
        'record no pictures of persons: only Action Units, movements and diagnostics, whatever '
        'other topics there are',
    )
    storage: str = parameter('mcap', 'format of the bag', choices=STORAGES)
    compression: str = parameter(
        'zstd', 'compression of the chunks of mcap; sqlite3 has none', choices=COMPRESSIONS
    )
    max_bag_size: int = parameter(
        0, 'begin a new file at this size in bytes; 0: never', minimum=0, maximum=UNLIMITED
    )
    max_bag_duration_s: float = parameter(
        0.0, 'begin a new file after this time in s; 0: never', minimum=0.0, maximum=1e9
    )
    max_cache_size: int = parameter(
        CACHE_BYTES,
        'size of the cache for messages that wait for the disk, in bytes; while it is full, '
        'messages are lost',
        minimum=1,
        maximum=UNLIMITED,
    )
    duration_s: float = parameter(
        0.0, 'end after this time in s; 0: never', minimum=0.0, maximum=1e9
    )
    shutdown_at_end: bool = parameter(False, 'end the process when the recording ends')


class TopicRecorder:
    """Subscribe to topics as soon as somebody publishes them, and record their messages.

    Args:
        node: subscribes, and logs.
        recording: takes the messages.
        topics: full names of the topics; None for all that are not hidden.
        redact: whether to leave out topics that may show a picture of a person.

    Attributes:
        received: messages that have arrived.
    """

    def __init__(
        self,
        node: MicroexprNode[Any],
        recording: BagRecorder,
        topics: Sequence[str] | None,
        redact: bool = False,
    ) -> None:
        self.received = Rate()
        self._node = node
        self._recording = recording
        self._topics = topics
        self._redact = redact
        # None of a topic that cannot be recorded.
        self._found: dict[str, SubscriptionSet | None] = {}
        self._uses_sim_time = bool(node.get_parameter('use_sim_time').value)

    @property
    def topics(self) -> list[str]:
        """The topics that were found, sorted."""
        return sorted(self._found)

    def discover(self) -> None:
        """Subscribe to topics that are new, and again where the publishers have changed."""
        topics = self._topics
        if topics is None:
            names = self._node.get_topic_names_and_types()
            topics = [name for name, _ in names if '/_' not in name]
            if self._redact:
                topics = [name for name in topics if is_kept(name)]
        for topic in topics:
            self._look_for(topic)

    def _look_for(self, topic: str) -> None:
        publishers = self._node.get_publishers_info_by_topic(topic)
        found = self._found.get(topic)
        if found is not None and found.find_incompatible_publishers():
            # A publisher that offers less than those before: less must be requested, too.
            self._node.unsubscribe(found)
            del self._found[topic]
        has_numbers = {publisher.topic_type for publisher in publishers} == {EVENT_PACKET}
        if has_numbers and len(publishers) > 1 and self._recording.give_up_counting(topic):
            self._node.get_logger().warning(
                f'{topic} has {len(publishers)} publishers: lost packets are no longer counted'
            )
        if publishers and topic not in self._found:
            offers = [publisher.qos_profile for publisher in publishers]
            self._found[topic] = self._subscribe(topic, publishers[0].topic_type, offers)

    def _subscribe(
        self, topic: str, kind: str, offers: Sequence[QoSProfile]
    ) -> SubscriptionSet | None:
        if self._redact and not is_kept(topic, kind):
            self._node.get_logger().warning(
                f'{topic} is not recorded: as {kind} it may show a person'
            )
            return None
        try:
            define(kind)
            message = message_type(kind)
        except MicroexprError as error:
            self._node.get_logger().warning(f'{topic} is not recorded: {error}')
            return None
        self._node.get_logger().info(f'subscribed to {topic}')
        record = partial(self._record, topic, kind, tuple(map(to_recorded, offers)))
        request = adapt_request(offers, qos.EVENTS.depth)
        return self._node.subscribe((message, topic, record, request), raw=True)

    def _record(
        self,
        topic: str,
        kind: str,
        offers: tuple[Qos, ...],
        cdr: bytes,
        sent_ns: int,
        received_ns: int,
    ) -> None:
        if self._uses_sim_time:
            received_ns = self._node.get_clock().now().nanoseconds
            if not received_ns:
                return  # As with ros2 bag record, a bag begins with the first /clock.
        self._recording.put(Arrival(topic, kind, cdr, received_ns, sent_ns, offers))
        self.received.add()
