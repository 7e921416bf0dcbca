"""Bags of ROS 1, written by rosbags' own writer."""

from __future__ import annotations

import event_streams as streams
import numpy as np
from rosbags.rosbag1 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from microexpr_ros.events.packets import packetize

EPOCH_NS = 1_700_000_000_123_456_789
SENSOR = (streams.WIDTH, streams.HEIGHT)
PACKET = """\
std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""
EVENT = """\
uint16 x
uint16 y
time ts
bool polarity
"""
ARRAY = """\
std_msgs/Header header
uint32 height
uint32 width
{package}/Event[] events
"""


class Bag:
    """Writes messages of ROS 1 that a definition gives."""

    def __init__(self, path, definitions, compression=None, chunk_bytes=1 << 20):
        self.store = get_typestore(Stores.ROS1_NOETIC)
        for kind, text in definitions.items():
            self.store.register(get_types_from_msg(text, kind))
        self.writer = Writer(path)
        self.writer.chunk_threshold = chunk_bytes
        if compression is not None:
            self.writer.set_compression(compression)
        self.connections = {}

    def __enter__(self):
        self.writer.open()
        return self

    def __exit__(self, *_):
        self.writer.close()

    def make(self, kind, **fields):
        return self.store.types[kind](**fields)

    def header(self, stamp_ns):
        stamp = self.make('builtin_interfaces/msg/Time', **split(stamp_ns))
        return self.make('std_msgs/msg/Header', seq=0, stamp=stamp, frame_id='camera')

    def write(self, topic, kind, message, time_ns):
        if topic not in self.connections:
            self.connections[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        raw = bytes(self.store.serialize_ros1(message, kind))
        self.writer.write(self.connections[topic], time_ns, raw)


def split(time_ns):
    return {'sec': int(time_ns // 10**9), 'nanosec': int(time_ns % 10**9)}


def write_packets(
    path,
    events,
    triggers,
    kind='event_camera_msgs/msg/EventPacket',
    topic='/camera/events',
    skipped=(),
    epoch_ns=EPOCH_NS,
    **options,
):
    stream = [(events, triggers)]
    with Bag(path, {kind: PACKET}, **options) as bag:
        for packet in packetize(stream, streams.HEIGHT, streams.WIDTH, epoch_ns=epoch_ns):
            if packet.seq in skipped:
                continue
            message = bag.make(
                kind,
                header=bag.header(packet.stamp_ns),
                events=np.frombuffer(packet.events, np.uint8),
                **{
                    name: getattr(packet, name)
                    for name in ('height', 'width', 'seq', 'time_base', 'encoding', 'is_bigendian')
                },
            )
            bag.write(topic, kind, message, packet.stamp_ns + 5)
        other = bag.make('std_msgs/msg/String', data='other')
        bag.write('/rosout', 'std_msgs/msg/String', other, EPOCH_NS)


def write_arrays(path, pieces, package, sensor=SENSOR, topics=('/dvs/events',), **options):
    event, array = f'{package}/msg/Event', f'{package}/msg/EventArray'
    with Bag(path, {event: EVENT, array: ARRAY.format(package=package)}, **options) as bag:
        for topic in topics:
            for piece in pieces:
                rows = [
                    bag.make(
                        event,
                        x=int(x),
                        y=int(y),
                        polarity=bool(p),
                        ts=bag.make('builtin_interfaces/msg/Time', **split(t)),
                    )
                    for t, x, y, p in zip(piece.t, piece.x, piece.y, piece.p, strict=True)
                ]
                header = bag.header(int(piece.t[-1]))
                message = bag.make(
                    array, header=header, height=sensor[1], width=sensor[0], events=rows
                )
                bag.write(topic, array, message, int(piece.t[-1]))
