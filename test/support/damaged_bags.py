"""Bags of every kind that others write, and every kind of damage to them.

`KINDS` make a whole bag, `DAMAGES` harm a copy of it. Each bag holds COUNT packets on /events and
COUNT // 5 messages on /tick.
"""

from __future__ import annotations

import event_streams as streams
import numpy as np
from mcap.writer import Writer as McapWriter
from packet_bags import EPOCH, SECOND

from microexpr_ros import bags
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.serialization import serialize_packet
from microexpr_ros.events.events import Triggers
from microexpr_ros.events.packets import packetize

COUNT = 60
MS = SECOND // 1000
TICK = 'std_msgs/msg/Empty'
TICK_CDR = b'\0\1\0\0\0'
OTHERS = (
    ('/log', 'json', 'foxglove.Log', 'jsonschema'),
    ('/scene', 'protobuf', 'foxglove.SceneUpdate', 'protobuf'),
    ('/chatter', 'ros1', 'std_msgs/String', 'ros1msg'),
    ('/raw', 'cdr', '', ''),
)


def make_packets(count=COUNT):
    """Return packets of 1 ms, each with some events."""
    events = streams.random_events(np.random.default_rng(0), 40 * count, count * MS)
    stream = [(events, Triggers.empty())]
    made = list(packetize(stream, streams.HEIGHT, streams.WIDTH, epoch_ns=EPOCH, packet_ns=MS))
    assert len(made) == count
    return made


def messages(count=COUNT):
    """Yield topic, type, time and CDR of each message of a bag."""
    for packet in make_packets(count):
        yield '/events', bags.EVENT_PACKET, packet.stamp_ns, serialize_packet(packet)
        if packet.seq % 5 == 0:
            yield '/tick', TICK, packet.stamp_ns + 7, TICK_CDR


def write_foxglove(file, items, others=0, **options):
    """Write a file with Foxglove's writer, which has chunks of a few packets."""
    with file.open('wb') as stream:
        writer = McapWriter(stream, **{'chunk_size': 4000, **options})
        writer.start('ros2', 'test')
        channels = {}
        for number, (topic, encoding, kind, language) in enumerate(OTHERS[: 4 * bool(others)]):
            schema = writer.register_schema(kind, language, b'{}') if kind else 0
            channel = writer.register_channel(topic, encoding, schema)
            for index in range(others):
                data = f'message {index}'.encode()
                time_ns = EPOCH + index * MS + number
                writer.add_message(channel, time_ns, data, time_ns)
        for topic, kind, time_ns, cdr in items:
            if topic not in channels:
                text = define(kind).text.encode()
                schema = writer.register_schema(kind, 'ros2msg', text)
                channels[topic] = writer.register_channel(topic, 'cdr', schema)
            writer.add_message(channels[topic], time_ns, cdr, time_ns)
        writer.finish()


def write_with_others(file, packets=COUNT):
    """Write a file with packets, and three messages on each of OTHERS."""
    items = [item for item in messages(packets) if item[0] == '/events']
    write_foxglove(file, items, others=3)
