"""An event_camera_msgs/EventPacket as plain data, and the gaps in a stream of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventPacket:
    """Contents of an event_camera_msgs/EventPacket.

    Attributes:
        stamp_ns: host time at which the packet's first sensor data arrived, not sensor time.
        frame_id: coordinate frame of the camera.
        height: rows of the sensor.
        width: columns of the sensor.
        seq: number of the packet; a gap means that packets were lost in transport.
        time_base: ns; its meaning depends on the encoding; 0 for evt3.
        encoding: how the events are encoded; one of events.codecs.ENCODINGS.
        is_bigendian: byte order of the host that wrote the events.
        events: encoded events.
    """

    stamp_ns: int
    frame_id: str
    height: int
    width: int
    seq: int
    time_base: int
    encoding: str
    is_bigendian: bool
    events: bytes


class SequenceGaps:
    """Counts missing packets by the gaps between packet numbers.

    A number that goes back is a restart of the driver, not a loss.

    Example:
        >>> gaps = SequenceGaps()
        >>> [gaps.add(seq) for seq in (7, 8, 11, 0, 1)], gaps.total
        ([0, 0, 2, 0, 0], 2)

    Attributes:
        total: packets missing so far.
        steps_back: how often the number was less than the one before.
    """

    def __init__(self) -> None:
        self.total = 0
        self.steps_back = 0
        self._next: int | None = None

    def add(self, seq: int) -> int:
        """Add a packet's number; return how many packets are missing right before it."""
        missing = 0 if self._next is None else max(seq - self._next, 0)
        self.steps_back += self._next is not None and seq < self._next - 1
        self._next = seq + 1
        self.total += missing
        return missing
