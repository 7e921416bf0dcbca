"""What a bag holds: its topics and messages, and how a topic is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rosbags.interfaces import Qos

from microexpr_ros.bags.damage import DamagedPlace
from microexpr_ros.errors import MicroexprError

EVENT_PACKET: Final = 'event_camera_msgs/msg/EventPacket'
IMAGE: Final = 'sensor_msgs/msg/Image'

CDR: Final = 'cdr'
"""Encoding of ROS 2 messages."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of a bag.

    Attributes:
        name: with its leading slash.
        type: ROS type; older names of EventPacket are replaced by the current one.
        messages: number of messages.
        offered_qos: what its publishers offered, where the bag has recorded it.
        definition: definition of the type when it was recorded, in the ros2msg format; empty where
            the bag has none.
    """

    name: str
    type: str
    messages: int
    offered_qos: tuple[Qos, ...] = ()
    definition: str = field(default='', compare=False)


@dataclass(frozen=True, slots=True)
class ForeignTopic:
    """A topic of a bag whose messages are not those of ROS 2; they can be copied, not played.

    Attributes:
        name: its name.
        type: type of its messages; empty if the bag does not tell.
        encoding: how its messages are serialized: json, protobuf, ros1, ...
        messages: number of messages.
        schema_encoding: language of the schema, as mcap names it; empty without a schema.
        schema: definition of the type; empty without a schema.
    """

    name: str
    type: str
    encoding: str
    messages: int
    schema_encoding: str = ''
    schema: bytes = b''


@dataclass(frozen=True, slots=True)
class BagContents:
    """What a bag holds.

    Attributes:
        path: folder or file.
        topics: sorted by name.
        start_ns: time at which the first message was received; 0 if there is none.
        end_ns: time at which the last message was received; 0 if there is none.
        complete: whether all files of the bag exist and its recorder has ended each of them.
            A bag whose recorder was killed is incomplete, and can still be read.
        unlisted: files in its folder that are not read, because metadata.yaml does not name them.
        foreign: topics that are left out, sorted by name.
        damage: damaged places that are known without reading the messages.
    """

    path: Path
    topics: tuple[Topic, ...]
    start_ns: int
    end_ns: int
    complete: bool = True
    unlisted: tuple[str, ...] = ()
    foreign: tuple[ForeignTopic, ...] = ()
    damage: tuple[DamagedPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """A serialized message of a bag.

    Attributes:
        topic: its topic.
        type: its ROS type, as in Topic.
        time_ns: time at which it was received.
        cdr: serialized message with its four leading bytes.
        offered_qos: as in Topic.
    """

    topic: str
    type: str
    time_ns: int
    cdr: bytes
    offered_qos: tuple[Qos, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """A message of a foreign topic.

    Attributes:
        topic: its topic.
        time_ns: time at which it was received.
        data: its bytes.
    """

    topic: ForeignTopic
    time_ns: int
    data: bytes


def find_topic(bag: BagContents, type_name: str, topic: str | None = None) -> str:
    """Return the name of a topic after checking its type, or of the only topic of a type.

    Args:
        bag: What to search.
        type_name: The type that the topic must have.
        topic: Its name; None for the only one of the type.

    Raises:
        MicroexprError: No topic fits, or several do.
    """
    if topic is not None:
        found = require_topic(bag, topic)
        if found.type != type_name:
            raise MicroexprError(
                f'{topic} in {bag.path} is of type {found.type}, not {type_name}: {_hint(bag)}'
            )
        return topic
    names = [t.name for t in bag.topics if t.type == type_name]
    if len(names) != 1:
        count = 'no topic' if not names else 'more than one topic'
        raise MicroexprError(f'{bag.path} has {count} of type {type_name}: {_hint(bag)}')
    return names[0]


def require_topic(bag: BagContents, topic: str) -> Topic:
    """Return a topic by its name.

    Raises:
        MicroexprError: The bag has no such topic.
    """
    for found in bag.topics:
        if found.name == topic:
            return found
    raise MicroexprError(f'{bag.path} has no topic {topic}: {_hint(bag)}')


def _hint(bag: BagContents) -> str:
    names = [f'{topic.name} ({topic.type})' for topic in bag.topics]
    for topic in bag.foreign:
        # Of ROS 2 are also types of services and actions, of which there is no message.
        kind = topic.type if topic.encoding == CDR and topic.type else topic.encoding
        names.append(f'{topic.name} ({kind}, not read)')
    return 'it has ' + ', '.join(names) if names else 'it has no topics at all'
