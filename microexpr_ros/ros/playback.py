"""What the player plays: its parameters, and the topics of the bag."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.node import NodeNameNonExistentError

from microexpr_ros import bags
from microexpr_ros.bags.definitions import is_as_defined
from microexpr_ros.bags.pacing import RATES
from microexpr_ros.bags.playback import PlaybackOptions
from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros import qos, topics
from microexpr_ros.ros.conversions import SECOND_NS, message_type
from microexpr_ros.ros.lifecycle import MicroexprNode, NodeParameters
from microexpr_ros.ros.output import PacketOutput
from microexpr_ros.ros.parameters import parameter
from microexpr_ros.ros.recorded_qos import adapt_offer

DISCOVERY_S = 0.5
"""From seeing a subscriber to the first message: the subscriber sees the publisher a little later,
and best-effort messages before that are lost."""

_OWN = 'microexpr_ros/msg/'

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
    wait_for_nodes: tuple[str, ...] = parameter(
        (),
        'begin when these nodes are active, however long that takes, and do not wait for '
        'subscribers; empty: wait for subscribers only',
        element=str,
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
            _require_same_definition(topic)
        except MicroexprError as error:
            node.get_logger().warning(f'{topic.name} is not played: {error}')
        else:
            names.append(topic.name)
    return names


def _require_same_definition(topic: bags.Topic) -> None:
    """Refuse messages of this package that were recorded by a version with other fields.

    A subscriber could not read them.

    Raises:
        MicroexprError: the topic was recorded with another definition.
    """
    is_own = topic.type.startswith(_OWN) and bool(topic.definition)
    if is_own and not is_as_defined(topic.type, topic.definition):
        raise MicroexprError(
            f'it has another definition of {topic.type} than this version; '
            'play the events, and it is computed anew'
        )


class BagPublishers:
    """Publish the serialized messages of a bag on their topics.

    Args:
        node: advertises the topics; is being configured.
        bag: what the bag holds.
        names: topics to publish.

    Attributes:
        undelivered: messages that were published while nobody subscribed, by topic.
    """

    def __init__(
        self, node: MicroexprNode[Any], bag: bags.BagContents, names: Sequence[str]
    ) -> None:
        self._node = node
        self._by_topic: dict[str, LifecyclePublisher] = {}
        self._packets: dict[str, PacketOutput] = {}
        self.undelivered: Counter[str] = Counter()
        for topic in bag.topics:
            if topic.name in names:
                profile = adapt_offer(topic.offered_qos, PROFILES.get(topic.type, qos.SLICES))
                publisher = node.advertise(message_type(topic.type), topic.name, profile)
                self._by_topic[topic.name] = publisher
                if topic.type == bags.EVENT_PACKET:
                    self._packets[topic.name] = PacketOutput(node, publisher)

    def publish(self, message: bags.Message) -> None:
        """Publish a message."""
        publisher = self._by_topic[message.topic]
        if message.topic in self._packets:
            self._packets[message.topic].send(message.cdr)
        else:
            publisher.publish(message.cdr)
        if not publisher.get_subscription_count():
            self.undelivered[publisher.topic_name] += 1

    def end(self) -> None:
        """Publish nothing more, as of `PacketOutput.end`."""
        for output in self._packets.values():
            output.end()

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

    def find_inactive(self, names: Sequence[str]) -> list[str]:
        """Return the nodes that are not active, of those named in the player's namespace.

        A node of this package subscribes when it is activated, to more than a clock.
        """
        namespace = self._node.get_namespace()
        known = set(self._node.get_node_names_and_namespaces())
        return [
            name
            for name in names
            if (name, namespace) not in known or not self._subscribes(name, namespace)
        ]

    def _subscribes(self, name: str, namespace: str) -> bool:
        try:
            subscribed = self._node.get_subscriber_names_and_types_by_node(name, namespace)
        except NodeNameNonExistentError:
            return False  # It has ended since.
        return any(topic != topics.CLOCK for topic, _ in subscribed)

    def wait_for_nodes(self, names: Sequence[str], stopping: threading.Event) -> None:
        """Wait until all nodes are active; log which ones are missing after a while."""
        logged_s = time.monotonic() + 5.0
        while inactive := self.find_inactive(names):
            if stopping.wait(0.05):
                return
            if time.monotonic() > logged_s:
                self._node.get_logger().warning(f'waiting for {", ".join(inactive)}')
                logged_s = float('inf')
        stopping.wait(DISCOVERY_S)
