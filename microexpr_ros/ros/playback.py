"""What the player plays: its parameters, and the topics of the bag."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle.publisher import LifecyclePublisher

from microexpr_ros import bags
from microexpr_ros.bags.pacing import RATES
from microexpr_ros.bags.playback import PlaybackOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import SECOND_NS, message_type
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.recorded_qos import adapt_offer

DISCOVERY_S = 0.5
"""From seeing a subscriber to the first message: the subscriber sees the publisher a little later,
and best-effort messages before that are lost."""

PROFILES = {bags.EVENT_PACKET: qos.EVENTS, bags.IMAGE: qos.FRAMES}
"""Quality of service by message type, where the bag does not say what was offered."""


@dataclass(frozen=True)
class PlayerParameters(NodeParameters):
    """Parameters of the player."""

    bag: str = parameter('', 'rosbag2 folder, or a lone .mcap or .db3 file')
    rate: float = parameter(
        1.0, 'speed; 1 is that of the recording', minimum=RATES[0], maximum=RATES[1]
    )
    loop: bool = parameter(False, 'begin again at the end')
    topics: tuple[str, ...] = parameter((), 'play these topics only; empty: all', element=str)
    clock_hz: float = parameter(
        10.0,
        'publish /clock at this rate for nodes with use_sim_time; 0: not at all',
        minimum=0.0,
        maximum=1000.0,
    )
    start_offset_s: float = parameter(
        0.0, 'begin this long after the start of the bag, in s', minimum=0.0, maximum=1e6
    )
    playback_duration_s: float = parameter(
        0.0, 'play this much of the bag, in s; 0: to its end', minimum=0.0, maximum=1e9
    )
    delay_s: float = parameter(
        0.0, 'wait this long before each round, in s', minimum=0.0, maximum=1e6
    )
    start_paused: bool = parameter(False, 'begin with a pause')
    wait_for_subscribers_s: float = parameter(
        5.0,
        'begin when every topic has a subscriber, or after this long, in s',
        minimum=0.0,
        maximum=600.0,
    )
    shutdown_at_end: bool = parameter(True, 'end the process when the bag ends')


def to_options(given: PlayerParameters, names: Sequence[str]) -> PlaybackOptions:
    """Return the part of a bag that the parameters ask for, of the topics given."""
    return PlaybackOptions(
        topics=names,
        start_offset_ns=round(given.start_offset_s * SECOND_NS),
        duration_ns=round(given.playback_duration_s * SECOND_NS),
        loop=given.loop,
        delay_ns=round(given.delay_s * SECOND_NS),
        clock_hz=given.clock_hz,
    )


def warn_of_unplayed(node: MicroexprNode[Any], bag: bags.BagContents) -> None:
    """Log what of a bag is left out as a whole.

    Args:
        node: logs.
        bag: what the bag holds.
    """
    logger = node.get_logger()
    if not bag.complete:
        logger.warning(f'{bag.path} is incomplete; what it holds is played')
    if bag.unlisted:
        logger.warning(
            f'{", ".join(bag.unlisted)} is not played: metadata.yaml does not name it; remove '
            'metadata.yaml to play every file'
        )
    for topic in bag.foreign:
        logger.warning(
            f'{topic.name} is not played: its messages are {topic.encoding or "unencoded"} of '
            f'type {topic.type or "unknown"}, not of ROS 2'
        )


def choose_topics(node: MicroexprNode[Any], bag: bags.BagContents, skip_clock: bool) -> list[str]:
    """Return the topics of a bag that can be played; log which ones are left out.

    Args:
        node: logs.
        bag: what the bag holds.
        skip_clock: leave out the bag's own clock.
    """
    names = []
    for topic in bag.topics:
        if topic.name == topics.CLOCK and skip_clock:
            continue
        try:
            message_type(topic.type)
        except MicroexprError as error:
            node.get_logger().warning(f'{topic.name} is not played: {error}')
        else:
            names.append(topic.name)
    return names


class BagPublishers:
    """Publish the serialized messages of a bag on their topics.

    Args:
        node: advertises the topics; is being configured.
        bag: what the bag holds.
        names: topics to publish.
    """

    def __init__(
        self, node: MicroexprNode[Any], bag: bags.BagContents, names: Sequence[str]
    ) -> None:
        self._by_topic: dict[str, LifecyclePublisher] = {}
        for topic in bag.topics:
            if topic.name in names:
                profile = adapt_offer(topic.offered_qos, PROFILES.get(topic.type, qos.SLICES))
                self._by_topic[topic.name] = node.advertise(
                    message_type(topic.type), topic.name, profile
                )

    def publish(self, message: bags.Message) -> None:
        """Publish a message."""
        self._by_topic[message.topic].publish(message.cdr)

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody subscribes to any of the topics."""
        return len(self.find_unsubscribed()) < len(self._by_topic)

    def find_unsubscribed(self) -> list[str]:
        """Return the topics that nobody subscribes to, by the names they are published under."""
        return [
            publisher.topic_name
            for publisher in self._by_topic.values()
            if not publisher.get_subscription_count()
        ]

    def wait_for_subscribers(self, most_s: float, stopping: threading.Event) -> None:
        """Wait until every topic has a subscriber that receives it, for a limited time."""
        until_s = time.monotonic() + most_s
        while time.monotonic() < until_s and self.find_unsubscribed():
            if stopping.wait(0.05):
                return
        stopping.wait(DISCOVERY_S)
