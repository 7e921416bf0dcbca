"""Recordings of event packets in any container."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Final, TypeAlias

from microexpr_ros import bags
from microexpr_ros.bags import ForeignMessage, Message
from microexpr_ros.bags.definitions import is_defined
from microexpr_ros.bags.event_packet import EventPacket, SequenceGaps
from microexpr_ros.bags.message_place import MessagePlace
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.packet_decoder import RESTARTS, PacketDecoder, find_first
from microexpr_ros.events.files.recording import Recording, agree_on_sensor, are_many

_LOG: Final = logging.getLogger(__name__)

_MISSING: Final = 'packets_missing_in_source'
PACKETS_DAMAGED: Final = 'packets_damaged'
_OTHER_CAMERA: Final = 'packets_of_another_camera'
UNENDED: Final = 'files_cut_off'
_UNLISTED: Final = 'files_not_in_metadata'

_VOTERS: Final = 9
"""First packets by most of which the camera is recognized: the first of all may be damaged."""


ReadPackets: TypeAlias = Callable[[int | None], Iterator[tuple[int, EventPacket | None]]]
"""Iterates over packets from a receive time on, or all: that time, and None for a damaged one."""

ReadOthers: TypeAlias = Callable[[int | None], Iterator[Message | ForeignMessage]]


@dataclass(frozen=True, slots=True)
class _Camera:
    """What all packets of one camera have in common."""

    encoding: str
    width: int
    height: int
    frame_id: str
    is_bigendian: bool

    @classmethod
    def of(cls, packet: EventPacket) -> _Camera:
        return cls(
            packet.encoding, packet.width, packet.height, packet.frame_id, packet.is_bigendian
        )

    def __str__(self) -> str:
        return f'{self.encoding} {self.width} x {self.height} {self.frame_id!r}'


@dataclass(slots=True, eq=False)
class _PacketPlace:
    """How far the packets were read.

    Attributes:
        decoder: knows those before.
        read: where the next one is.
        gaps: numbers that were missing.
        others: packets of other cameras.
        damaged: packets that were damaged.
        stamp_ns: of the last packet; None before the first.
    """

    decoder: PacketDecoder
    read: MessagePlace = field(default_factory=MessagePlace)
    gaps: SequenceGaps = field(default_factory=SequenceGaps)
    others: Counter[_Camera] = field(default_factory=Counter)
    damaged: int = 0
    stamp_ns: int | None = None


class PacketRecording(Recording):
    """A topic of event packets in a bag.

    Missing packets, counted by gaps between packet numbers, are losses, and so are packets that
    are damaged or of another camera, and restarts of the camera.
    """

    def __init__(
        self,
        path: Path,
        container: str,
        topic: str,
        read: ReadPackets,
        messages: int,
        sensor: tuple[int, int] | None = None,
        read_others: ReadOthers = lambda _: iter(()),
    ) -> None:
        """Read the first packets.

        Args:
            path: The bag.
            container: Its format, for people.
            topic: Name of the topic.
            read: Iterates over the packets of the topic.
            messages: Number of packets.
            sensor: Columns and rows of the sensor, if the user gives them.
            read_others: Iterates over the other messages of the bag that can be copied, from a
                receive time on, or all of them.

        Raises:
            MicroexprError: There are no packets, they do not contain their sensor, the given
                sensor is not theirs, or they are in the byte order of another kind of computer.
        """
        self.topic = topic
        self._read_packets = read
        self._others = read_others
        self._messages = messages
        first = list(islice((one for _, one in read(None) if one is not None), _VOTERS))
        if not first:
            if messages:
                raise MicroexprError(
                    f'cannot read {topic} in {path}: all its messages are damaged, copy or record '
                    'it again'
                )
            raise MicroexprError(f'{topic} in {path} has no messages: record it again')
        camera = Counter(_Camera.of(packet) for packet in first).most_common(1)[0][0]
        if camera.is_bigendian:
            raise MicroexprError(
                f'{topic} in {path} has packets of a big-endian computer, which are not read: '
                'record it with a driver that writes little-endian events'
            )
        stored = (camera.width, camera.height) if camera.width and camera.height else None
        width, height = agree_on_sensor(path, stored, sensor)
        self._camera = camera
        epoch_ns = self._find_epoch(height, width)
        super().__init__(path, f'{container} {camera.encoding}', height, width, epoch_ns)
        self.frame_id = camera.frame_id
        self.losses |= {_MISSING: 0, PACKETS_DAMAGED: 0, _OTHER_CAMERA: 0, RESTARTS: 0}

    def others(self, start_ns: int | None = None) -> Iterator[Message | ForeignMessage]:
        """Iterate over the other messages; see `Recording.others`."""
        return self._others(start_ns)

    def _find_epoch(self, height: int, width: int) -> int:
        """Return the host time at sensor time 0, from the first packet with a time."""
        decoder = codecs.decoder(self._camera.encoding, height, width)
        for _, packet in self._read_packets(None):
            if packet is not None and _Camera.of(packet) == self._camera:
                first_ns = find_first(*decoder.decode(packet.events, packet.time_base))
                if first_ns is not None:
                    return packet.stamp_ns - first_ns
        return 0

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        decoder = PacketDecoder(self._camera.encoding, self.height, self.width)
        return self._read_from(_PacketPlace(decoder))

    def _read_from(self, place: _PacketPlace) -> Iterator[tuple[Events, Triggers]]:
        self._place = place
        decoder, gaps, others = place.decoder, place.gaps, place.others
        for time_ns, packet in place.read.read_on(self._read_packets):
            place.read.add(time_ns)
            number = place.read.messages
            self.fraction = number / max(number, self._messages)
            if packet is None:
                place.damaged += 1
                self.losses[PACKETS_DAMAGED] = place.damaged
                continue
            camera = _Camera.of(packet)
            if camera != self._camera:
                others[camera] += 1
                self.losses[_OTHER_CAMERA] = others.total()
                self._require_one_camera(others, number)
                continue
            gaps.add(packet.seq)
            self._require_one_publisher(gaps, number)
            events, triggers = decoder.decode(packet)
            self.losses.update(decoder.losses)
            self._held_by_decoder = decoder.held
            self.losses[_MISSING] = gaps.total
            first_ns = find_first(events, triggers)
            # A recording without stamps has the same one in all packets.
            if first_ns is not None and place.stamp_ns not in (None, packet.stamp_ns):
                self.epoch_ns = packet.stamp_ns - first_ns
            place.stamp_ns = packet.stamp_ns
            yield events, triggers
        self.fraction = 1.0

    def _require_one_camera(self, others: Counter[_Camera], packets: int) -> None:
        if are_many(others.total(), packets):
            other, _ = others.most_common(1)[0]
            raise MicroexprError(
                f'{self.topic} in {self.path} changes encoding or sensor, from {self._camera} to '
                f'{other}: record one camera per topic'
            )

    def _require_one_publisher(self, gaps: SequenceGaps, packets: int) -> None:
        if are_many(gaps.steps_back, packets):
            raise MicroexprError(
                f'{self.topic} in {self.path} has packets of two publishers, whose numbers '
                'alternate: record one camera per topic'
            )


def open_rosbag2(
    path: Path, sensor: tuple[int, int] | None = None, topic: str | None = None
) -> Recording:
    """Open the event packets of a rosbag2 recording.

    Args:
        path: Folder, or .mcap or .db3 file.
        sensor: Columns and rows of the sensor, if the user gives them.
        topic: Topic to take, if there is more than one of event packets.

    Raises:
        MicroexprError: There is no such topic, or its packets cannot be read.
    """
    bag = bags.read_contents(path)
    candidates = [t.name for t in bag.topics if t.type == bags.EVENT_PACKET]
    name = bags.find_topic(bag, bags.EVENT_PACKET, topic if len(candidates) > 1 else None)
    counts = Counter({t.name: t.messages for t in bag.topics})
    others = [t.name for t in bag.topics if t.name != name and is_defined(t.type)]
    damage = bags.Damage()

    def read(start_ns: int | None) -> Iterator[tuple[int, EventPacket | None]]:
        for message in bags.read_messages(path, [name], start_ns, damage):
            yield message.time_ns, _to_packet(message)

    def read_others(start_ns: int | None) -> Iterator[Message | ForeignMessage]:
        known = bags.read_messages(path, others, start_ns, damage) if others else iter(())
        foreign = bags.read_foreign(path, damage) if bag.foreign else iter(())
        later = (one for one in foreign if start_ns is None or one.time_ns >= start_ns)
        return merge(known, later, key=attrgetter('time_ns'))

    recording = PacketRecording(path, 'rosbag2', name, read, counts[name], sensor, read_others)
    recording.damage = damage
    recording.other_topics = counts - Counter({name: counts[name]})
    for foreign in bag.foreign:
        recording.other_topics[foreign.name] += foreign.messages
    recording.unknown_topics = frozenset(counts) - {name, *others}
    # A recorder that was killed lost messages that it had not written, an unknown number.
    recording.losses[UNENDED] = int(not bag.complete)
    recording.losses[_UNLISTED] = len(bag.unlisted)
    if bag.unlisted:
        _LOG.warning(
            '%s: metadata.yaml does not name %s, which is not read: remove metadata.yaml to read '
            'every file',
            path,
            ', '.join(bag.unlisted),
        )
    return recording


def _to_packet(message: Message) -> EventPacket | None:
    """Return the packet of a message; None if it is damaged."""
    try:
        return bags.deserialize_packet(message.cdr, message.topic)
    except MicroexprError:
        return None
