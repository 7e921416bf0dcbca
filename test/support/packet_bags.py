"""Bags of made event packets, which tests write, cut and read again."""

from __future__ import annotations

import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)

from microexpr_ros import bags
from microexpr_ros.bags.event_packet import EventPacket
from microexpr_ros.bags.serialization import serialize_packet

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND
FOREVER = QosTime(9223372036, 854775807)
LATCHED = Qos(
    QosHistory.UNKNOWN,
    0,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)


def make_packet(seq, frame_id='eye'):
    return EventPacket(
        stamp_ns=EPOCH + seq * SECOND // 1000,
        frame_id=frame_id,
        height=480,
        width=640,
        seq=seq,
        time_base=0,
        encoding='evt3',
        is_bigendian=False,
        events=np.random.default_rng(seq).bytes(5000),
    )


def fill(bag, count, first=0):
    """Write packets that are 1 ms apart to a bag."""
    for seq in range(first, first + count):
        cdr = serialize_packet(make_packet(seq))
        time_ns = EPOCH + seq * SECOND // 1000
        bag.write('/events', bags.EVENT_PACKET, cdr, time_ns, time_ns - 7, (LATCHED,))


def sequence(path):
    """Return the numbers of the packets of a bag."""
    return [packet.seq for _, packet in bags.read_packets(path)]
