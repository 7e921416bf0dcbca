"""Node `recorder`: topics into a rosbag2, as they are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from rclpy.qos import QoSProfile

from microexpr_ros.atomic import explain_write_errors
from microexpr_ros.bags import EVENT_PACKET
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.folder import (
    COMPRESSIONS,
    STORAGES,
    BagFolder,
)
from microexpr_ros.bags.recorder import CACHE_BYTES, Arrival, BagRecorder
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos
from microexpr_ros.ros.conversions import SECOND_NS, message_type
from microexpr_ros.ros.diagnostics import OK, WARN, Diagnosis, Rate
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters, run
from microexpr_ros.ros.listening import Reader
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.recorded_qos import adapt_request, to_recorded
from microexpr_ros.topics import (
    EVENT_CAMERA_INFO_TOPIC,
    EVENT_FRAMES_TOPIC,
    EVENTS_TOPIC,
    FRAMES_TOPIC,
    RGB_CAMERA_INFO_TOPIC,
    relative,
)

TOPICS = (
    relative(EVENTS_TOPIC),
    relative(EVENT_FRAMES_TOPIC),
    relative(EVENT_CAMERA_INFO_TOPIC),
    relative(FRAMES_TOPIC),
    relative(RGB_CAMERA_INFO_TOPIC),
    'aligned_events',
    'au_predictions',
    'micro_expressions',
)
"""What the package's other nodes send, without what can be computed again from it."""

POLL_S = 0.25
"""How often to look for new topics: what is said in between on a new one is missed."""

LARGEST = 1 << 62


@dataclass(frozen=True)
class RecorderParameters(NodeParameters):
    """Parameters of the recorder."""

    output: str = parameter('', 'new folder for the bag; empty: rosbag2_ and the time')
    topics: tuple[str, ...] = parameter(
        TOPICS, 'topics to record as soon as somebody publishes them', element=str
    )
    all: bool = parameter(False, 'record every topic, except hidden ones')
    storage: str = parameter('mcap', 'format of the bag', choices=STORAGES)
    compression: str = parameter(
        'zstd', 'of the chunks of mcap; sqlite3 has none', choices=COMPRESSIONS
    )
    max_bag_size: int = parameter(
        0, 'begin a new file at this size in bytes; 0: never', minimum=0, maximum=LARGEST
    )
    max_bag_duration_s: float = parameter(
        0.0, 'begin a new file after this time in s; 0: never', minimum=0.0, maximum=1e9
    )
    max_cache_size: int = parameter(
        CACHE_BYTES,
        'messages that wait for the disk at most, in bytes; what comes while it is full is lost',
        minimum=1,
        maximum=LARGEST,
    )
    duration_s: float = parameter(
        0.0, 'end after this time in s; 0: not by itself', minimum=0.0, maximum=1e9
    )
    shutdown_at_end: bool = parameter(False, 'end the process when the recording ends')


