"""Writing a bag from live messages: their threads never wait, however slow the disk is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rosbags.interfaces import Qos

from microexpr_ros.atomic import explain_write_errors
from microexpr_ros.bags.byte_queue import ByteQueue
from microexpr_ros.bags.contents import EVENT_PACKET
from microexpr_ros.bags.event_packet import SequenceGaps
from microexpr_ros.bags.folder import BagFolder
from microexpr_ros.bags.serialization import read_sequence_number
from microexpr_ros.threads import start_thread

CACHE_BYTES: Final = 100 * 1024 * 1024

_FLUSH_S: Final = 0.5
"""Time between flushes. Messages older than this, plus the time of a write, survive a kill."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that has arrived.

    Attributes:
        topic: its topic.
        type: its ROS type.
        cdr: serialized message.
        time_ns: time at which it was received.
        sent_ns: time at which it was published.
        offered_qos: what the publishers of the topic offer.
    """

    topic: str
    type: str
    cdr: bytes
    time_ns: int
    sent_ns: int
    offered_qos: tuple[Qos, ...] = ()


@dataclass(frozen=True, slots=True)
class RecorderProgress:
    """What a recorder has written and lost so far.

    Attributes:
        messages: messages written, by topic.
        overrun: messages lost because the disk was too slow or failed, by topic.
        lost_packets: event packets that never arrived, counted by gaps in `seq`, by topic.
        uncountable: topics whose lost packets cannot be counted.
        bytes: size of the bag.
        cached_bytes: size of the messages that wait to be written.
        files: number of files.
    """

    messages: Mapping[str, int]
    overrun: Mapping[str, int]
    lost_packets: Mapping[str, int]
    uncountable: Collection[str]
    bytes: int
    cached_bytes: int
    files: int

    @property
    def lost(self) -> int:
        """Number of all messages that are missing."""
        return sum(self.overrun.values()) + sum(self.lost_packets.values())


class BagRecorder:
    """Writes messages to a bag, on a thread of its own.

    Attributes:
        error: why nothing more can be written, None while it can.
    """

    def __init__(self, bag: BagFolder, cache_bytes: int = CACHE_BYTES) -> None:
        """Start the thread.

        Args:
            bag: The bag, which is closed at the end.
            cache_bytes: Most bytes that may wait to be written.
        """
        self.error: Exception | None = None
        self._bag = bag
        self._queue: ByteQueue[Arrival] = ByteQueue(cache_bytes)
        self._messages: Counter[str] = Counter()
        self._overrun: Counter[str] = Counter()
        self._gaps: dict[str, SequenceGaps] = {}
        self._uncountable: set[str] = set()
        self._thread = start_thread('bag recorder', self._run)

    @property
    def path(self) -> Path:
        """Folder of the bag."""
        return self._bag.path

    def put(self, arrival: Arrival) -> None:
        """Add a message; it is counted as lost if the cache is full.

        Raises:
            MicroexprError: A message of the type of event packets is not one.
        """
        if arrival.type == EVENT_PACKET:
            gaps = self._gaps.setdefault(arrival.topic, SequenceGaps())
            gaps.add(read_sequence_number(arrival.cdr))
        if not self._queue.put(arrival, len(arrival.cdr)):
            self._overrun[arrival.topic] += 1

    def give_up_counting(self, topic: str) -> bool:
        """Stop counting the lost packets of a topic: several publishers number its packets.

        Returns:
            Whether this is new.
        """
        new = topic not in self._uncountable
        self._uncountable.add(topic)
        return new

    def progress(self) -> RecorderProgress:
        """Return what has been written and lost so far."""
        return RecorderProgress(
            messages=dict(self._messages),
            overrun=dict(self._overrun),
            lost_packets={
                topic: gaps.total
                for topic, gaps in list(self._gaps.items())
                if gaps.total and topic not in self._uncountable
            },
            uncountable=sorted(self._uncountable),
            bytes=self._bag.size,
            cached_bytes=self._queue.bytes,
            files=self._bag.files,
        )

    def close(self) -> None:
        """Write the waiting messages and end the bag."""
        self._queue.close()
        self._thread.join()
        # Both are empty unless there was an error.
        unwritten = self._messages - self._bag.kept
        while (arrival := self._queue.get()) is not None:
            self._overrun[arrival.topic] += 1
        self._overrun += unwritten
        self._messages -= unwritten

    def _run(self) -> None:
        try:
            with explain_write_errors(self._bag.path):
                self._write()
                self._bag.close()
        except Exception as error:
            self.error = error
            self._queue.close()
            self._bag.abandon()

    def _write(self) -> None:
        written, flushed_s = False, time.monotonic()
        while not self._queue.finished:
            arrival = self._queue.get(_FLUSH_S if written else None)
            if arrival is not None:
                self._messages[arrival.topic] += 1
                self._bag.write(
                    arrival.topic,
                    arrival.type,
                    arrival.cdr,
                    arrival.time_ns,
                    arrival.sent_ns,
                    arrival.offered_qos,
                )
                written = True
            if written and time.monotonic() - flushed_s >= _FLUSH_S:
                self._bag.flush()
                written, flushed_s = False, time.monotonic()
