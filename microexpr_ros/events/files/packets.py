"""Recordings of event packets in any container."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from microexpr_ros import bags
from microexpr_ros.bags.definitions import is_defined
from microexpr_ros.bags.event_packet import EventPacket, SequenceGaps
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.packet_decoder import RESTARTS, PacketDecoder
from microexpr_ros.events.files.recording import Recording, agree_on_sensor

_LOG: Final = logging.getLogger(__name__)

_MISSING: Final = 'packets_missing_in_source'
_UNENDED: Final = 'files_cut_off'
_UNLISTED: Final = 'files_not_in_metadata'


class PacketRecording(Recording):
    """A topic of event packets in a bag.

    Missing packets, counted by gaps between packet numbers, are losses, and so are restarts of
    the camera.
    """

    def __init__(
        self,
        path: Path,
        container: str,
        topic: str,
        read: Callable[[], Iterator[EventPacket]],
        messages: int,
        sensor: tuple[int, int] | None = None,
        read_others: Callable[[], Iterator[bags.Message]] = lambda: iter(()),
    ) -> None:
        """Read the first packets.

        Args:
            path: The bag.
            container: Its format, for people.
            topic: Name of the topic.
            read: Iterates over the packets of the topic from the first.
            messages: Number of packets.
            sensor: Columns and rows of the sensor, if the user gives them.
            read_others: Iterates over the other messages of the bag that can be copied.

        Raises:
            MicroexprError: There are no packets, or the given sensor is not theirs.
        """
        self.topic = topic
        self._packets = read
        self._others = read_others
        self._messages = messages
        first = next(read(), None)
        if first is None:
            raise MicroexprError(f'{topic} in {path} has no messages: record it again')
        self._encoding = first.encoding
        width, height = agree_on_sensor(path, (first.width, first.height), sensor)
        epoch_ns = self._find_epoch(height, width)
        super().__init__(path, f'{container} {first.encoding}', height, width, epoch_ns)
        self.frame_id = first.frame_id
        self.losses |= {_MISSING: 0, RESTARTS: 0}

    def others(self) -> Iterator[bags.Message]:
        """Iterate over the other messages; see `Recording.others`."""
        return self._others()

    def _find_epoch(self, height: int, width: int) -> int:
        """Return the host time at sensor time 0, from the first packet with a time."""
        decoder = codecs.decoder(self._encoding, height, width)
        for packet in self._packets():
            parts = decoder.decode(packet.events, packet.time_base)
            times = [int(part.t[0]) for part in parts if len(part)]
            if times:
                return packet.stamp_ns - min(times)
        return 0

    def _read(self) -> Iterator[tuple[Events, Triggers]]:
        decoder = PacketDecoder(self._encoding, self.height, self.width)
        expected = self._encoding, self.height, self.width
        gaps = SequenceGaps()
        for number, packet in enumerate(self._packets(), 1):
            if (packet.encoding, packet.height, packet.width) != expected:
                raise MicroexprError(
                    f'{self.topic} in {self.path} changes encoding or sensor at packet '
                    f'{packet.seq}: record one camera per topic'
                )
            gaps.add(packet.seq)
            chunk = decoder.decode(packet)
            self.losses.update(decoder.losses)
            self._held_by_decoder = decoder.held
            self.losses[_MISSING] = gaps.total
            self.fraction = number / max(1, self._messages)
            yield chunk


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
    messages = sum(t.messages for t in bag.topics if t.name == name)

    def read() -> Iterator[EventPacket]:
        return (packet for _, packet in bags.read_packets(path, name))

    others = [t.name for t in bag.topics if t.name != name and is_defined(t.type)]

    def read_others() -> Iterator[bags.Message]:
        return bags.read_messages(path, others) if others else iter(())

    recording = PacketRecording(path, 'rosbag2', name, read, messages, sensor, read_others)
    recording.other_messages = sum(t.messages for t in bag.topics) - messages
    # A recorder that was killed lost messages that it had not written, an unknown number.
    recording.losses[_UNENDED] = int(not bag.complete)
    recording.losses[_UNLISTED] = len(bag.unlisted)
    if bag.unlisted:
        _LOG.warning(
            '%s: metadata.yaml does not name %s, which is not read: remove metadata.yaml to read '
            'every file',
            path,
            ', '.join(bag.unlisted),
        )
    return recording
