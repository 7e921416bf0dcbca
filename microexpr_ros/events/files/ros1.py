"""Recordings in bags of ROS 1."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from microexpr_ros.bags.damage import Damage
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.reading import explain_bag_errors
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.columns import ColumnRules, Columns
from microexpr_ros.events.files.packets import PACKETS_DAMAGED, UNENDED, PacketRecording
from microexpr_ros.events.files.recording import Recording, agree_on_sensor
from microexpr_ros.events.files.ros1_bag import Ros1Bag

_PACKETS: Final = ('event_camera_msgs/msg/EventPacket', 'event_array_msgs/msg/EventArray')
_ARRAYS: Final = ('dvs_msgs/msg/EventArray', 'prophesee_event_msgs/msg/EventArray')
_EVENT: Final = np.dtype([('x', '<u2'), ('y', '<u2'), ('s', '<u4'), ('ns', '<u4'), ('p', 'u1')])
_NS: Final = 1_000_000_000

_explain_errors = partial(
    explain_bag_errors,
    kind='ROS 1 bag',
    remedy='copy or record it again',
)

_Message = TypeVar('_Message')


def open_ros1(
    path: Path, sensor: tuple[int, int] | None = None, topic: str | None = None
) -> Recording:
    """Open the events of a ROS 1 bag: event packets, or arrays of events of older drivers.

    Args:
        path: A .bag file.
        sensor: Columns and rows of the sensor, if the bag does not contain them.
        topic: Topic to take, if there is more than one of events.

    Raises:
        MicroexprError: There is no such topic, or its messages cannot be read.
    """
    with _explain_errors(path):
        bag = Ros1Bag(path)
    topics, counts = bag.topics, bag.counts
    known = _find_topics(bag)
    if not known:
        found = ', '.join(f'{name} ({kind})' for name, kind in sorted(topics.items()))
        raise MicroexprError(f'{path} has no topic of events: it has {found or "no topics"}')
    if len(known) > 1 and topic not in known:
        raise MicroexprError(
            f'{path} has several topics of events: give one as --topic: {", ".join(known)}'
        )
    name = topic if topic in known else known[0]
    damage = Damage()
    for place in bag.damage:
        damage.add(place)

    def read_packets(first: int | None) -> Iterator[tuple[int, EventPacket | None]]:
        # Numbers stand for times: packets before the first are read, but not decoded.
        return islice(enumerate(_read(bag, name, damage, _to_packet)), first, None)

    recording: Recording
    if topics[name] in _PACKETS:
        recording = PacketRecording(path, 'ROS 1', name, read_packets, counts[name], sensor)
    else:
        recording = Ros1ArrayRecording(bag, name, damage, sensor)
    recording.damage = damage
    recording.other_topics = counts - Counter({name: counts[name]})
    # A recorder that was killed lost messages that it had not written, an unknown number.
    recording.losses[UNENDED] = int(not bag.is_ended)
    return recording


def find_ros1_topics(path: Path) -> list[str]:
    """Return the topics of events of a ROS 1 bag, sorted.

    Raises:
        MicroexprError: It cannot be read.
    """
    with _explain_errors(path):
        return _find_topics(Ros1Bag(path))


def _find_topics(bag: Ros1Bag) -> list[str]:
    return sorted(name for name, kind in bag.topics.items() if kind in _PACKETS + _ARRAYS)


class Ros1ArrayRecording(Recording):
    """A topic of dvs_msgs/EventArray: its times are ROS times, so `epoch_ns` is 0."""

    def __init__(
        self, bag: Ros1Bag, topic: str, damage: Damage, sensor: tuple[int, int] | None = None
    ) -> None:
        self._bag = bag
        self._messages = bag.counts[topic]
        self.topic = topic
        first = next((array for array in _read(bag, topic, damage, _to_array) if array), None)
        if first is None:
            raise MicroexprError(
                f'{topic} in {bag.path} has no messages that can be read: record it again'
            )
        (width, height), _ = first
        stored = (width, height) if width * height else None
        width, height = agree_on_sensor(bag.path, stored, sensor)
        super().__init__(bag.path, 'ROS 1 EventArray', height, width)
        self.losses[PACKETS_DAMAGED] = 0

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        rules = ColumnRules(self.path, 'ns', self.height, self.width)
        self.losses[PACKETS_DAMAGED] = 0
        arrays = _read(self._bag, self.topic, self.damage, _to_array)
        for number, array in enumerate(arrays, 1):
            self.fraction = number / max(number, self._messages)
            if array is None:
                self.losses[PACKETS_DAMAGED] += 1
                continue
            _, events = array
            t = events['s'].astype(np.int64) * _NS + events['ns']
            yield (
                rules.to_events(Columns(t, events['x'], events['y'], events['p'])),
                Triggers.empty(),
            )
        self.fraction = 1.0


def _read(
    bag: Ros1Bag, topic: str, damage: Damage, parse: Callable[[bytes], _Message]
) -> Iterator[_Message | None]:
    """Iterate over the messages of a topic; None for one that is damaged."""
    messages = bag.messages(topic, damage)
    while True:
        with _explain_errors(bag.path):
            raw = next(messages, None)
        if raw is None:
            return
        try:
            yield parse(raw)
        except (ValueError, struct.error):
            yield None


def _to_packet(raw: bytes) -> EventPacket:
    """Return the packet of a serialized ROS 1 message."""
    stamp_ns, frame_id, start = _header(raw)
    height, width, seq, time_base, size = struct.unpack_from('<2I2QI', raw, start)
    encoding = raw[start + 28 : start + 28 + size].decode()
    is_bigendian, count = struct.unpack_from('<?I', raw, start + 28 + size)
    events = raw[start + 33 + size :]
    if len(events) != count:
        raise ValueError('an event packet is cut off')
    return EventPacket(
        stamp_ns, frame_id, height, width, seq, time_base, encoding, is_bigendian, events
    )


def _to_array(raw: bytes) -> tuple[tuple[int, int], np.ndarray]:
    """Return the columns and rows of the sensor, and the events as they are in the message."""
    _, _, start = _header(raw)
    height, width, count = struct.unpack_from('<3I', raw, start)
    return (width, height), np.frombuffer(raw, _EVENT, count, start + 12)


def _header(raw: bytes) -> tuple[int, str, int]:
    """Return stamp in ns and frame of a message's header, and where the header ends."""
    _, seconds, nanoseconds, size = struct.unpack_from('<4I', raw)
    return seconds * _NS + nanoseconds, raw[16 : 16 + size].decode(), 16 + size
