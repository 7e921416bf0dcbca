"""Recording: messages from a thread that must not wait, to a bag on a disk that may be slow."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rosbags.interfaces import Qos

from microexpr_ros.events.atomic import explained_writing
from microexpr_ros.events.bags.byte_queue import ByteQueue
from microexpr_ros.events.bags.contents import EVENT_PACKET
from microexpr_ros.events.bags.folder import BagFolder
from microexpr_ros.events.bags.serialization import read_sequence_number

CACHE_BYTES: Final = 100 * 1024 * 1024

_FLUSH_S: Final = 0.5
"""What is older than this, and the time that writing takes, survives a kill."""


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
class Progress:
    """How far a recording is.

    Attributes:
        messages: messages written, by topic.
        overrun: messages that came while the cache was full and are lost, by topic.
        lost_packets: event packets that never arrived, as gaps in `seq` tell, by topic.
        bytes: size of the bag.
        cached_bytes: size of what waits to be written.
        files: number of files.
    """

    messages: Mapping[str, int]
    overrun: Mapping[str, int]
    lost_packets: Mapping[str, int]
    bytes: int
    cached_bytes: int
    files: int

    @property
    def lost(self) -> int:
        """All that is missing."""
        return sum(self.overrun.values()) + sum(self.lost_packets.values())


class Recording:
    """Writes what arrives to a bag, on a thread of its own.

    Attributes:
        error: why nothing more can be written, None while it can.
    """

    def __init__(self, bag: BagFolder, cache_bytes: int = CACHE_BYTES) -> None:
        """Begin.

        Args:
            bag: The bag, which is closed at the end.
            cache_bytes: What may wait to be written at most.
        """
        self.error: Exception | None = None
        self._bag = bag
        self._queue: ByteQueue[Arrival] = ByteQueue(cache_bytes)
        self._messages: Counter[str] = Counter()
        self._overrun: Counter[str] = Counter()
        self._lost_packets: Counter[str] = Counter()
        self._next_seq: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """The bag."""
        return self._bag.path

    def put(self, arrival: Arrival) -> None:
        """Take in a message; it is counted as lost if the cache is full.

        Raises:
            MicroexprError: It is no event packet although its type says so.
        """
        if arrival.type == EVENT_PACKET:
            seq = read_sequence_number(arrival.cdr)
            missing = seq - self._next_seq.get(arrival.topic, seq)
            if missing > 0:
                self._lost_packets[arrival.topic] += missing
            self._next_seq[arrival.topic] = seq + 1
        if not self._queue.put(arrival, len(arrival.cdr)):
            self._overrun[arrival.topic] += 1

    def progress(self) -> Progress:
        """Return how far it is."""
        return Progress(
            messages=dict(self._messages),
            overrun=dict(self._overrun),
            lost_packets=dict(self._lost_packets),
            bytes=self._bag.size,
            cached_bytes=self._queue.bytes,
            files=self._bag.files,
        )

    def close(self) -> None:
        """Write what waits, and end the bag."""
        self._queue.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            with explained_writing(self._bag.path):
                self._write()
                self._bag.close()
        except Exception as error:
            self._bag.abandon()
            self._queue.close()
            while (arrival := self._queue.get()) is not None:
                self._overrun[arrival.topic] += 1
            self.error = error

    def _write(self) -> None:
        written, flushed_s = False, time.monotonic()
        while not self._queue.finished:
            arrival = self._queue.get(_FLUSH_S if written else None)
            if arrival is not None:
                self._bag.write(
                    arrival.topic,
                    arrival.type,
                    arrival.cdr,
                    arrival.time_ns,
                    arrival.sent_ns,
                    arrival.offered_qos,
                )
                self._messages[arrival.topic] += 1
                written = True
            if written and time.monotonic() - flushed_s >= _FLUSH_S:
                self._bag.flush()
                written, flushed_s = False, time.monotonic()
