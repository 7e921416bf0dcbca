"""Cutting a stream of events into packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.errors import MicroexprError
from microexpr_ros.events import codecs
from microexpr_ros.events.codecs.codec import require_order
from microexpr_ros.events.events import Events, Triggers
from microexpr_ros.topics import EVENT_CAMERA

PACKET_NS: Final = 2_000_000
"""Longest time that a packet covers: a fifth of a slice, so that slices close promptly."""

PACKET_BYTES: Final = 400_000
"""Largest size of a packet: the default ROS transport loses larger best-effort messages."""

# Four words of EVT3, or one event of the other encodings; half for triggers, half for events.
_BYTES_PER_EVENT: Final = 16
_BYTES_OF_START: Final = 64


def packetize(
    stream: Iterable[tuple[Events, Triggers]],
    height: int,
    width: int,
    *,
    encoding: str = 'evt3',
    frame_id: str = EVENT_CAMERA,
    epoch_ns: int = 0,
    packet_ns: int = PACKET_NS,
    packet_bytes: int = PACKET_BYTES,
) -> Iterator[EventPacket]:
    """Cut a stream into packets, as a driver would send them.

    Packets end at multiples of `packet_ns` of sensor time, at the size limit, and where a
    piece of the stream ends. There are no empty packets.

    Args:
        stream: Pieces of the stream in order, for example of a recording or just one.
        height: Rows of the sensor.
        width: Columns of the sensor.
        encoding: One of codecs.ENCODINGS.
        frame_id: Coordinate frame of the camera.
        epoch_ns: Host time at sensor time 0; a packet's stamp is the host time of its first event.
        packet_ns: Longest time that a packet covers.
        packet_bytes: Largest size of a packet.

    Raises:
        MicroexprError: Times decrease, or events do not fit the sensor or the encoding.

    Example:
        >>> times = np.array([0, 1_000_000, 5_000_000])
        >>> events = Events(times, *(np.zeros(3, d) for d in ('u2', 'u2', 'u1')))
        >>> [p.seq for p in packetize([(events, Triggers.empty())], 480, 640)]
        [0, 1]
    """
    limit = (packet_bytes - _BYTES_OF_START) // _BYTES_PER_EVENT
    if limit < 1 or packet_ns < 1:
        raise MicroexprError(
            f'packets of {packet_bytes} bytes and {packet_ns} ns are too small: allow at least '
            f'{_BYTES_OF_START + _BYTES_PER_EVENT} bytes and 1 ns'
        )
    encoder = codecs.encoder(encoding, height, width)
    seq = 0
    for events, triggers in stream:
        for some_events, some_triggers in _cut(events, triggers, packet_ns, limit):
            time_base, payload = encoder.encode(some_events, some_triggers)
            first_ns = min(int(part.t[0]) for part in (some_events, some_triggers) if len(part))
            yield EventPacket(
                stamp_ns=epoch_ns + first_ns,
                frame_id=frame_id,
                height=height,
                width=width,
                seq=seq,
                time_base=time_base,
                encoding=encoding,
                is_bigendian=False,
                events=payload,
            )
            seq += 1


def _cut(
    events: Events, triggers: Triggers, packet_ns: int, limit: int
) -> Iterator[tuple[Events, Triggers]]:
    require_order(events.t)
    require_order(triggers.t)
    i = j = 0
    while i < len(events) or j < len(triggers):
        first_ns = min(
            int(times[k]) for times, k in ((events.t, i), (triggers.t, j)) if k < len(times)
        )
        end_ns = (first_ns // packet_ns + 1) * packet_ns
        next_i = min(i + limit, int(np.searchsorted(events.t, end_ns)))
        next_j = min(j + limit, int(np.searchsorted(triggers.t, end_ns)))
        # A packet that is full before its time is over must not overlap with the next one.
        if next_i < len(events):
            next_j = min(next_j, int(np.searchsorted(triggers.t, events.t[next_i], 'right')))
        if next_j < len(triggers):
            next_i = min(next_i, int(np.searchsorted(events.t, triggers.t[next_j], 'right')))
        yield events[i:next_i], triggers[j:next_j]
        i, j = next_i, next_j
