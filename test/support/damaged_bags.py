"""Bags of every kind that people have, and what can happen to them.

`KINDS` write a bag of COUNT packets on /events and COUNT // 5 messages on /tick; `cut`, `zero`,
`flip` and `METADATA` damage it.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from functools import partial

import event_streams as streams
import numpy as np
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from packet_bags import EPOCH, SECOND
from zstandard import ZstdCompressor

from microexpr_ros import bags
from microexpr_ros.bags.definitions import define
from microexpr_ros.bags.folder import BagFolder
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


def _ours(path, storage='mcap', **options):
    """Write a bag with this package's writer, flushed every ten messages."""
    bag = BagFolder(path, storage, 'none' if storage == 'sqlite3' else 'zstd', **options)
    for number, (topic, kind, time_ns, cdr) in enumerate(messages()):
        bag.write(topic, kind, cdr, time_ns)
        if number % 10 == 9:
            bag.flush()
    bag.close()


def _foxglove(path, **options):
    path.mkdir()
    write_foxglove(path / 'bag_0.mcap', messages(), **options)


def _mixed(path):
    """Write files of which one is compressed as a whole, and one holds compressed messages."""
    path.mkdir()
    items = list(messages())
    third = len(items) // 3
    write_foxglove(path / 'bag_0.mcap', items[:third], compression=CompressionType.LZ4)
    whole = path / 'bag_1.mcap'
    write_foxglove(whole, items[third : 2 * third], compression=CompressionType.NONE)
    (path / 'bag_1.mcap.zstd').write_bytes(ZstdCompressor().compress(whole.read_bytes()))
    whole.unlink()
    packed = [(*item[:3], ZstdCompressor().compress(item[3])) for item in items[2 * third :]]
    write_foxglove(path / 'bag_2.mcap', packed, use_chunking=False)


def _empty_topics(path):
    bag = BagFolder(path, 'sqlite3')
    for topic, kind, time_ns, cdr in messages():
        bag.write(topic, kind, cdr, time_ns)
    bag.close()
    with closing(sqlite3.connect(path / 'bag_0.db3')) as base, base:
        base.execute(
            "INSERT INTO topics VALUES (9, '/empty', 'std_msgs/msg/Empty', 'cdr', '', '')"
        )


def _at(path, change):
    """Write a bag whose receive times are changed; stamps stay."""
    bag = BagFolder(path)
    for number, (topic, kind, time_ns, cdr) in enumerate(messages()):
        bag.write(topic, kind, cdr, change(number, time_ns))
    bag.close()


KINDS = {
    'mcap': _foxglove,
    'mcap without compression': partial(_foxglove, compression=CompressionType.NONE),
    'mcap with lz4': partial(_foxglove, compression=CompressionType.LZ4),
    'mcap without chunks': partial(_foxglove, use_chunking=False),
    'mcap without indexes': partial(
        _foxglove, index_types=IndexType.NONE, use_statistics=False, repeat_channels=False
    ),
    'mcap of this package': _ours,
    'mcap with foreign channels': partial(_foxglove, others=3),
    'split mcap': partial(_ours, max_ns=15 * MS),
    'mixed compression': _mixed,
    'sqlite3': partial(_ours, storage='sqlite3'),
    'split sqlite3': partial(_ours, storage='sqlite3', max_ns=15 * MS),
    'sqlite3 with an empty topic': _empty_topics,
    'times at 0': partial(_at, change=lambda number, time_ns: 0),
    'times backwards': partial(_at, change=lambda number, time_ns: EPOCH + (100 - number) * MS),
}


def whole_size(kind):
    """Return how many messages a bag of a kind holds, and how many of them are foreign."""
    foreign = 12 if kind == 'mcap with foreign channels' else 0
    return COUNT + COUNT // 5 + foreign, foreign


def storage_file(path):
    """Return the file in the middle of a bag."""
    files = sorted(file for file in path.iterdir() if file.name != 'metadata.yaml')
    return files[len(files) // 2]


def boundaries(file):
    """Return where the blocks of a file begin: records of mcap, pages of sqlite3, else parts."""
    content = file.read_bytes()
    if file.suffix == '.db3':
        return list(range(4096, len(content), 4096))
    if file.suffix != '.mcap':
        return list(range(64, len(content), max(len(content) // 12, 1)))
    places, place = [], 8
    while place < len(content) - 8:
        places.append(place)
        place += 9 + struct.unpack_from('<Q', content, place + 1)[0]
    return places


def cut(file, place):
    """Keep what lies before a place."""
    file.write_bytes(file.read_bytes()[:place])


def zero(file, place):
    """Keep the length of a file, but not its contents from a place on."""
    content = file.read_bytes()
    file.write_bytes(content[:place] + bytes(len(content) - place))


def flip(file, place):
    """Change a byte."""
    content = bytearray(file.read_bytes())
    content[place] ^= 0x55
    file.write_bytes(content)


_NO_FILES = 'rosbag2_bagfile_information:\n  version: 9\n'


def change_metadata(path, change):
    """Change metadata.yaml as text; it is made if the bag has none."""
    file = path / 'metadata.yaml'
    file.write_text(change(file.read_text() if file.exists() else _NO_FILES))


METADATA = {
    'missing': None,
    'cut': lambda text: text[: len(text) // 2] + '\n  - [',
    'of another bag': lambda text: (
        'rosbag2_bagfile_information:\n  version: 9\n  relative_file_paths: [other_0.mcap]\n'
    ),
    'of wrong types': lambda text: (
        'rosbag2_bagfile_information:\n  version: nine\n  relative_file_paths: 5\n'
    ),
    'of another storage': lambda text: text.replace(
        'identifier: mcap', 'identifier: sqlite3'
    ).replace('count: ', 'count: 9'),
}