class RecorderNode(MicroexprNode):
    """Write serialized messages to a bag without decoding them."""

    name = 'recorder'
    Parameters: ClassVar[type[NodeParameters]] = RecorderParameters
    recording: BagRecorder | None = None
    """The recording; None until it begins."""

    def configure(self) -> None:
        """Check the names of the topics."""
        self._topics = [self._resolve(name) for name in self.parameters.topics]

    def _resolve(self, topic: str) -> str:
        try:
            return self.resolve_topic_name(topic)
        except (RuntimeError, ValueError) as error:
            reason, _, _ = str(error).partition(', at ')
            raise MicroexprError(f'{topic!r} cannot be recorded: {reason}') from error

    def activate(self) -> None:
        """Begin a bag and look for topics."""
        values = self.parameters
        path = Path(values.output or f'{datetime.now():rosbag2_%Y_%m_%d-%H_%M_%S}')
        with explain_write_errors(path):
            bag = BagFolder(
                path,
                values.storage,
                None if values.storage == 'sqlite3' else values.compression,
                values.max_bag_size,
                round(values.max_bag_duration_s * SECOND_NS),
            )
        self.recording = BagRecorder(bag, values.max_cache_size)
        self._rate, self._told_lost = Rate(), 0
        self._heard: dict[str, Reader | None] = {}
        self._teardown.append(self._end)
        self._began_s = time.monotonic()
        self._simulated = self.get_parameter('use_sim_time').value
        self.get_logger().info(f'recording to {path}')
        self._discover()
        self.every(POLL_S, self._look_around)

    def _look_around(self) -> None:
        """Listen to topics that are new; tell what is lost; end when it is time to."""
        self._discover()
        lost = self.recording.progress().lost
        if lost > self._told_lost:
            self._told_lost = lost
            self.get_logger().warning(f'{lost} messages are lost', throttle_duration_sec=5.0)
        over = self.parameters.duration_s and time.monotonic() - self._began_s
        if self.recording.error is not None or over > self.parameters.duration_s:
            if self.parameters.shutdown_at_end:
                self.context.try_shutdown()
            else:
                self.trigger_deactivate()

    def _discover(self) -> None:
        if self.parameters.all:
            topics = [name for name, _ in self.get_topic_names_and_types() if '/_' not in name]
        else:
            topics = self._topics
        for topic in topics:
            publishers = self.get_publishers_info_by_topic(topic)
            heard = self._heard.get(topic)
            if heard is not None and heard.incompatible():
                # A publisher that offers less than those before: less is asked for, too.
                self.listener.unsubscribe(heard)
                del self._heard[topic]
            numbered = {publisher.topic_type for publisher in publishers} == {EVENT_PACKET}
            if numbered and len(publishers) > 1 and self.recording.give_up_counting(topic):
                self.get_logger().warning(
                    f'{topic} has {len(publishers)} publishers: packets that it loses are not '
                    'counted any more'
                )
            if publishers and topic not in self._heard:
                offers = [publisher.qos_profile for publisher in publishers]
                self._heard[topic] = self._listen(topic, publishers[0].topic_type, offers)

    def _listen(self, topic: str, kind: str, offers: list[QoSProfile]) -> Reader | None:
        try:
            define(kind)
            message = message_type(kind)
        except MicroexprError as error:
            self.get_logger().warning(f'{topic} is not recorded: {error}')
            return None
        self.get_logger().info(f'subscribed to {topic}')
        record = partial(self._record, topic, kind, tuple(map(to_recorded, offers)))
        subscription = (message, topic, record, adapt_request(offers, qos.EVENTS.depth))
        return self.listener.subscribe(self, [subscription], self._work_failed, raw=True)

    def _record(
        self, topic: str, kind: str, offers: tuple, cdr: bytes, sent_ns: int, received_ns: int
    ) -> None:
        if self._simulated:
            received_ns = self.get_clock().now().nanoseconds
            if not received_ns:
                return  # As in ros2 bag record, a bag begins with the first /clock.
        self.recording.put(Arrival(topic, kind, cdr, received_ns, sent_ns, offers))
        self._rate.add()

    def _end(self) -> None:
        for reader in self._heard.values():
            if reader is not None:
                self.listener.unsubscribe(reader)
        self.recording.close()
        if self.recording.error is not None:
            self._transition_failed(self.recording.error)
            self.failed = True
        progress = self.recording.progress()
        messages = sum(progress.messages.values())
        # Interrupted, the node has no context to log through any more.
        if self.context.ok():
            self.get_logger().info(
                f'{self.recording.path}: {messages} messages, {progress.bytes} bytes, '
                f'{progress.lost} lost'
            )
            if not messages:
                self.get_logger().warning('nothing was recorded: nobody published these topics')

    def diagnose(self) -> Diagnosis:
        """Tell how much is recorded, and what is lost."""
        progress = self.recording.progress()
        return Diagnosis(
            level=WARN if progress.lost else OK,
            message='messages are lost' if progress.lost else 'recording',
            values={
                'bag': str(self.recording.path),
                'messages_hz': round(self._rate.hz(), 1),
                'messages': sum(progress.messages.values()),
                'megabytes': round(progress.bytes / 1e6, 1),
                'files': progress.files,
                'cached_megabytes': round(progress.cached_bytes / 1e6, 1),
                'overrun_messages': sum(progress.overrun.values()),
                'lost_packets': sum(progress.lost_packets.values()),
                'topics': ', '.join(sorted(self._heard)),
            },
        )


def main() -> None:
    """Run the node."""
    run(RecorderNode)


if __name__ == '__main__':
    main()
