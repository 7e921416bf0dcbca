"""Recordings of event packets, whatever the container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import bags, codecs
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.events.files.recording import Recording, agree_on_sensor, losses_of
from microexpr_ros.events.packets import EventPacket

OTHER_TOPICS: Final = 'messages_of_other_topics'
_MISSING: Final = 'packets_missing_in_source'
_UNENDED: Final = 'unended_files'


class PacketRecording(Recording):
    """A topic of event packets in a bag.

    Packets that are missing in the bag, as a gap of their numbers tells, count as losses.
    """

    def __init__(
        self,
        path: Path,
        container: str,
        topic: str,
        read: Callable[[], Iterator[EventPacket]],
        messages: int,
        sensor: tuple[int, int] | None = None,
    ) -> None:
        """Look at the first packets.

        Args:
            path: The bag.
            container: Its format, for people.
            topic: Name of the topic.
            read: Iterates over the packets of the topic from the first.
            messages: How many packets there are.
            sensor: Columns and rows of the sensor, if they are given.

        Raises:
            MicroexprError: There are no packets, or the sensor is another one.
        """
        self.topic = topic
        self._packets = read
        self._messages = messages
        first = next(read(), None)
        if first is None:
            raise MicroexprError(f'{topic} in {path} has no messages: record it again')
        self._encoding = first.encoding
        width, height = agree_on_sensor(path, (first.width, first.height), sensor)
        epoch_ns = self._find_epoch(height, width)
        super().__init__(path, f'{container} {first.encoding}', height, width, epoch_ns)
        self.losses[_MISSING] = 0

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
        decoder = codecs.decoder(self._encoding, self.height, self.width)
        expected = self._encoding, self.height, self.width
        missing, previous = 0, None
        for number, packet in enumerate(self._packets(), 1):
            if (packet.encoding, packet.height, packet.width) != expected:
                raise MicroexprError(
                    f'{self.topic} in {self.path} changes encoding or sensor at packet '
                    f'{packet.seq}: record one camera per topic'
                )
            # A driver that starts again counts from 0 again.
            if previous is not None and packet.seq > previous:
                missing += packet.seq - previous - 1
            previous = packet.seq
            chunk = decoder.decode(packet.events, packet.time_base)
            self.losses.update(losses_of(decoder))
            self.losses[_MISSING] = missing
            self.fraction = number / max(1, self._messages)
            yield chunk


def open_rosbag2(
    path: Path, sensor: tuple[int, int] | None = None, topic: str | None = None
) -> Recording:
    """Open the event packets of a rosbag2 recording.

    Args:
        path: Folder, or .mcap or .db3 file.
        sensor: Columns and rows of the sensor, if they are given.
        topic: Topic to take, if there is more than one of event packets.

    Raises:
        MicroexprError: There is no such topic, or its packets cannot be read.
    """
    bag = bags.describe(path)
    candidates = [t.name for t in bag.topics if t.type == bags.EVENT_PACKET]
    name = bags.find_topic(bag, bags.EVENT_PACKET, topic if len(candidates) > 1 else None)
    messages = sum(t.messages for t in bag.topics if t.name == name)

    def read() -> Iterator[EventPacket]:
        return (packet for _, packet in bags.read_packets(path, name))

    recording = PacketRecording(path, 'rosbag2', name, read, messages, sensor)
    recording.losses[OTHER_TOPICS] = sum(t.messages for t in bag.topics) - messages
    # A recorder that was killed loses what it had not yet written, and nobody knows how much.
    recording.losses[_UNENDED] = int(not bag.complete)
    return recording
